// SPDX-License-Identifier: GPL-2.0

//! All pieces of one large page: what it is split into, what it is merged of, and what it goes back as.
//!
//! Both happen under a frozen reference count, so that nobody who looks pages up by their number
//! holds one that changes its size meanwhile.

use core::{
    mem::{self, ManuallyDrop},
    ptr::NonNull,
};

use kernel::bindings;

use super::{
    compound,
    folio::{Label, Owned},
    list::PageList,
    page::FreePage,
};

type Folio = NonNull<bindings::folio>;

/// Free pages that are adjacent, and together are one larger page.
///
/// # Invariants
///
/// In the order of their addresses, each of `1 << piece` base pages, all of one zone; together they
/// are `1 << order`, and aligned to that.
pub(crate) struct Whole {
    pages: PageList<FreePage>,
    piece: u32,
    order: u32,
    /// All are known zero.
    zero: bool,
}

impl Whole {
    /// These pages, of any content.
    ///
    /// # Safety
    ///
    /// The pages must be as the type invariants say.
    pub(super) unsafe fn new(pages: PageList<FreePage>, piece: u32, order: u32) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            pages,
            piece,
            order,
            zero: false,
        }
    }

    /// Whether all pages are known to be zero, being pieces of one that was.
    pub(super) fn is_zero(&self) -> bool {
        self.zero
    }

    /// How many pages these are.
    pub(super) fn count(&self) -> usize {
        1 << (self.order - self.piece)
    }

    /// The pages, one by one.
    pub(crate) fn into_pages(self) -> PageList<FreePage> {
        self.pages
    }

    /// One page in place of all. None is changed if one of them is poisoned or somebody looks at it.
    pub(crate) fn merge(self) -> Result<FreePage, Self> {
        let Some(first) = self.pages.first() else {
            return Err(self);
        };
        let mut frozen = 0;
        let mut is_zero = true;
        let is_ready = self.pieces(first).all(|piece| {
            if !piece.freeze() {
                return false;
            }
            frozen += 1;
            is_zero &= piece.label().is_zero();
            // SAFETY: It is frozen, and ours; of this order by the type invariant.
            unsafe { compound::is_as_made(piece.pointer(), self.piece) }
        });
        if !is_ready {
            for piece in self.pieces(first).take(frozen) {
                piece.unfreeze();
            }
            return Err(self);
        }
        // They become one page: they are not to be dropped.
        mem::forget(self.pages);
        // SAFETY: By the type invariants the pages are adjacent, aligned, and of one zone; all were
        // frozen just now and looked at. So the one made of them is ours alone.
        let mut page = unsafe {
            compound::merge(first, self.piece, self.order);
            Owned::from_frozen(first)
        };
        page.set_label(Label::new(self.order, is_zero).made_of(self.piece));
        Ok(FreePage(page))
    }

    /// The pages as they lie in memory. They stay ours.
    fn pieces(&self, first: Folio) -> impl Iterator<Item = ManuallyDrop<Owned>> {
        let piece = self.piece;
        (0..1usize << (self.order - piece)).map(move |i| {
            // SAFETY: By the type invariants, there is a page of ours there.
            ManuallyDrop::new(unsafe { Owned::from_folio(compound::at(first, i << piece)) })
        })
    }
}

impl FreePage {
    /// The pages of `1 << piece` base pages that this one consists of. It stays as it is if any of it
    /// is poisoned, or somebody looks at it.
    pub(crate) fn split(self, piece: u32) -> Result<Whole, Self> {
        let label = self.0.label();
        if !self.0.freeze() {
            return Err(self);
        }
        // SAFETY: It is frozen and ours, of the order that its label says.
        if !unsafe { compound::is_as_made(self.0.pointer(), label.order()) } {
            self.0.unfreeze();
            return Err(self);
        }
        let folio = self.0.into_folio();
        let mut pages = PageList::new();
        // SAFETY: It is frozen and ours, and so are the pages that it becomes.
        unsafe {
            compound::split(folio, label.order(), piece);
            for first in (0..1 << label.order()).step_by(1 << piece) {
                let mut page = Owned::from_frozen(compound::at(folio, first));
                page.set_label(Label::new(piece, label.is_zero()));
                pages.push_back(FreePage(page));
            }
        }
        // INVARIANT: That is all of it, in order.
        Ok(Whole {
            pages,
            piece,
            order: label.order(),
            zero: label.is_zero(),
        })
    }

    /// Gives the page back to its zone, as free memory that all can have and that watermarks count. The
    /// page allocator would put one of `PMD_ORDER` on a list of this CPU's (`pcp_allowed_order`), which
    /// is neither as long as it lies there; halves it takes to the zone. A page that came otherwise, or
    /// is poisoned, or that somebody looks at goes as it would anyhow.
    pub(crate) fn give_to_zone(mut self) {
        let label = self.0.label();
        let came_as = label.pieces().unwrap_or(label.order());
        if came_as != bindings::PMD_ORDER || !self.0.freeze() {
            return;
        }
        // SAFETY: It is frozen and ours, of the order that its label says.
        let can_split = unsafe { compound::is_as_made(self.0.pointer(), label.order()) };
        self.0.unfreeze();
        if can_split {
            self.0.set_label(label.made_of(bindings::PMD_ORDER - 1));
        }
    }
}
