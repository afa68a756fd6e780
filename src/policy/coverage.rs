// SPDX-License-Identifier: GPL-2.0

//! Which part of a private mapping ends when one of its VMAs does.
//!
//! Split and unmap take VMAs away with the range they have. But while mremap moves one, two have the
//! same range: the first of them to go takes nothing with it. (`clear_vma_resv_huge_pages` of
//! mm/hugetlb.c, which the mremap code calls for hugetlb alone.)

use core::ops::DerefMut;

use super::range::FileRange;
use super::regions::{NeedRoom, Regions};

/// What a private mapping gives back when one of its VMAs goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Release {
    /// Nothing: another VMA has that range, too, or it could not be written down that it goes.
    Nothing,
    /// That range.
    Range(FileRange),
    /// All there still is: it was the last VMA.
    All,
}

/// The VMAs of a private mapping.
#[derive(Debug)]
pub struct Coverage<T> {
    vmas: usize,
    /// What two VMAs have.
    doubled: Regions<T>,
    /// It is not known any more what two VMAs have: everything stays until the last one goes.
    lost_count: bool,
}

impl<T: DerefMut<Target = [FileRange]>> Coverage<T> {
    /// One VMA. `table` is for [`Regions`].
    pub fn new(table: T) -> Self {
        Self {
            vmas: 1,
            doubled: Regions::new(table),
            lost_count: false,
        }
    }

    /// What two VMAs have, to make room in.
    pub fn doubled(&mut self) -> &mut Regions<T> {
        &mut self.doubled
    }

    /// Whether a page may be mapped at two addresses.
    pub fn is_doubled(&self) -> bool {
        self.lost_count || !self.doubled.ranges().is_empty()
    }

    /// Whether the last VMA is gone.
    pub fn is_over(&self) -> bool {
        self.vmas == 0
    }

    /// One VMA was split in two.
    pub fn split(&mut self) {
        self.vmas = self.vmas.saturating_add(1);
    }

    /// A second VMA has `range`: it is being moved.
    pub fn moved(&mut self, range: FileRange) {
        self.vmas = self.vmas.saturating_add(1);
        let new = self.doubled.missing(range);
        if new != range.count() || self.doubled.add(range).is_err() {
            self.lost_count = true;
        }
    }

    /// What the end of `range` cannot be written down for lack of room, or cannot be told.
    pub fn lose_count(&mut self) {
        self.lost_count = true;
    }

    /// A VMA that has `range` is gone.
    pub fn closed(&mut self, range: FileRange) -> Release {
        self.vmas = self.vmas.saturating_sub(1);
        if self.vmas == 0 {
            return Release::All;
        }
        if self.lost_count {
            return Release::Nothing;
        }
        let single = self.doubled.missing(range);
        if single == range.count() {
            return Release::Range(range);
        }
        // A part of what two VMAs have cannot go alone, or there is no room to say so.
        if !single.is_zero() || matches!(self.doubled.remove(range), Err(NeedRoom(_))) {
            self.lost_count = true;
        }
        Release::Nothing
    }
}
