// SPDX-License-Identifier: GPL-2.0

//! How many pages were given to somebody who expects zeros, and had to be cleared for that or not:
//! `faults_cleared` and `faults_found_zero`.

use kernel::sync::atomic::{Atomic, Relaxed};

use crate::mm::page::FreePage;

/// Written to on each fault: nothing that is only read shares a cache line with it.
#[repr(align(64))]
pub(crate) struct Touches {
    cleared: Atomic<usize>,
    found_zero: Atomic<usize>,
}

impl Touches {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            cleared: Atomic::new(0),
            found_zero: Atomic::new(0),
        }
    }

    /// One more: `page`, as it is before it is cleared.
    pub(crate) fn count(&self, page: &FreePage) {
        let count = if page.is_zero() {
            &self.found_zero
        } else {
            &self.cleared
        };
        count.fetch_add(1, Relaxed);
    }

    /// How many of those had to be cleared for that.
    pub(crate) fn cleared(&self) -> usize {
        self.cleared.load(Relaxed)
    }

    /// How many of those were known to be zero.
    pub(crate) fn found_zero(&self) -> usize {
        self.found_zero.load(Relaxed)
    }
}
