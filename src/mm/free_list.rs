// SPDX-License-Identifier: GPL-2.0

//! The free pages of one size on one node, known-zero ones first; and, of a size that a larger one
//! can be made of, how many of these lie there whole.
//!
//! An index by address: for each aligned range of the larger size, how many of its pieces are in the
//! list. It is kept with each page that comes and goes, so that to ask costs nothing and to take all
//! pieces of one large page needs no search. Memory that is plugged in later is not in the index.
//!
//! One page at a time can be lent out to be cleared ([`loan`](super::loan)).

use core::{mem::ManuallyDrop, ptr::NonNull};

use kernel::{bindings, prelude::*, sync::Arc};

use super::{
    folio::{folio_at, frame},
    list::PageList,
    loan::{Lender, Loan, Recall, Taken},
    page::{FreePage, Listed},
    whole::Whole,
    zone,
};

/// Free pages of one node and size.
///
/// # Invariants
///
/// All pages are of that node and size, and the index has counted each whose range is in it. Known-zero
/// ones come before the others, and `zeroed` is how many these are. While a loan runs, it is that of
/// `lent`.
pub(crate) struct FreeList {
    pages: PageList<FreePage>,
    index: Option<Index>,
    zeroed: usize,
    piece: u32,
    lender: Arc<Lender>,
    lent: Option<NonNull<bindings::folio>>,
    /// How many loans there were.
    loans: usize,
}

// SAFETY: `lent` is one of the pages, or not looked at but for its address.
unsafe impl Send for FreeList {}

/// # Invariants
///
/// A range has as many pages in the list as `free` says, and so it has all if that is `full`, as no
/// two pages share memory. `whole` is the number of those.
struct Index {
    piece: u32,
    order: u32,
    /// The number of the first range: its first frame, shifted by `order`.
    first: usize,
    /// None for a range that is not of one zone: one page could not be of it.
    free: KVec<Option<u16>>,
    full: u16,
    whole: usize,
}

impl FreeList {
    /// An empty list of pages of `1 << piece` base pages on node `nid`, of which pages of `1 << order`
    /// can be made, if any. Sleeps.
    pub(crate) fn new(nid: usize, piece: u32, order: Option<u32>) -> Result<Self> {
        Ok(Self {
            pages: PageList::new(),
            index: match order {
                Some(order) => Some(Index::new(nid, piece, order)?),
                None => None,
            },
            zeroed: 0,
            piece,
            lender: Lender::new()?,
            lent: None,
            loans: 0,
        })
    }

    /// How many pages are known to be zero.
    pub(crate) fn zeroed(&self) -> usize {
        self.zeroed
    }

    /// Whether there is a page that is not.
    pub(crate) fn has_dirty(&self) -> bool {
        self.last_dirty().is_some()
    }

    /// A page joins.
    pub(crate) fn push(&mut self, page: FreePage) {
        if let Some(index) = &mut self.index {
            index.count(page.0.frame(), true);
        }
        if page.is_zero() {
            self.zeroed += 1;
            self.pages.push_front(page);
        } else {
            self.pages.push_back(page);
        }
    }

    /// The pieces of a page that was split join.
    pub(crate) fn push_whole(&mut self, whole: Whole) {
        let (is_zero, count) = (whole.is_zero(), whole.count());
        let pages = whole.into_pages();
        if let (Some(index), Some(first)) = (&mut self.index, pages.first()) {
            index.count_all(frame(first), true);
        }
        if is_zero {
            self.zeroed += count;
            self.pages.prepend(pages);
        } else {
            self.pages.append(pages);
        }
    }

    /// Takes a page, a known-zero one if there is any.
    pub(crate) fn pop_zero(&mut self) -> Option<Taken<FreePage>> {
        let page = self.pages.pop_front()?;
        Some(self.take(page))
    }

    /// Takes a page, not a known-zero one if there is another.
    pub(crate) fn pop_dirty(&mut self) -> Option<Taken<FreePage>> {
        let page = self.pages.pop_back()?;
        Some(self.take(page))
    }

    /// Takes the page whose first frame that is, if it is here. Looks at all pages.
    pub(crate) fn pop_at(&mut self, frame: usize) -> Option<Taken<FreePage>> {
        let folio = folio_at(frame).filter(|folio| self.pages.contains(*folio))?;
        // SAFETY: It is in the list.
        let page = unsafe { self.pages.remove(folio) };
        Some(self.take(page))
    }

    /// How many large pages lie here whole.
    pub(crate) fn whole(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.whole)
    }

    /// Takes all pieces of one of those.
    pub(crate) fn pop_whole(&mut self) -> Option<Taken<Whole>> {
        let index = self.index.as_mut()?;
        let first = index.first_whole()?;
        index.count_all(first, false);
        let (piece, order) = (index.piece, index.order);
        let mut pages = PageList::new();
        for number in (first..first + (1 << order)).step_by(1 << piece) {
            // SAFETY: By the index's invariants that page is in the list.
            let page = unsafe { self.pages.remove(folio_at(number)?) };
            self.zeroed -= usize::from(page.is_zero());
            pages.push_back(page);
        }
        let lent = self.lent.map(frame);
        let recall = self.call_back(lent.is_some_and(|lent| lent >> order == first >> order));
        // SAFETY: That is a range of one zone, from its begin to its end.
        let whole = unsafe { Whole::new(pages, piece, order) };
        Some(Taken::new(recall, whole))
    }

    /// Lends out a page that is not known to be zero, if there is one and none is lent.
    pub(crate) fn lend(&mut self) -> Option<Loan> {
        let folio = self.last_dirty()?;
        if self.lender.is_busy() {
            return None;
        }
        self.loans = self.loans.checked_add(1)?;
        // INVARIANT: That loan runs from now on.
        self.lent = Some(folio);
        // SAFETY: The page is in the list, which is under its lock, as it is borrowed mutably. Its
        // lender is its own, and the number is new. All ways off the list go through `call_back`.
        Some(unsafe { Loan::begin(self.lender.clone(), self.loans, folio, self.piece) })
    }

    /// Ends a loan. If all of the page was cleared and nobody has taken it, it is known to be zero.
    pub(crate) fn end(&mut self, loan: Loan) {
        if !loan.is_running(&self.lender) {
            return;
        }
        self.lent = None;
        if loan.parts_left() != 0 {
            return;
        }
        // SAFETY: The loan runs, so the page is in this list.
        let mut page = unsafe { self.pages.remove(loan.folio()) };
        page.set_zero();
        self.zeroed += 1;
        self.pages.push_front(page);
    }

    /// A page came off the list.
    fn take(&mut self, page: FreePage) -> Taken<FreePage> {
        if let Some(index) = &mut self.index {
            index.count(page.0.frame(), false);
        }
        self.zeroed -= usize::from(page.is_zero());
        let is_lent = self.lent == Some(page.0.pointer());
        Taken::new(self.call_back(is_lent), page)
    }

    /// What a page is to be taken with that is lent, or is not.
    fn call_back(&mut self, is_lent: bool) -> Recall {
        if !is_lent {
            return Recall::NONE;
        }
        self.lent = None;
        self.lender.call_back()
    }

    /// The last page, if it is not known to be zero: if it is, all are.
    fn last_dirty(&self) -> Option<NonNull<bindings::folio>> {
        let last = self.pages.last()?;
        // SAFETY: It is in the list, which keeps it.
        let page = ManuallyDrop::new(unsafe { FreePage::from_raw(last) });
        (!page.is_zero()).then_some(last)
    }
}

impl Drop for FreeList {
    fn drop(&mut self) {
        // Its pages go with it.
        drop(self.call_back(self.lent.is_some()));
    }
}

impl Index {
    fn new(nid: usize, piece: u32, order: u32) -> Result<Self> {
        let range = |frame: usize| frame >> order;
        let zones = || zone::usable(nid).map(|zone| zone.start..zone.start + zone.spanned);
        let first = zones().map(|zone| range(zone.start)).min().unwrap_or(0);
        let end = zones().map(|zone| range(zone.end)).max().unwrap_or(first);
        let mut free = KVec::with_capacity(end - first, GFP_KERNEL)?;
        for number in first..end {
            let frames = number << order..(number + 1) << order;
            let is_of_one_zone =
                zones().any(|zone| zone.start <= frames.start && frames.end <= zone.end);
            free.push(is_of_one_zone.then_some(0), GFP_KERNEL)?;
        }
        // INVARIANT: No page is in the list.
        Ok(Self {
            piece,
            order,
            first,
            free,
            full: 1 << (order - piece),
            whole: 0,
        })
    }

    /// The page that begins at `frame` comes or goes.
    fn count(&mut self, frame: usize, comes: bool) {
        let full = self.full;
        let Some(free) = self.range(frame) else {
            return;
        };
        let was_whole = *free == full;
        if comes {
            *free += 1;
        } else {
            *free -= 1;
        }
        let is_whole = *free == full;
        self.recount(was_whole, is_whole);
    }

    /// All pages of the range that begins at `frame` come or go.
    fn count_all(&mut self, frame: usize, come: bool) {
        let full = self.full;
        let Some(free) = self.range(frame) else {
            return;
        };
        *free = if come { full } else { 0 };
        self.recount(!come, come);
    }

    fn recount(&mut self, was_whole: bool, is_whole: bool) {
        self.whole += usize::from(is_whole);
        self.whole -= usize::from(was_whole);
    }

    /// How many pages of the range of `frame` are in the list, if it is in the index.
    fn range(&mut self, frame: usize) -> Option<&mut u16> {
        let number = (frame >> self.order).checked_sub(self.first)?;
        self.free.get_mut(number)?.as_mut()
    }

    /// The first frame of the first range that is whole.
    fn first_whole(&self) -> Option<usize> {
        if self.whole == 0 {
            return None;
        }
        let place = self.free.iter().position(|free| *free == Some(self.full))?;
        Some((self.first + place) << self.order)
    }
}
