// SPDX-License-Identifier: GPL-2.0

//! Pages on their way back to the pool: some at a time, in one round of its lock.
//!
//! Stands for the folio batches by which the kernel frees the pages of a range (mm/swap.c:
//! `folios_put_refs`). Used where a file or a private mapping ends. Until they are there the pages
//! count as used ones, as they do without a batch until each one's turn comes.

use crate::{
    hstate::Hstate,
    mm::{
        list::PageList,
        page::{FilePage, FreePage, PinnedPage},
        private_page::PrivatePage,
    },
};

/// The most pages of one round: the lock is held for a moment only.
const AT_ONCE: usize = 32;

/// Pages that nobody uses any more. Dropping it gives them back.
pub(crate) struct Retiring<'a> {
    hstate: &'a Hstate,
    pages: PageList<FreePage>,
    count: usize,
}

impl<'a> Retiring<'a> {
    /// None yet.
    pub(crate) fn new(hstate: &'a Hstate) -> Self {
        Self {
            hstate,
            pages: PageList::new(),
            count: 0,
        }
    }

    /// Takes a page back from its file, which no page table maps any more. Sleeps.
    pub(crate) fn add(&mut self, page: FilePage) {
        self.sort(page.leave());
    }

    /// Takes back a private mapping's share of a page, which its page tables do not map any more.
    /// Sleeps.
    pub(crate) fn add_private(&mut self, page: PrivatePage) {
        if let Some(page) = page.leave() {
            self.sort(page);
        }
    }

    fn sort(&mut self, page: Result<FreePage, PinnedPage>) {
        match page {
            Ok(page) => self.push(page),
            Err(page) => self.hstate.keep_pinned(page),
        }
    }

    fn push(&mut self, page: FreePage) {
        self.pages.push_back(page);
        self.count += 1;
        if self.count == AT_ONCE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.hstate.put_all(self.pages.take());
        self.count = 0;
    }
}

impl Drop for Retiring<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
