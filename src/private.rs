// SPDX-License-Identifier: GPL-2.0

//! A private mapping: its own pages, and what it was promised.
//!
//! Stands for what hugetlb keeps in the page tables and in the `resv_map` of a private VMA. One for
//! each mmap and each forked VMA; the VMAs that it is split into share it. The huge file joins it
//! with the pool ([`copy_on_write`](crate::copy_on_write)).

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
};

use crate::{
    charge::make_room,
    mm::{
        page_map::PageMap,
        private_page::PrivatePage,
        vm_ops::{Opened, PrivateMapping},
        vma::MmId,
    },
    policy::{
        count::PageCount,
        coverage::{Coverage, Release},
        pool::Claim,
        range::FileRange,
        regions::Regions,
    },
};

/// A private mapping.
pub(crate) struct Private {
    mm: MmId,
    /// Its place among all that were made.
    serial: usize,
    /// Its own pages, each under the fault lock of its index.
    pub(crate) pages: Pin<KBox<PageMap<PrivatePage>>>,
    /// Made with reservations, by the task that still has it.
    owner: bool,
    book: Pin<KBox<Mutex<Book>>>,
}

/// The lock is held for a moment, in which it may allocate.
struct Book {
    /// The pages that are reserved for it and that it has not taken.
    promised: Regions<KVVec<FileRange>>,
    /// VMAs that lost a page to the owner, or to a lack of memory at fork. What is not there will not
    /// come any more: zeros would look like their data.
    robbed: Regions<KVVec<FileRange>>,
    /// Where it has had the file's page mapped, and has it still as far as it can tell. hugetlb finds
    /// those in the page tables, also where a VMA is robbed.
    shown: Regions<KVVec<FileRange>>,
    coverage: Coverage<KVVec<FileRange>>,
}

impl Private {
    /// A mapping in `mm` with no pages; `promised` are reserved for it, if it is made with
    /// reservations. Sleeps.
    pub(crate) fn new(
        mm: MmId,
        pages: Pin<KBox<PageMap<PrivatePage>>>,
        promised: Option<FileRange>,
    ) -> Result<Arc<Self>> {
        let owner = promised.is_some();
        let mut regions = Regions::new(KVVec::new());
        if let Some(range) = promised {
            make_room(&mut regions)?;
            regions.add(range).map_err(|_| ENOMEM)?;
        }
        let mut robbed = Regions::new(KVVec::new());
        // So that there is room for all of it in the end.
        make_room(&mut robbed)?;
        let book = Book {
            promised: regions,
            robbed,
            shown: Regions::new(KVVec::new()),
            coverage: Coverage::new(KVVec::new()),
        };
        static MADE: Atomic<usize> = Atomic::new(0);
        let this = Self {
            mm,
            serial: MADE.fetch_add(1, Relaxed),
            pages,
            owner,
            book: KBox::pin_init(new_mutex!(book, "rust_hugetlb::Private"), GFP_KERNEL)?,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Its place among all private mappings that were made.
    pub(crate) fn serial(&self) -> usize {
        self.serial
    }

    /// Whether it was made with reservations, by the task that still has it.
    pub(crate) fn is_owner(&self) -> bool {
        self.owner
    }

    /// Whether a page that it does not have at `index` is not for it any more. Under the fault lock
    /// of `index`.
    pub(crate) fn is_robbed(&self, index: usize) -> bool {
        let book = self.book.lock();
        book.robbed.contains(index) && !book.shown.contains(index)
    }

    /// A page was taken from its VMA of `range`, or could not be given to it. Sleeps.
    pub(crate) fn rob(&self, range: FileRange) {
        let mut book = self.book.lock();
        let range = match make_room(&mut book.robbed) {
            Ok(()) => range,
            Err(_) => FileRange::from(0),
        };
        // There is room, if not for one more then for one.
        let _ = book.robbed.add(range);
    }

    /// It has the file's page mapped at `index`. Under the fault lock of `index`; sleeps.
    pub(crate) fn show(&self, index: usize) {
        let mut book = self.book.lock();
        // Without room it is not known, and a mapping that is robbed loses that page, too.
        if make_room(&mut book.shown).is_ok() {
            let _ = book.shown.add(FileRange::only(index));
        }
    }

    /// It has the file's page mapped at `index` no more. Under the fault lock of `index`; sleeps.
    pub(crate) fn hide(&self, index: usize) {
        let mut book = self.book.lock();
        if !book.shown.contains(index) {
            return;
        }
        let range = match make_room(&mut book.shown) {
            Ok(()) => FileRange::only(index),
            Err(_) => FileRange::from(0),
        };
        // All of it takes no room.
        let _ = book.shown.remove(range);
    }

    /// A fork gives it the page tables of `parent` for `range`. Sleeps.
    pub(crate) fn show_as(&self, parent: &Self, range: FileRange) -> Result {
        let mut shown = KVVec::new();
        shown.extend_from_slice(parent.book.lock().shown.ranges(), GFP_KERNEL)?;
        let mut book = self.book.lock();
        for part in &shown {
            let part = part.intersection(range);
            if part.first < part.end {
                make_room(&mut book.shown)?;
                book.shown.add(part).map_err(|_| ENOMEM)?;
            }
        }
        Ok(())
    }

    /// Whether two of its VMAs may map the same page.
    pub(crate) fn is_doubled(&self) -> bool {
        self.book.lock().coverage.is_doubled()
    }

    /// On what a page for `index` is to be taken. Under the fault lock of `index`.
    pub(crate) fn claim(&self, index: usize) -> Claim {
        if self.owner && self.book.lock().promised.contains(index) {
            Claim::Reserved
        } else {
            Claim::Unreserved
        }
    }

    /// The mapping has a page at `index` that was taken on `claim`. Under the fault lock of `index`;
    /// sleeps.
    pub(crate) fn commit(&self, index: usize, claim: Claim) -> Result {
        if claim == Claim::Unreserved {
            return Ok(());
        }
        let mut book = self.book.lock();
        make_room(&mut book.promised)?;
        book.promised
            .remove(FileRange::only(index))
            .map_err(|_| ENOMEM)?;
        Ok(())
    }

    /// The mapping gave up its page at `index`, and would like a promise for it again: ENOENT if it
    /// has ended meanwhile. Under the fault lock of `index`; sleeps.
    pub(crate) fn promise_again(&self, index: usize) -> Result {
        let mut book = self.book.lock();
        // Nobody would give that promise back.
        if book.coverage.is_over() {
            return Err(ENOENT);
        }
        make_room(&mut book.promised)?;
        book.promised
            .add(FileRange::only(index))
            .map_err(|_| ENOMEM)?;
        Ok(())
    }

    /// It has one more VMA, of `range`. Sleeps.
    pub(crate) fn opened(&self, range: FileRange, opened: Opened) {
        let mut book = self.book.lock();
        match opened {
            Opened::Split => book.coverage.split(),
            Opened::Moved => {
                // Without room the count is lost, and pages stay until the whole mapping ends.
                let _ = make_room(book.coverage.doubled());
                book.coverage.moved(range);
            }
        }
    }

    /// It has one VMA less, of `range`. What to give back. Sleeps.
    pub(crate) fn closed(&self, range: FileRange) -> Release {
        let mut book = self.book.lock();
        if make_room(book.coverage.doubled()).is_err() {
            book.coverage.lose_count();
        }
        book.coverage.closed(range)
    }

    /// Ends the promises for `range`, where it has no page and no VMA any more. How many there were.
    /// Sleeps.
    pub(crate) fn end_promises(&self, range: FileRange) -> PageCount {
        let mut book = self.book.lock();
        // Without room they stay until all of them end, which takes none.
        let _ = make_room(&mut book.promised);
        book.promised.remove(range).unwrap_or(PageCount::ZERO)
    }
}

impl PrivateMapping for Private {
    fn mm(&self) -> MmId {
        self.mm
    }
}
