// SPDX-License-Identifier: GPL-2.0

//! Which pages of a huge file are charged: reserved or already there.
//!
//! Mirrors the region maps of mm/hugetlb.c (`region_chg`, `region_add`, `region_del`): ranges of
//! indices, sorted, that neither overlap nor touch. Policy must not allocate, so the memory comes
//! from the shell: where a change could need more ranges than there is room for, it answers
//! [`NeedRoom`], nothing is changed, and the shell comes back with a larger table
//! ([`Regions::move_to`]). Unlike hugetlb's a charge is not split in two halves with a race between
//! them: the shell holds the file's lock from [`Regions::missing`] to [`Regions::add`].

use core::ops::DerefMut;

use super::count::PageCount;
use super::range::FileRange;

/// There is no room for this many more ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedRoom(pub usize);

/// A set of page indices. `T` is a table of ranges, all of it usable.
///
/// # Invariants
///
/// `used` is at most the table's length. The first `used` ranges are not empty, ascend, and between
/// two of them there is at least one index.
#[derive(Debug, Default)]
pub struct Regions<T> {
    table: T,
    used: usize,
}

impl<T: DerefMut<Target = [FileRange]>> Regions<T> {
    /// An empty set in `table`.
    pub fn new(table: T) -> Self {
        Self { table, used: 0 }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[FileRange] {
        self.table.get(..self.used).unwrap_or_default()
    }

    /// How many ranges there is room for.
    pub fn room(&self) -> usize {
        self.table.len()
    }

    /// Moves to another table and returns the old one. Does nothing if that has no room for what is
    /// there.
    pub fn move_to(&mut self, mut table: T) -> T {
        match table.get_mut(..self.used) {
            Some(start) if start.len() == self.ranges().len() => {
                start.copy_from_slice(self.ranges());
                core::mem::replace(&mut self.table, table)
            }
            _ => table,
        }
    }

    /// Whether the page at `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        let next = self.first_ending_after(index);
        self.ranges()
            .get(next)
            .is_some_and(|range| range.first <= index)
    }

    /// How many pages of `range` are not in the set (`region_chg`).
    pub fn missing(&self, range: FileRange) -> PageCount {
        range.count().minus(self.present(range))
    }

    /// All pages of the set.
    pub fn count(&self) -> PageCount {
        self.ranges()
            .iter()
            .fold(PageCount::ZERO, |sum, range| sum.plus(range.count()))
    }

    /// Adds the pages of `range`; how many of them are new (`region_add`).
    pub fn add(&mut self, range: FileRange) -> Result<PageCount, NeedRoom> {
        let new = self.missing(range);
        if new.is_zero() {
            return Ok(new);
        }
        // What the range overlaps or touches becomes one range with it.
        let from = self.first_ending_after(range.first.saturating_sub(1));
        let to = self.first_beginning_at_or_after(range.end.saturating_add(1));
        let mut whole = range;
        if let Some(touched) = self.ranges().get(from..to) {
            if let (Some(first), Some(last)) = (touched.first(), touched.last()) {
                whole.first = whole.first.min(first.first);
                whole.end = whole.end.max(last.end);
            }
        }
        self.replace(from, to, &[whole])?;
        Ok(new)
    }

    /// Takes out the pages of `range`; how many there were (`region_del`).
    pub fn remove(&mut self, range: FileRange) -> Result<PageCount, NeedRoom> {
        let present = self.present(range);
        if present.is_zero() {
            return Ok(present);
        }
        let from = self.first_ending_after(range.first);
        let to = self.first_beginning_at_or_after(range.end);
        let Some((first, last)) = self
            .ranges()
            .get(from..to)
            .and_then(|cut| Some((*cut.first()?, *cut.last()?)))
        else {
            return Ok(PageCount::ZERO);
        };
        let before = FileRange {
            first: first.first,
            end: range.first.max(first.first),
        };
        let after = FileRange {
            first: range.end.min(last.end),
            end: last.end,
        };
        match (before.is_empty(), after.is_empty()) {
            (true, true) => self.replace(from, to, &[])?,
            (false, true) => self.replace(from, to, &[before])?,
            (true, false) => self.replace(from, to, &[after])?,
            (false, false) => self.replace(from, to, &[before, after])?,
        }
        Ok(present)
    }

    /// How many pages of `range` are in the set.
    fn present(&self, range: FileRange) -> PageCount {
        let from = self.first_ending_after(range.first);
        self.ranges()
            .iter()
            .skip(from)
            .take_while(|it| it.first < range.end)
            .fold(PageCount::ZERO, |sum, it| {
                sum.plus(it.intersection(range).count())
            })
    }

    /// The position of the first range that ends after `index`.
    fn first_ending_after(&self, index: usize) -> usize {
        self.ranges().partition_point(|range| range.end <= index)
    }

    /// The position of the first range that begins at `index` or after it.
    fn first_beginning_at_or_after(&self, index: usize) -> usize {
        self.ranges().partition_point(|range| range.first < index)
    }

    /// Puts `new` where the ranges from `from` up to but not including `to` are.
    fn replace(&mut self, from: usize, to: usize, new: &[FileRange]) -> Result<(), NeedRoom> {
        let gone = to.saturating_sub(from);
        let used = (self.used + new.len()).saturating_sub(gone);
        if used > self.table.len() {
            return Err(NeedRoom(used - self.table.len()));
        }
        if to <= self.used {
            // In bounds: both the old end (`to..used`) and the new one are inside the table.
            self.table.copy_within(to..self.used, from + new.len());
        }
        for (slot, range) in self.table.iter_mut().skip(from).zip(new) {
            *slot = *range;
        }
        self.used = used;
        Ok(())
    }
}
