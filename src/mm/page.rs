// SPDX-License-Identifier: GPL-2.0

//! A huge page through its life: free, in a file (or, see [`PrivatePage`], in private mappings of
//! it), or out of it but still pinned.
//!
//! One type for each state; a page changes state by being consumed. Dropping a page in any state
//! gives it back to the page allocator, at once or when the last foreign reference goes, so no
//! path can lose one. (mm/hugetlb.c: `free_huge_folio`; include/linux/page_ref.h.)

use core::{mem::ManuallyDrop, ptr::NonNull};

use kernel::{bindings, sync::atomic::Relaxed};

use super::{
    folio::{Label, Owned},
    host::Host,
    private_page::PrivatePage,
    version,
};

/// `GFP_USER` for a compound page on one node, without noise. Not `__GFP_MOVABLE`: pages in
/// ZONE_MOVABLE refuse long-term pins, and nobody could move these anyway.
const GFP: bindings::gfp_t = bindings::GFP_KERNEL
    | 1 << bindings::___GFP_HARDWALL_BIT
    | 1 << bindings::___GFP_COMP_BIT
    | 1 << bindings::___GFP_THISNODE_BIT
    | bindings::__GFP_NOWARN
    | bindings::__GFP_ZERO;

const GFP_TRY_HARD: bindings::gfp_t = 1 << bindings::___GFP_RETRY_MAYFAIL_BIT;

/// A page that page tables may map.
pub(crate) trait Mappable {
    /// Its folio, which is there while `self` is.
    #[doc(hidden)]
    fn folio(&self) -> *mut bindings::folio;

    /// It has `1 << order` base pages.
    #[doc(hidden)]
    fn order(&self) -> u32;

    /// One more reference, for a page table.
    #[doc(hidden)]
    fn add_reference(&self);

    /// The folio lock, for the kernel to release. Sleeps.
    #[doc(hidden)]
    fn lock(&self);

    /// Whether it was found broken: nobody may map it any more.
    fn is_broken(&self) -> bool;
}

/// A page that can be listed: see [`PageList`](super::list::PageList).
pub(crate) trait Listed: Sized {
    /// Gives up the page for its bare pointer.
    fn into_raw(self) -> NonNull<bindings::folio>;

    /// Takes the page back.
    ///
    /// # Safety
    ///
    /// `folio` must come from [`Self::into_raw`] of the same type, and each such pointer may be
    /// taken back once only.
    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self;
}

/// A page in no file. Dropping it gives it back to the page allocator.
///
/// # Invariants
///
/// No page table, page map or GUP user leads to it; `mapping` is null.
pub(crate) struct FreePage(pub(super) Owned);

impl FreePage {
    /// A page of `1 << order` base pages, cleared, on node `nid` and no other; reclaims and compacts
    /// at length if `hard`. Sleeps.
    pub(crate) fn alloc(nid: usize, order: u32, hard: bool) -> Option<Self> {
        let gfp = if hard { GFP | GFP_TRY_HARD } else { GFP };
        // INVARIANT: The page allocator gives us the only reference, and the label follows.
        let mut page = if order <= bindings::MAX_PAGE_ORDER {
            alloc_pages(gfp, order, nid)?
        } else {
            alloc_contig(gfp, order, nid)?
        };
        page.set_label(Label::new(order, true));
        Some(Self(page))
    }

    /// The node the page lies on.
    pub(crate) fn nid(&self) -> usize {
        self.0.nid()
    }

    /// Whether the content is known to be zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.label().is_zero()
    }

    /// Whether it was found broken when it had users: no pool takes it back.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.label().is_broken()
    }

    /// Its content was cleared, and nobody can have written to it since.
    pub(super) fn set_zero(&mut self) {
        self.0.set_label(self.0.label().zero());
    }

    /// Makes it a page of the file that `host` stands for, at `index` (in base pages). Whatever it
    /// held before is cleared, unless it is known to be zero. Sleeps.
    pub(crate) fn into_file(self, host: &Host, index: usize) -> FilePage {
        FilePage(ManuallyDrop::new(self.into_clean(host, index)))
    }

    /// Makes it a page of a private mapping of that file, cleared likewise. Sleeps.
    pub(crate) fn into_private(self, host: &Host, index: usize) -> PrivatePage {
        // INVARIANT: One mapping has it.
        PrivatePage::new(self.into_clean(host, index))
    }

    /// Makes it a page of a private mapping with the content of `source`. Gives it back if a part of
    /// that is poisoned. Sleeps.
    pub(crate) fn into_copy(
        mut self,
        source: &impl Mappable,
        host: &Host,
        index: usize,
    ) -> Result<PrivatePage, Self> {
        self.0.set_label(self.0.label().used());
        if !self.0.copy(source.folio()) {
            return Err(self);
        }
        self.0.set_place(host.mapping(), index);
        // INVARIANT: One mapping has it.
        Ok(PrivatePage::new(self.0))
    }

    fn into_clean(mut self, host: &Host, index: usize) -> Owned {
        let label = self.0.label();
        if !label.is_zero() {
            self.0.clear();
        }
        self.0.set_label(label.used());
        self.0.set_place(host.mapping(), index);
        self.0
    }
}

/// A page that the page allocator keeps in one piece.
fn alloc_pages(gfp: bindings::gfp_t, order: u32, nid: usize) -> Option<Owned> {
    let nid = i32::try_from(nid).ok()?;
    // SAFETY: Nodes of the machine come from its masks; the flags allow to sleep, as we may.
    let page = unsafe { version::alloc_pages_node(gfp, order, nid) };
    // SAFETY: The reference is ours.
    Some(unsafe { Owned::from_folio(NonNull::new(page.cast())?) })
}

/// A page of more base pages than that (`alloc_gigantic_folio`). It is freed like any other.
fn alloc_contig(gfp: bindings::gfp_t, order: u32, nid: usize) -> Option<Owned> {
    let mut nodes = bindings::nodemask_t::default();
    let word = nodes.bits.get_mut(nid / usize::BITS as usize)?;
    *word = 1 << (nid % usize::BITS as usize);
    let nid = i32::try_from(nid).ok()?;
    // SAFETY: The node is one of the machine's; we may sleep.
    let page =
        unsafe { bindings::alloc_contig_frozen_pages_noprof(1 << order, gfp, nid, &mut nodes) };
    // SAFETY: The page is ours alone.
    Some(unsafe { Owned::from_frozen(NonNull::new(page.cast())?) })
}

impl Listed for FreePage {
    fn into_raw(self) -> NonNull<bindings::folio> {
        self.0.into_folio()
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a free page, by the caller's promise.
        // SAFETY: By the same promise.
        Self(unsafe { Owned::from_folio(folio) })
    }
}

/// A page of a file. Page tables may map it and GUP users pin it, each with a reference of its own.
///
/// # Invariants
///
/// `mapping` is that of the file's host, which outlives this.
pub(crate) struct FilePage(ManuallyDrop<Owned>);

impl Mappable for FilePage {
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

impl FilePage {
    /// Waits until what faults let the kernel map is mapped. Under the fault lock of its index, under
    /// which that begins. Sleeps.
    pub(crate) fn wait_for_hand_over(&self) {
        self.0.lock();
        self.0.unlock();
    }

    /// Marks it as broken if `frame` is its first one. Whether it is. Under the fault lock of its
    /// index.
    pub(crate) fn break_at(&self, frame: usize) -> bool {
        self.0.break_at(frame)
    }

    /// Takes the page out of its file: free if nobody else holds it, pinned otherwise. No page
    /// table may map it any more. Sleeps.
    pub(crate) fn leave(self) -> Result<FreePage, PinnedPage> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again and not dropped.
        let page = unsafe { ManuallyDrop::take(&mut this.0) };
        page.into_unmapped()
    }
}

impl Owned {
    /// The same for a page that no page table maps: free if nobody else holds it, else pinned.
    pub(super) fn into_unmapped(mut self) -> Result<FreePage, PinnedPage> {
        self.leave_file();
        PinnedPage(self).unpin()
    }
}

impl Drop for FilePage {
    fn drop(&mut self) {
        self.0.leave_file();
        // SAFETY: The field is not used again.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}

impl Listed for FilePage {
    fn into_raw(self) -> NonNull<bindings::folio> {
        ManuallyDrop::new(self).0.pointer()
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a page of a file, by the caller's promise.
        // SAFETY: By the same promise.
        Self(ManuallyDrop::new(unsafe { Owned::from_folio(folio) }))
    }
}

/// A page in no file that somebody may still have pinned. Dropping it leaves it to the last pin.
///
/// # Invariants
///
/// No page table or page map leads to it; `mapping` is null.
pub(crate) struct PinnedPage(Owned);

impl PinnedPage {
    /// Marks it as broken if `frame` is its first one. Whether it is.
    pub(crate) fn break_at(&self, frame: usize) -> bool {
        self.0.break_at(frame)
    }

    /// The page as a free one if nobody holds it any more, itself otherwise.
    pub(crate) fn unpin(self) -> Result<FreePage, Self> {
        if self.0.is_only_ours() {
            // INVARIANT: Nothing led to it but the references that are gone.
            Ok(FreePage(self.0))
        } else {
            Err(self)
        }
    }
}

impl Listed for PinnedPage {
    fn into_raw(self) -> NonNull<bindings::folio> {
        self.0.into_folio()
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a pinned page, by the caller's promise.
        // SAFETY: By the same promise.
        Self(unsafe { Owned::from_folio(folio) })
    }
}
