// SPDX-License-Identifier: GPL-2.0

//! A number of huge pages.
//!
//! Arithmetic saturates: a count can be asked for by a user (any `unsigned long`), so no sum of
//! counts may overflow, and [`pool`](super::pool) checks before it takes away.

/// A number of huge pages of one size (not bytes, not base pages).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageCount(usize);

impl PageCount {
    /// No page.
    pub const ZERO: Self = Self(0);
    /// One page.
    pub const ONE: Self = Self(1);
    /// As many as can be asked for.
    pub const MAX: Self = Self(usize::MAX);

    /// `count` huge pages.
    pub const fn new(count: usize) -> Self {
        Self(count)
    }

    /// The plain number, in huge pages.
    pub const fn get(self) -> usize {
        self.0
    }

    /// Whether there is none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, at most [`Self::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least [`Self::ZERO`].
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many times `part`, which is not zero, fits into this.
    #[must_use]
    pub const fn over(self, part: Self) -> Self {
        match self.0.checked_div(part.0) {
            Some(times) => Self(times),
            None => Self::ZERO,
        }
    }
}
