// SPDX-License-Identifier: GPL-2.0

//! A free page that is cleared where it lies: its list lends it out and goes on having it.
//!
//! Anybody may take the page off the list while it is being cleared, so nobody has a page less for
//! that. Who takes it calls it back: what comes off a list is a [`Taken`], which is the page once
//! nobody writes to it any more. That is after one part of it, however large it is, as the lock is
//! held for one part at a time, and each begins with a look at whether the loan still runs.

use core::ptr::NonNull;

use kernel::{
    bindings, new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

use super::folio::clear;

type Folio = NonNull<bindings::folio>;

/// Base pages that are cleared under the lock, 256 KiB: some tens of microseconds.
const PART: usize = 64;

/// What a list and its loan share.
///
/// # Invariants
///
/// Each loan has another number. Whoever has set `running` to another one under the lock of the list,
/// and then had `writing`, knows that nobody writes to the page any more.
#[pin_data]
pub(super) struct Lender {
    /// The number of the loan that runs; 0: none does.
    running: Atomic<usize>,
    /// Held while a part is being cleared.
    #[pin]
    writing: Mutex<()>,
}

impl Lender {
    /// Nothing is lent. Sleeps.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                running: Atomic::new(0),
                writing <- new_mutex!((), "rust_hugetlb::Lender"),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether a loan runs. Under the lock of the list nobody begins one meanwhile.
    pub(super) fn is_busy(&self) -> bool {
        self.running.load(Relaxed) != 0
    }

    /// Ends the loan that runs: the page that it is about is being taken off the list.
    pub(super) fn call_back(self: &Arc<Self>) -> Recall {
        self.running.store(0, Relaxed);
        Recall(Some(self.clone()))
    }
}

/// A page that is being called back, if it was lent. Dropping it waits for that; sleeps then.
pub(super) struct Recall(Option<Arc<Lender>>);

impl Recall {
    /// Of a page that was not lent.
    pub(super) const NONE: Self = Self(None);
}

impl Drop for Recall {
    fn drop(&mut self) {
        if let Some(lender) = &self.0 {
            drop(lender.writing.lock());
        }
    }
}

/// What came off a list, and may be called back just now. May be dropped, which does the same as to
/// drop what it is.
pub(crate) struct Taken<T> {
    /// First, so that it is dropped first.
    recall: Recall,
    what: T,
}

impl<T> Taken<T> {
    /// What was taken, lent or not.
    pub(super) fn new(recall: Recall, what: T) -> Self {
        Self { recall, what }
    }

    /// What was taken, which is the caller's alone from now on. Sleeps if it was lent.
    pub(crate) fn get(self) -> T {
        let Self { recall, what } = self;
        drop(recall);
        what
    }
}

/// A free page to be cleared, part by part. Dropping it ends the loan; what it cleared until then does
/// not count.
///
/// # Invariants
///
/// While `lender.running` is `number`, `folio` is in the list of `lender`, of `parts` parts; its first
/// `cleared` ones are zero.
pub(crate) struct Loan {
    lender: Arc<Lender>,
    number: usize,
    folio: Folio,
    parts: usize,
    cleared: usize,
}

// SAFETY: What it leads to is used under the lock of `lender` only, by whichever thread.
unsafe impl Send for Loan {}

impl Loan {
    /// Begins the loan of that number.
    ///
    /// # Safety
    ///
    /// Under the lock of the list of `lender`, `folio` must be in it, and be of `1 << order` base
    /// pages; no other loan may run or have had that number; and whoever takes it off the list calls
    /// it back, and does not use it before [`Recall`] is dropped.
    pub(super) unsafe fn begin(
        lender: Arc<Lender>,
        number: usize,
        folio: Folio,
        order: u32,
    ) -> Self {
        lender.running.store(number, Relaxed);
        // INVARIANT: By the caller's promise.
        Self {
            lender,
            number,
            folio,
            parts: (1 << order) / PART,
            cleared: 0,
        }
    }

    /// The page.
    pub(super) fn folio(&self) -> Folio {
        self.folio
    }

    /// Whether it runs, and is of that list. Under the lock of the list that stays so.
    pub(super) fn is_running(&self, lender: &Arc<Lender>) -> bool {
        Arc::ptr_eq(&self.lender, lender) && self.lender.running.load(Relaxed) == self.number
    }

    /// How many parts are to be cleared.
    pub(crate) fn parts_left(&self) -> usize {
        self.parts - self.cleared
    }

    /// Clears the next part. False: there is none, or the page was called back. Sleeps.
    pub(crate) fn clear_part(&mut self) -> bool {
        let _writing = self.lender.writing.lock();
        if self.parts_left() == 0 || self.lender.running.load(Relaxed) != self.number {
            return false;
        }
        // SAFETY: By the type invariant it is a free page in a list, and it is not used until we let
        // the lock go: who takes it waits for that.
        unsafe { clear(self.folio, self.cleared * PART, PART) };
        self.cleared += 1;
        true
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // Unless it was called back.
        let _ = self.lender.running.cmpxchg(self.number, 0, Relaxed);
    }
}
