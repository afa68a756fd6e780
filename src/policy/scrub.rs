// SPDX-License-Identifier: GPL-2.0

//! Clearing the free pages of one node in the background, one part of a page at a time.
//!
//! hugetlb has no such thing. The page that is being cleared stays a free one that anybody may take, so
//! none of the pool's counters changes; what is decided here is when to clear and when to rest. The
//! shell drives it:
//!
//! 1. under the pool's lock: [`Scrub::next`];
//! 2. [`Step::Lend`]: let the list lend out a page and report with [`Scrub::lent`].
//!    [`Step::Clear`]: drop the lock, clear the next part of that page, report with
//!    [`Scrub::cleared`], or with [`Scrub::called_back`] if somebody has taken the page.
//!    [`Step::End`]: end the loan. [`Step::Rest`]: come back later. [`Step::Stop`]: come back when
//!    there is a page to clear again;
//! 3. again from 1.

use core::num::NonZeroU64;

/// After so many nanoseconds of clearing comes a rest: 10 ms, no more than a time slice.
const SPELL: u64 = 10_000_000;

/// A share of one CPU's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// A tenth. Where a CPU clears 5 GB a second, that is 500 MB: a pool is clean again soon after its
    /// users are gone, and those that are not gone have the other nine tenths.
    pub const DEFAULT: Self = Self(10);

    /// `value` percent; none if that is more than all.
    pub fn new(value: usize) -> Option<Self> {
        u8::try_from(value)
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Self)
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// How long to rest after `spent` nanoseconds of work. None: for ever.
    pub fn rest(self, spent: u64) -> Option<u64> {
        let percent = NonZeroU64::new(u64::from(self.0))?;
        let rest = 100_u64.saturating_sub(percent.get());
        Some(spent.saturating_mul(rest) / percent)
    }
}

/// What the shell has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Let the list lend out a page that is not known to be zero.
    Lend,
    /// Clear the next part of that page.
    Clear,
    /// End the loan: all of the page is cleared, or there is to be no scrubbing any more.
    End,
    /// Come back after so long.
    Rest {
        /// In nanoseconds.
        nanoseconds: u64,
    },
    /// There is nothing to do.
    Stop,
}

/// The scrubbing of one node.
#[derive(Debug, Default)]
pub struct Scrub {
    /// The parts that are left of the page that is lent, if one is.
    left: Option<usize>,
    /// Nanoseconds of work since the last rest.
    spent: u64,
}

impl Scrub {
    /// No page is lent.
    pub const fn new() -> Self {
        Self {
            left: None,
            spent: 0,
        }
    }

    /// Decides the next step. `is_dirty`: whether the node has a free page that is not known to be
    /// zero; `share`: how much of a CPU's time may be spent.
    pub fn next(&mut self, is_dirty: bool, share: Percent) -> Step {
        let Some(nanoseconds) = share.rest(self.spent) else {
            return match self.left.take() {
                Some(_) => Step::End,
                None => Step::Stop,
            };
        };
        match self.left {
            Some(0) => {
                self.left = None;
                return Step::End;
            }
            None if !is_dirty => return Step::Stop,
            _ => {}
        }
        if self.spent >= SPELL {
            self.spent = 0;
            return Step::Rest { nanoseconds };
        }
        match self.left {
            Some(_) => Step::Clear,
            None => Step::Lend,
        }
    }

    /// A page of so many parts is lent.
    pub fn lent(&mut self, parts: usize) {
        self.left = Some(parts);
    }

    /// A part of it was cleared, which took so long.
    pub fn cleared(&mut self, nanoseconds: u64) {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.spent = self.spent.saturating_add(nanoseconds);
    }

    /// Somebody has taken it.
    pub fn called_back(&mut self) {
        self.left = None;
    }
}
