// SPDX-License-Identifier: GPL-2.0

//! A compound page of ours, whatever it is used for.
//!
//! No LRU list, cgroup or page cache knows these pages, so their owner may use `lru`, `private`,
//! `mapping` and `index`. (include/linux/mm_types.h; rust/kernel/page.rs has base pages only.)

use core::{mem::ManuallyDrop, ptr::NonNull};

use kernel::{
    bindings,
    page::PAGE_SIZE,
    sync::atomic::{Acquire, Atomic, Full, Relaxed, Release},
};

use super::{compound, hwpoison};

/// Base pages that are cleared in one go by who needs the page, 2 MiB: one `rep stosb`.
const CLEARED_AT_ONCE: usize = 512;

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
/// 63 ..... 16   15     14       13 ....... 8     7         6        5 ... 0
///  sharers      0   was shared  made of order  broken  known zero   order
/// ```
#[derive(Clone, Copy)]
pub(super) struct Label(usize);

impl Label {
    const ORDER: usize = 0x3f;
    const ZERO: usize = 1 << 6;
    const BROKEN: usize = 1 << 7;
    const PIECES: u32 = 8;
    /// Several private mappings had it at a time.
    const WAS_SHARED: usize = 1 << 14;
    /// One more private mapping that has the page, beside the first.
    const SHARER: usize = 1 << 16;

    pub(super) fn new(order: u32, zero: bool) -> Self {
        Self(order as usize & Self::ORDER | if zero { Self::ZERO } else { 0 })
    }

    pub(super) fn order(self) -> u32 {
        (self.0 & Self::ORDER) as u32
    }

    /// Whether `private` of some compound page of that order says what it would if the page were
    /// ours. Who else has such pages is unlikely to keep the same there.
    pub(super) fn may_be(private: usize, order: u32) -> bool {
        let changing = Self::ZERO | Self::BROKEN | Self::ORDER << Self::PIECES | Self::WAS_SHARED;
        private & (Self::SHARER - 1) & !changing == order as usize
    }

    /// Whether that says, if the page is ours, that it is broken.
    pub(super) fn may_be_broken(private: usize) -> bool {
        Self(private).is_broken()
    }

    /// Whether it was found broken while it had users: it is to leave the pool.
    pub(super) fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 & Self::ZERO != 0
    }

    /// The same of a page that was cleared.
    pub(super) fn zero(self) -> Self {
        Self(self.0 | Self::ZERO)
    }

    /// The same of a page that gets a user, who writes to it and has shared it with nobody yet.
    pub(super) fn used(self) -> Self {
        Self(self.0 & !(Self::ZERO | Self::WAS_SHARED))
    }

    /// The same of a page that was made of pages of `1 << order` base pages: it goes back to the
    /// page allocator as those.
    pub(super) fn made_of(self, order: u32) -> Self {
        let others = self.0 & !(Self::ORDER << Self::PIECES);
        Self(others | (order as usize & Self::ORDER) << Self::PIECES)
    }

    /// The order of the pages that the page was made of, if it was.
    pub(super) fn pieces(self) -> Option<u32> {
        match (self.0 >> Self::PIECES & Self::ORDER) as u32 {
            0 => None,
            order => Some(order),
        }
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

    pub(super) fn label(&self) -> Label {
        Label(self.private().load(Relaxed))
    }

    pub(super) fn set_label(&mut self, label: Label) {
        self.private().store(label.0, Relaxed);
    }

    /// Marks the page as broken if `frame` is its first one. Whether it is.
    pub(super) fn break_at(&self, frame: usize) -> bool {
        let is_it = self.frame() == frame;
        if is_it {
            self.set_broken();
        }
        is_it
    }

    fn set_broken(&self) {
        self.change_label(|label| label | Label::BROKEN);
    }

    /// Changes a bit of the label, whose number of sharers others may change meanwhile.
    fn change_label(&self, change: impl Fn(usize) -> usize) {
        let mut old = self.label().0;
        while let Err(now) = self.private().cmpxchg(old, change(old), Relaxed) {
            old = now;
        }
    }

    /// Whether the page's memory is broken.
    fn is_broken(&self) -> bool {
        let label = self.label();
        if label.is_broken() || hwpoison::failures_on(self.nid()) == 0 {
            return label.is_broken();
        }
        // SAFETY: We own the page, and its label says how large it is.
        unsafe { hwpoison::has_broken(self.0, label.order()) }
    }

    /// Counts one more that shares the page. Whoever does so has a share already.
    pub(super) fn add_sharer(&self) {
        self.change_label(|label| (label | Label::WAS_SHARED) + Label::SHARER);
    }

    /// Whether somebody may have pinned the page who shared it. Of a page that nobody shares with the
    /// caller: once that is not so, pins are the caller's own.
    pub(super) fn is_pinned_by_former_sharer(&self) -> bool {
        if self.label().0 & Label::WAS_SHARED == 0 {
            return false;
        }
        let is_pinned = self.is_dma_pinned();
        if !is_pinned {
            self.change_label(|label| label & !Label::WAS_SHARED);
        }
        is_pinned
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

    pub(super) fn nid(&self) -> usize {
        // SAFETY: A folio begins with its head page, and we own a reference.
        let nid = unsafe { bindings::page_to_nid(self.folio().cast()) };
        usize::try_from(nid).unwrap_or_default()
    }

    /// The number of its first page frame.
    pub(super) fn frame(&self) -> usize {
        frame(self.0)
    }

    pub(super) fn refcount(&self) -> &Atomic<i32> {
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
    pub(super) fn is_only_ours(&self) -> bool {
        let frozen = self.freeze();
        if frozen {
            self.unfreeze();
        }
        frozen
    }

    /// Takes our reference away if it is the only one: until [`Self::unfreeze`] nobody can make
    /// another one. False if it is not.
    pub(super) fn freeze(&self) -> bool {
        self.refcount().cmpxchg(1, 0, Full).is_ok()
    }

    /// Makes our reference again.
    pub(super) fn unfreeze(&self) {
        self.refcount().store(1, Release);
    }

    /// `folio_lock`. Sleeps.
    pub(super) fn lock(&self) {
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

    pub(super) fn unlock(&self) {
        // SAFETY: [`Self::lock`] locked it.
        unsafe { bindings::folio_unlock(self.folio()) };
    }

    /// The page's place in a file: what `folio->mapping` and `folio->index` say.
    pub(super) fn set_place(&mut self, mapping: *mut bindings::address_space, index: usize) {
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

    /// Clears the whole page. The lengthy part of a fault.
    pub(super) fn clear(&mut self) {
        let base_pages = 1usize << self.label().order();
        let count = CLEARED_AT_ONCE.min(base_pages);
        for first in (0..base_pages).step_by(count) {
            // SAFETY: The page has that many base pages, a multiple of `count`, and we own them all.
            // Nobody else uses the content.
            unsafe { clear(self.0, first, count) };
        }
    }

    /// Copies the whole page from `source`. False: a part of that is poisoned. Sleeps.
    pub(super) fn copy(&mut self, source: *mut bindings::folio) -> bool {
        // SAFETY: Both are pages of the same size, `source` by the callers' promise; nobody else
        // uses our content.
        unsafe { bindings::folio_mc_copy(self.folio(), source) == 0 }
    }

    /// A page that the page allocator handed out frozen, without a reference: makes the first.
    ///
    /// # Safety
    ///
    /// The page must be the caller's alone.
    pub(super) unsafe fn from_frozen(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: The reference is made now.
        let this = Self(folio);
        this.unfreeze();
        this
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
    pub(super) fn into_folio(self) -> NonNull<bindings::folio> {
        ManuallyDrop::new(self).0
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
}

impl Drop for Owned {
    fn drop(&mut self) {
        let label = self.label();
        let is_broken = self.is_broken();
        // The page allocator expects nothing there.
        self.private().store(0, Relaxed);
        if is_broken {
            let nid = self.nid();
            // The page allocator would give all of it to somebody, as it looks at single base pages
            // only: it gets those. While somebody else has a reference, ours is never given up.
            let is_frozen = self.freeze();
            // SAFETY: The page is frozen then, and so ours alone; its `private` was cleared.
            let is_back = is_frozen && unsafe { compound::give_back_broken(self.0, label.order()) };
            if is_frozen && !is_back {
                self.unfreeze();
            }
            hwpoison::count_broken(label.order(), nid, is_back);
            return;
        }
        if self.refcount().fetch_add(-1, Full) != 1 {
            return;
        }
        // SAFETY: That was the last reference (`folio_put`), so nobody else has the page, nor those
        // that it is made of.
        unsafe {
            match label.pieces() {
                None => bindings::__folio_put(self.folio()),
                Some(order) => compound::give_back_as(self.0, label.order(), order),
            }
        }
    }
}

#[cfg(CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP)]
compile_error!("kmap_local_page maps base pages only with CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP");

/// Clears `count` base pages of a page, from its `first` on.
///
/// # Safety
///
/// The page must have them, and nobody else may use what is in them.
pub(super) unsafe fn clear(folio: NonNull<bindings::folio>, first: usize, count: usize) {
    let head = folio.as_ptr().cast::<bindings::page>();
    // SAFETY: By the caller's promise; they are contiguous in the memory map (at most 1 GiB: inside
    // one section's map). x86-64 has no high memory: kmap_local_page never fails, and pages that
    // follow one another do so in the direct map, too.
    unsafe {
        let start = bindings::kmap_local_page(head.add(first));
        start.cast::<u8>().write_bytes(0, count * PAGE_SIZE);
        bindings::kunmap_local(start);
    }
}

/// The number of a page's first page frame (`folio_pfn`).
pub(super) fn frame(folio: NonNull<bindings::folio>) -> usize {
    // SAFETY: Set once at boot.
    let first = unsafe { bindings::vmemmap_base };
    (folio.as_ptr().addr() - first) / size_of::<bindings::page>()
}

/// The page whose first page frame is `frame`, if a page begins there (`pfn_folio`).
pub(super) fn folio_at(frame: usize) -> Option<NonNull<bindings::folio>> {
    // SAFETY: Set once at boot.
    let first = unsafe { bindings::vmemmap_base } as *mut bindings::page;
    NonNull::new(first.wrapping_add(frame).cast())
}
