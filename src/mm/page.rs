// SPDX-License-Identifier: GPL-2.0

//! A huge page through its life: free, in a file, or out of it but still pinned.
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

use super::{host::Host, version};

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
/// We own one reference. `private` holds the order and whether the content is known to be zero, as
/// [`Label`] writes it.
struct Owned(NonNull<bindings::folio>);

// SAFETY: A reference to a page belongs to no thread.
unsafe impl Send for Owned {}
// SAFETY: What can be done with a shared reference is to read what does not change while we own
// the page.
unsafe impl Sync for Owned {}

/// What `private` says of a page.
#[derive(Clone, Copy)]
struct Label {
    order: u32,
    zero: bool,
}

impl Owned {
    fn folio(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    fn label(&self) -> Label {
        // SAFETY: We own the page, and its `private` is ours. The union has no other user.
        let private = unsafe {
            (*self.folio())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_3
                .private
        } as usize;
        Label {
            order: (private >> 1) as u32,
            zero: private & 1 != 0,
        }
    }

    fn set_label(&mut self, label: Label) {
        let private = (label.order as usize) << 1 | usize::from(label.zero);
        // SAFETY: We own the page, and its `private` is ours.
        unsafe {
            (*self.folio())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_3
                .private = private as *mut _
        };
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
        for i in 0..1usize << self.label().order {
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

    /// Hands our reference to the caller.
    fn into_folio(self) -> NonNull<bindings::folio> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: We own the page, and its `private` is ours; the page allocator expects none.
        unsafe {
            (*self.folio())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_3
                .private = core::ptr::null_mut()
        };
        if self.refcount().fetch_add(-1, Full) == 1 {
            // SAFETY: That was the last reference (`folio_put`).
            unsafe { bindings::__folio_put(self.folio()) };
        }
    }
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
        page.set_label(Label { order, zero: true });
        Some(Self(page))
    }

    /// The node the page lies on.
    pub(crate) fn nid(&self) -> usize {
        self.0.nid()
    }

    /// Whether the content is known to be zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.label().zero
    }

    /// Makes it a page of the file that `host` stands for, at `index` (in base pages). Whatever it
    /// held before is cleared, unless it is known to be zero. Sleeps.
    pub(crate) fn into_file(mut self, host: &Host, index: usize) -> FilePage {
        let label = self.0.label();
        if !label.zero {
            self.0.clear();
        }
        self.0.set_label(Label {
            zero: false,
            ..label
        });
        self.0.set_place(host.mapping(), index);
        FilePage(ManuallyDrop::new(self.0))
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

impl FilePage {
    /// The page for [`vmf_insert_folio_pmd`](super::vma::Fault::insert).
    pub(super) fn folio(&self) -> *mut bindings::folio {
        self.0.folio()
    }

    /// Takes the page out of its file: free if nobody else holds it, pinned otherwise. No page
    /// table may map it any more. Sleeps.
    pub(crate) fn leave(self) -> Result<FreePage, PinnedPage> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again and not dropped.
        let mut page = unsafe { ManuallyDrop::take(&mut this.0) };
        page.leave_file();
        PinnedPage(page).unpin()
    }
}

impl Owned {
    /// Ends the page's time in a file. Under the folio lock, or `folio_mark_dirty_lock` of a late
    /// unpin uses the file's host after it is gone.
    fn leave_file(&mut self) {
        self.lock();
        self.set_place(core::ptr::null_mut(), 0);
        self.unlock();
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
