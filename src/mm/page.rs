// SPDX-License-Identifier: GPL-2.0

//! A huge page through its life: free, in a file (or, see [`PrivatePage`], in private mappings of
//! it), or out of it but still pinned.
//!
//! One type for each state; a page changes state by being consumed. Dropping a page in any state
//! gives it back to the page allocator, at once or when the last foreign reference goes, so no
//! path can lose one. (mm/hugetlb.c: `free_huge_folio`; include/linux/page_ref.h.)
//!
//! All are compound pages that no LRU list, cgroup or page cache knows, so their owner may use
//! `lru`, `private`, `mapping` and `index`.

use core::{mem::ManuallyDrop, ptr::NonNull};

use kernel::{
    bindings,
    page::PAGE_SIZE,
    sync::atomic::{Acquire, Atomic, Full, Relaxed, Release},
};

use super::{host::Host, private_page::PrivatePage, version};

/// `GFP_USER` for a compound page on one node, without noise. Not `__GFP_MOVABLE`: pages in
/// ZONE_MOVABLE refuse long-term pins, and nobody could move these anyway.
const GFP: bindings::gfp_t = bindings::GFP_KERNEL
    | 1 << bindings::___GFP_HARDWALL_BIT
    | 1 << bindings::___GFP_COMP_BIT
    | 1 << bindings::___GFP_THISNODE_BIT
    | bindings::__GFP_NOWARN
    | bindings::__GFP_ZERO;

const GFP_TRY_HARD: bindings::gfp_t = 1 << bindings::___GFP_RETRY_MAYFAIL_BIT;

/// A compound page of ours.
///
/// # Invariants
///
/// We own one reference. `private` holds a [`Label`].
pub(super) struct Owned(NonNull<bindings::folio>);

// SAFETY: A reference to a page belongs to no thread.
unsafe impl Send for Owned {}
// SAFETY: What can be done with a shared reference is to read what does not change while we own
// the page.
unsafe impl Sync for Owned {}

/// What `private` says of a page.
///
/// ```text
/// 63 ...... 8   7      6        5 ... 0
///  sharers      0   known zero   order
/// ```
#[derive(Clone, Copy)]
struct Label(usize);

impl Label {
    const ORDER: usize = 0x3f;
    const ZERO: usize = 1 << 6;
    /// One more private mapping that has the page, beside the first.
    const SHARER: usize = 1 << 8;

    fn new(order: u32, zero: bool) -> Self {
        Self(order as usize & Self::ORDER | if zero { Self::ZERO } else { 0 })
    }

    fn order(self) -> u32 {
        (self.0 & Self::ORDER) as u32
    }

    fn is_zero(self) -> bool {
        self.0 & Self::ZERO != 0
    }
}

impl Owned {
    pub(super) fn folio(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    pub(super) fn pointer(&self) -> NonNull<bindings::folio> {
        self.0
    }

    fn private(&self) -> &Atomic<usize> {
        // SAFETY: We own the page, and its `private` is ours and accessed in this way only. The
        // union has no other user.
        unsafe {
            Atomic::from_ptr(
                (&raw mut (*self.folio())
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    .__bindgen_anon_3
                    .private)
                    .cast(),
            )
        }
    }

    fn label(&self) -> Label {
        Label(self.private().load(Relaxed))
    }

    fn set_label(&mut self, label: Label) {
        self.private().store(label.0, Relaxed);
    }

    /// Counts one more that shares the page. Whoever does so has a share already.
    pub(super) fn add_sharer(&self) {
        self.private().fetch_add(Label::SHARER, Relaxed);
    }

    /// Gives one share up. False: it was the last one, and the page is the caller's alone.
    pub(super) fn remove_sharer(&self) -> bool {
        let mut old = self.label().0;
        while old >= Label::SHARER {
            // Full: what others did with the page comes before what its last sharer does.
            match self.private().cmpxchg(old, old - Label::SHARER, Full) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Whether nobody shares the page with the caller.
    pub(super) fn is_unshared(&self) -> bool {
        self.label().0 < Label::SHARER
    }

    /// Whether a GUP user has pinned it (`folio_maybe_dma_pinned` of a large folio).
    pub(super) fn is_dma_pinned(&self) -> bool {
        // SAFETY: We own the page, which has more than one base page and so such a counter; the
        // pinners' accesses to it are atomic.
        let pins = unsafe {
            Atomic::<i32>::from_ptr(
                &raw mut (*self.folio())
                    .__bindgen_anon_2
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    ._pincount
                    .counter,
            )
        };
        pins.load(Acquire) > 0
    }

    fn nid(&self) -> usize {
        // SAFETY: A folio begins with its head page, and we own a reference.
        let nid = unsafe { bindings::page_to_nid(self.folio().cast()) };
        usize::try_from(nid).unwrap_or_default()
    }

    fn refcount(&self) -> &Atomic<i32> {
        // SAFETY: The counter lives as long as we own a reference, and everybody's accesses to it
        // are atomic.
        unsafe {
            Atomic::from_ptr(
                &raw mut (*self.folio())
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    ._refcount
                    .counter,
            )
        }
    }

    /// Whether nobody else has a reference, now and from now on (`folio_ref_freeze`).
    ///
    /// Once no page table and no page map leads to the page, only who has a reference can make
    /// another one; so what is true at the freeze stays true. (A lookup that began before, like
    /// lockless GUP, may still take and drop one; it never uses it.) The freeze also orders what
    /// former users wrote before what the next one reads.
    fn is_only_ours(&self) -> bool {
        let refcount = self.refcount();
        if refcount.cmpxchg(1, 0, Full).is_err() {
            return false;
        }
        refcount.store(1, Release);
        true
    }

    /// `folio_lock`. Sleeps.
    fn lock(&self) {
        // SAFETY: The flags live as long as we own a reference, and once a page is in use
        // everybody's accesses to them are atomic.
        let flags = unsafe {
            Atomic::from_ptr(&raw mut (*self.folio()).__bindgen_anon_1.__bindgen_anon_1.flags.f)
        };
        let locked: usize = 1 << bindings::pageflags_PG_locked;
        let mut old = flags.load(Relaxed);
        while old & locked == 0 {
            match flags.cmpxchg(old, old | locked, Acquire) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
        // SAFETY: We own a reference and may sleep.
        unsafe { bindings::__folio_lock(self.folio()) };
    }

    fn unlock(&self) {
        // SAFETY: [`Self::lock`] locked it.
        unsafe { bindings::folio_unlock(self.folio()) };
    }

    /// The page's place in a file: what `folio->mapping` and `folio->index` say.
    fn set_place(&mut self, mapping: *mut bindings::address_space, index: usize) {
        let head = self.folio();
        // SAFETY: We own the page. A futex or a late `folio_mark_dirty` may read `mapping` at the
        // same time, hence the volatile write; they cope with either value.
        unsafe {
            (&raw mut (*head).__bindgen_anon_1.__bindgen_anon_1.mapping).write_volatile(mapping);
            (*head)
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_2
                .index = index;
        }
    }

    /// Clears the whole page. The lengthy part of a fault; sleeps in between where the kernel is
    /// preemptible.
    fn clear(&mut self) {
        let head = self.folio().cast::<bindings::page>();
        for i in 0..1usize << self.label().order() {
            // SAFETY: The page has that many base pages, contiguous in the memory map (at most
            // 1 GiB: inside one section's map), and we own them all. x86-64 has no high memory, so
            // kmap_local_page never fails. Nobody else uses the content.
            unsafe {
                let base = bindings::kmap_local_page(head.add(i));
                base.cast::<u8>().write_bytes(0, PAGE_SIZE);
                bindings::kunmap_local(base);
            }
        }
    }

    /// Copies the whole page from `source`. False: a part of that is poisoned. Sleeps.
    fn copy(&mut self, source: *mut bindings::folio) -> bool {
        // SAFETY: Both are pages of the same size, `source` by the callers' promise; nobody else
        // uses our content.
        unsafe { bindings::folio_mc_copy(self.folio(), source) == 0 }
    }

    /// Takes a reference back.
    ///
    /// # Safety
    ///
    /// `folio` must be such a page, with a reference for this, unless this is never dropped.
    pub(super) unsafe fn from_folio(folio: NonNull<bindings::folio>) -> Self {
        Self(folio)
    }

    /// Hands our reference to the caller.
    fn into_folio(self) -> NonNull<bindings::folio> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // The page allocator expects nothing there.
        self.private().store(0, Relaxed);
        if self.refcount().fetch_add(-1, Full) == 1 {
            // SAFETY: That was the last reference (`folio_put`).
            unsafe { bindings::__folio_put(self.folio()) };
        }
    }
}

/// A page that page tables may map.
pub(crate) trait Mappable {
    /// Its folio, which is there while `self` is.
    #[doc(hidden)]
    fn folio(&self) -> *mut bindings::folio;
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
pub(crate) struct FreePage(Owned);

impl FreePage {
    /// A page of `1 << order` base pages, cleared, on node `nid` and no other; reclaims and compacts
    /// at length if `hard`. Sleeps.
    pub(crate) fn alloc(nid: usize, order: u32, hard: bool) -> Option<Self> {
        let gfp = if hard { GFP | GFP_TRY_HARD } else { GFP };
        let nid = i32::try_from(nid).ok()?;
        // SAFETY: Nodes of the machine come from its masks; the flags allow to sleep, as we may.
        let page = unsafe { version::alloc_pages_node(gfp, order, nid) };
        // INVARIANT: The page allocator gave us the only reference, and the label follows.
        let mut page = Owned(NonNull::new(page.cast())?);
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
        self.0.set_label(Label::new(self.0.label().order(), false));
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
        self.0.set_label(Label::new(label.order(), false));
        self.0.set_place(host.mapping(), index);
        self.0
    }
}

impl Listed for FreePage {
    fn into_raw(self) -> NonNull<bindings::folio> {
        self.0.into_folio()
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a free page, by the caller's promise.
        Self(Owned(folio))
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
}

impl FilePage {
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
    /// Ends the page's time in a file. Under the folio lock, or `folio_mark_dirty_lock` of a late
    /// unpin uses the file's host after it is gone.
    pub(super) fn leave_file(&mut self) {
        self.lock();
        self.set_place(core::ptr::null_mut(), 0);
        self.unlock();
    }

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
        ManuallyDrop::new(self).0 .0
    }

    unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The pointer stands for a page of a file, by the caller's promise.
        Self(ManuallyDrop::new(Owned(folio)))
    }
}

/// A page in no file that somebody may still have pinned. Dropping it leaves it to the last pin.
///
/// # Invariants
///
/// No page table or page map leads to it; `mapping` is null.
pub(crate) struct PinnedPage(Owned);

impl PinnedPage {
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
        Self(Owned(folio))
    }
}
