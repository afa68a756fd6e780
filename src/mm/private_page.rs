// SPDX-License-Identifier: GPL-2.0

//! A page of private mappings: of one, or after fork of several, which share it until they write.
//!
//! Stands for an anonymous hugetlb folio. There `folio_mapcount` says who shares it; here it is a
//! count of our own, since a mapping has its pages whether page tables map them or not.

use core::{
    mem::{self, ManuallyDrop},
    ptr::NonNull,
};

use kernel::{bindings, sync::atomic::Relaxed};

use super::{
    folio::Owned,
    page::{FreePage, Listed, Mappable, PinnedPage},
};

/// One mapping's share of a page.
///
/// # Invariants
///
/// Of a page there are as many of these as its label counts sharers, and one; together they own the
/// reference. `mapping` is that of the host of the file, which outlives them all.
pub(crate) struct PrivatePage(ManuallyDrop<Owned>);

impl PrivatePage {
    pub(super) fn new(page: Owned) -> Self {
        Self(ManuallyDrop::new(page))
    }

    /// One more share of the page, for a forked mapping.
    pub(crate) fn share(&self) -> Self {
        self.0.add_sharer();
        // SAFETY: The sharer just counted stands for it, and only the last one drops the page.
        Self::new(unsafe { Owned::from_folio(self.0.pointer()) })
    }

    /// Whether no other mapping has it. Under the fault lock of its index, which each mapping takes to
    /// share it or to give it up, that stays so.
    pub(crate) fn is_unshared(&self) -> bool {
        self.0.is_unshared()
    }

    /// Whether it is this mapping's alone: nobody reads it, either, who pinned it to read when he
    /// shared it (`gup_must_unshare` asks for a copy of an anonymous page only), and has given it up.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.is_unshared() && !self.0.is_pinned_by_former_sharer()
    }

    /// Whether both are shares of one page.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.folio() == other.folio()
    }

    /// Whether a GUP user has pinned it: then a fork must copy it, or the pinner and its own
    /// process would part ways at the next write.
    pub(crate) fn is_pinned(&self) -> bool {
        self.0.is_dma_pinned()
    }

    /// Marks the page as broken, for all who share it, if `frame` is its first one. Whether it is.
    pub(crate) fn break_at(&self, frame: usize) -> bool {
        self.0.break_at(frame)
    }

    /// Gives the share up, whose mapping has the page in no page table any more. The page, if that
    /// was the last share: free if nobody else holds it, pinned otherwise. Sleeps.
    pub(crate) fn leave(self) -> Option<Result<FreePage, PinnedPage>> {
        let mut this = ManuallyDrop::new(self);
        if this.0.remove_sharer() {
            return None;
        }
        // SAFETY: `this` is not used again and not dropped.
        Some(unsafe { ManuallyDrop::take(&mut this.0) }.into_unmapped())
    }
}

impl Mappable for PrivatePage {
    fn folio(&self) -> *mut bindings::folio {
        self.0.folio()
    }

    fn order(&self) -> u32 {
        self.0.label().order()
    }

    fn add_reference(&self) {
        self.0.refcount().fetch_add(1, Relaxed);
    }

    fn lock(&self) {
        self.0.lock();
    }

    fn is_broken(&self) -> bool {
        self.0.label().is_broken()
    }
}

impl Drop for PrivatePage {
    fn drop(&mut self) {
        if !self.0.remove_sharer() {
            self.0.leave_file();
            // SAFETY: The field is not used again.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl Listed for PrivatePage {
    fn into_raw(self) -> NonNull<bindings::folio> {
        let folio = self.0.pointer();
        mem::forget(self);
        folio
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a share, by the caller's promise.
        // SAFETY: By the caller's promise.
        Self::new(unsafe { Owned::from_folio(folio) })
    }
}
