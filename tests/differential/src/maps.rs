// SPDX-License-Identifier: GPL-2.0

//! What a process has mapped of a pool, as /proc/PID/maps shows it.

use std::fmt;
use std::fs;
use std::ops::Range;

use crate::arena::Arena;
use crate::op::SLOT_PAGES;
use crate::HUGE;

/// One mapping (VMA).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// The numbers of its pages.
    pub pages: Range<usize>,
    /// As in the file: `rw-p`.
    pub perms: String,
    pub offset: u64,
}

impl Area {
    /// Whether writes to it are nobody else's to see.
    pub fn is_private(&self) -> bool {
        self.perms.ends_with('p')
    }

    /// The file's page that it begins at.
    pub fn first(&self) -> u64 {
        self.offset / HUGE as u64
    }

    /// Whether it may be written to.
    pub fn is_writable(&self) -> bool {
        self.perms.contains('w')
    }
}

/// The mappings of a process in one arena, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maps {
    areas: Vec<Area>,
}

impl Maps {
    /// Those of the process `pid`, or of this one.
    pub fn read(pid: Option<libc::pid_t>, arena: Arena) -> Result<Self, String> {
        let path = match pid {
            Some(pid) => format!("/proc/{pid}/maps"),
            None => "/proc/self/maps".to_string(),
        };
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Self::parse(&text, arena).map_err(|line| format!("{path}: {line}"))
    }

    fn parse(text: &str, arena: Arena) -> Result<Self, String> {
        let mut areas = vec![];
        for line in text.lines() {
            let (bounds, perms, offset) = fields(line).ok_or(line)?;
            let Some(first) = arena.number(bounds.start) else {
                continue;
            };
            if bounds.start % HUGE != 0 || bounds.end % HUGE != 0 {
                return Err(format!("not of whole pages: {line}"));
            }
            areas.push(Area {
                pages: first..first + (bounds.end - bounds.start) / HUGE,
                perms: perms.to_string(),
                offset,
            });
        }
        Ok(Self { areas })
    }

    /// All of them.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// The mapping of a page.
    pub fn at(&self, page: usize) -> Option<&Area> {
        self.areas.iter().find(|area| area.pages.contains(&page))
    }

    /// The mappings of some pages.
    pub fn over(&self, pages: Range<usize>) -> impl Iterator<Item = &Area> {
        self.areas
            .iter()
            .filter(move |area| area.pages.start < pages.end && pages.start < area.pages.end)
    }

    /// The mapping that all of these pages are in.
    pub fn around(&self, pages: Range<usize>) -> Option<&Area> {
        self.at(pages.start)
            .filter(|area| area.pages.end >= pages.end)
    }
}

fn fields(line: &str) -> Option<(Range<usize>, &str, u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let perms = words.next()?;
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let hex = |word| usize::from_str_radix(word, 16).ok();
    Some((hex(start)?..hex(end)?, perms, offset))
}

impl fmt::Display for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.areas.is_empty() {
            return f.write_str("nothing");
        }
        for (index, area) in self.areas.iter().enumerate() {
            let Range { start, end } = area.pages;
            let (map, first) = (start / SLOT_PAGES, start % SLOT_PAGES);
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{map} {first} {} {}", end - start, area.perms)?;
            write!(f, " from {:#x}", area.first())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;

    #[test]
    fn only_what_is_in_the_arena_counts() {
        let text = "\
00400000-00500000 r-xp 00000000 00:02 12   /differential
100000400000-100000a00000 rw-p 00200000 00:0f 1032   /memfd:differential (deleted)
100000a00000-100000c00000 r--s 00800000 00:0f 1032   /memfd:differential (deleted)
103800000000-103800001000 rw-p 00000000 00:00 0
7ffd0000000-7ffd00021000 rw-p 00000000 00:00 0   [stack]
";
        let maps = Maps::parse(text, Arena::of(Backend::Hugetlb)).expect("maps");
        assert_eq!(maps.to_string(), "0 2 3 rw-p from 0x1, 0 5 1 r--s from 0x4");
        assert!(maps.around(2..5).is_some_and(Area::is_private));
        assert!(maps.around(2..6).is_none());
        assert_eq!(maps.over(4..6).count(), 2);
        assert_eq!(maps.over(0..2).count(), 0);
    }

    #[test]
    fn a_part_of_a_page_is_wrong() {
        let text = "100000400000-100000401000 rw-p 00200000 00:0f 1032   /memfd:x\n";
        assert!(Maps::parse(text, Arena::of(Backend::Hugetlb)).is_err());
    }
}
