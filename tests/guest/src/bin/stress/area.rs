// SPDX-License-Identifier: GPL-2.0

//! Pages that one thread alone writes, so that it knows what is in them.

use guest::access::Bus;
use guest::map::Map;
use guest::stamp::{Stamp, SPOTS};
use guest::{check, fail, same, Check, HUGE};

use crate::arena::{word, Arena, Figure};

/// What a page holds, as its writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A write that was cut short may have left anything of the owner's, also in a copy that a forked
    /// process has.
    Unknown { owner: u16 },
    /// Zeros, if there is a page at all. One that is promised can be had.
    Absent { promised: bool },
    /// All words are the owner's, of this sequence.
    Written { owner: u16, sequence: u32 },
    /// It was taken from a forked process, which never gets another one.
    Lost,
}

/// How the pages are mapped, which decides what may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shared,
    /// Private with reservations: what was written stays, and can be written again.
    Owner,
    /// Private without: there may be no page for a copy.
    Unreserved,
    /// A forked process's copy of a private mapping: the owner may take back what both share.
    Forked,
}

/// A mapping and what its pages hold.
pub struct Area<'a> {
    pub arena: &'a Arena,
    pub owner: u16,
    pub kind: Kind,
    pub map: Map,
    /// Of the pages from `first` on.
    pub content: Vec<Content>,
    /// The first page of the mapping that is this owner's.
    pub first: usize,
}

impl Area<'_> {
    pub fn pages(&self) -> usize {
        self.content.len()
    }

    /// The page's number in the mapping, which its words say.
    pub fn number(&self, page: usize) -> usize {
        self.first + page
    }

    fn offset(&self, page: usize, spot: usize) -> usize {
        self.number(page) * HUGE + SPOTS[spot]
    }

    /// A page of the owner's, for the text of an error.
    fn name(&self, page: usize) -> String {
        format!(
            "{:?} mapping of {:#x}, page {}, which is {:x?}",
            self.kind,
            self.owner,
            self.number(page),
            self.content[page]
        )
    }

    /// Reads all words of a page, and fails unless they are what was written.
    pub fn check(&mut self, page: usize) -> Check {
        for spot in 0..SPOTS.len() {
            let seen = self.map.try_read(self.offset(page, spot));
            self.arena.count(Figure::Checks);
            match seen {
                Ok(seen) => self.compare(page, spot, seen)?,
                Err(bus) => return self.missing(page, spot, bus),
            }
        }
        Ok(())
    }

    fn compare(&self, page: usize, spot: usize, seen: u64) -> Check {
        let number = self.number(page);
        let want = match self.content[page] {
            Content::Unknown { owner } => {
                return Stamp::check(seen, &[owner], number, spot).map(drop);
            }
            Content::Absent { .. } => 0,
            Content::Written { owner, sequence } => word(owner, number, spot, sequence),
            Content::Lost => fail!("{} came back, with {seen:#x}", self.name(page)),
        };
        check!(
            seen == want,
            "{} has {:x?} at spot {spot}",
            self.name(page),
            Stamp::of(seen)
        );
        Ok(())
    }

    /// Fails unless the page may be missing.
    fn missing(&mut self, page: usize, spot: usize, Bus(code): Bus) -> Check {
        same!(code, libc::BUS_ADRERR, "si_code of a SIGBUS");
        match self.content[page] {
            // It was there: zeros that the owner had read before it forked, and then wrote to.
            Content::Unknown { .. } | Content::Absent { promised: false }
                if spot != 0 && self.kind == Kind::Forked =>
            {
                self.arena.count(Figure::Robs);
                self.content[page] = Content::Lost;
            }
            Content::Unknown { .. } | Content::Absent { promised: false } => {
                check!(spot == 0, "{} went away", self.name(page));
                self.arena.count(Figure::Buses);
            }
            Content::Written { owner, .. } if self.is_shared_copy(owner) => {
                self.arena.count(Figure::Robs);
                self.content[page] = Content::Lost;
            }
            Content::Lost => {}
            _ => fail!("{} is SIGBUS at spot {spot}", self.name(page)),
        }
        Ok(())
    }

    /// Whether the page is one that this process got by fork.
    fn is_shared_copy(&self, owner: u16) -> bool {
        self.kind == Kind::Forked && owner != self.owner
    }

    /// Checks a page and writes all its words.
    pub fn write(&mut self, page: usize) -> Check {
        self.check(page)?;
        let sequence = self.arena.next_sequence();
        for spot in 0..SPOTS.len() {
            let word = word(self.owner, self.number(page), spot, sequence);
            if let Err(bus) = self.map.try_write(self.offset(page, spot), word) {
                return if spot == 0 {
                    self.unwritten(page, bus)
                } else {
                    self.half_written(page, bus)
                };
            }
            check!(
                self.content[page] != Content::Lost,
                "{} can be written to",
                self.name(page)
            );
        }
        self.arena.count(Figure::Writes);
        self.content[page] = Content::Written {
            owner: self.owner,
            sequence,
        };
        self.check(page)
    }

    /// Fails unless there may be no page to write to; what could be read stays.
    fn unwritten(&mut self, page: usize, bus: Bus) -> Check {
        match self.content[page] {
            Content::Written { owner, .. }
                if self.kind == Kind::Unreserved || self.is_shared_copy(owner) =>
            {
                self.arena.count(Figure::Buses);
                self.check(page)
            }
            _ => self.missing(page, 0, bus),
        }
    }

    /// Fails unless another thread's fork may have come between, and left no page for a copy.
    fn half_written(&mut self, page: usize, Bus(code): Bus) -> Check {
        same!(code, libc::BUS_ADRERR, "si_code of a SIGBUS");
        check!(
            self.kind == Kind::Unreserved,
            "{} went away in a write",
            self.name(page)
        );
        self.arena.count(Figure::Buses);
        self.content[page] = Content::Unknown { owner: self.owner };
        Ok(())
    }

    /// What `count` pages from `page` on held is gone.
    pub fn clear(&mut self, page: usize, count: usize) {
        self.content[page..page + count].fill(Content::Absent { promised: false });
    }

    /// Checks all pages.
    pub fn check_all(&mut self) -> Check {
        (0..self.pages()).try_for_each(|page| self.check(page))
    }

    /// The sequence from which on words of a page are right; none if it is not written.
    pub fn sequence(&self, page: usize) -> Option<u32> {
        match self.content[page] {
            Content::Written { sequence, .. } => Some(sequence),
            _ => None,
        }
    }
}
