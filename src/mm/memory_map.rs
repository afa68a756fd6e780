// SPDX-License-Identifier: GPL-2.0

//! The memory map: what `struct page` says of any page of the machine, whoever has it.
//!
//! Like /proc/kpageflags and page_owner this walks over page frames with `pfn_to_online_page` and
//! takes neither references nor locks: what it sees may be outdated, and two fields of a page need
//! not be of the same moment. Only words are copied; no pointer that is found there is followed.
//!
//! A memory map can go with its memory (hot-unplug). What the kernel's own walkers use against that,
//! `get_online_mems`, is not exported. But a section is marked offline before MEM_OFFLINE is sent,
//! and its map is there until that is answered; so the answer waits for a walker that saw the section
//! online, and who comes later does not see it.

use core::{ops::Range, ptr::addr_of};

use kernel::{
    bindings, container_of,
    error::to_result,
    ffi::{c_int, c_ulong, c_void},
    prelude::*,
    sync::{new_mutex, Mutex},
    types::Opaque,
};

use super::{compound, folio::Label, hwpoison, version::cond_resched};

/// Base pages that are online together (PAGES_PER_SUBSECTION).
const BLOCK: usize = 1 << (bindings::SUBSECTION_SHIFT - bindings::PAGE_SHIFT);

/// The largest order that is believed of a page seen without a lock: 1 GiB.
const MAX_ORDER: u32 = 18;

extern "C" {
    // include/linux/memory.h, which the bindings do not have.
    fn register_memory_notifier(block: *mut bindings::notifier_block) -> c_int;
    fn unregister_memory_notifier(block: *mut bindings::notifier_block);
}

/// What `page_type` says.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    /// `PageBuddy`.
    Buddy,
    /// `folio_test_hugetlb`.
    Hugetlb,
    /// `page_has_movable_ops`.
    MovableOps,
    /// Another type.
    Other,
    /// None.
    None,
}

/// What was seen of a page.
pub(crate) struct Look {
    /// Base pages from here to the end of the compound page or free block, of which all this is true.
    pub(crate) length: usize,
    /// The page's node.
    pub(crate) nid: usize,
    /// The page's zone.
    pub(crate) zone: usize,
    /// The order of its compound page.
    pub(crate) order: Option<u32>,
    /// Its type.
    pub(crate) kind: Type,
    /// `PG_reserved`.
    pub(crate) reserved: bool,
    /// `PG_lru`.
    pub(crate) lru: bool,
    /// `mapping` is set.
    pub(crate) has_mapping: bool,
    /// `private` could be the label of a page of ours.
    pub(crate) ours: bool,
    /// And that of a page that is known to be broken.
    pub(crate) known_broken: bool,
    /// Its reference count.
    pub(crate) references: i64,
    /// `folio_expected_ref_count`.
    pub(crate) accounted: i64,
}

/// A page that may be ours, a part of which is broken; not yet known to be.
#[derive(PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its first frame.
    pub(crate) frame: usize,
    /// It has `1 << order` base pages.
    pub(crate) order: u32,
    /// Its node.
    pub(crate) nid: usize,
}

impl Broken {
    /// What was seen of the page that has frame `pfn`, if it may be ours.
    fn new(look: &Look, pfn: usize) -> Option<Self> {
        let order = look.order.filter(|_| look.ours && !look.known_broken)?;
        Some(Self {
            frame: pfn & !((1 << order) - 1),
            order,
            nid: look.nid,
        })
    }
}

/// A place in a file, as a page says that is there; not yet known to be true.
pub(crate) struct Place {
    /// The address of the file's `address_space`.
    pub(super) mapping: usize,
    /// In base pages.
    pub(crate) index: usize,
}

impl Place {
    /// None: the page is in no file.
    ///
    /// # Safety
    ///
    /// As for [`look`].
    unsafe fn seen(page: *const bindings::page) -> Option<Self> {
        // SAFETY: By the caller's promise; reads of a word each that others may write.
        let (mapping, index) = unsafe {
            let union = addr_of!((*page).__bindgen_anon_1.__bindgen_anon_1);
            (
                addr_of!((*union).mapping).cast::<usize>().read_volatile(),
                addr_of!((*union).__bindgen_anon_2)
                    .cast::<usize>()
                    .read_volatile(),
            )
        };
        (mapping != 0).then_some(Self { mapping, index })
    }
}

/// The memory map of the machine, which stays while it is looked at.
///
/// # Invariants
///
/// `block` is registered from initialisation to drop.
#[pin_data(PinnedDrop)]
pub(crate) struct MemoryMap {
    #[pin]
    walk: Mutex<()>,
    #[pin]
    block: Opaque<bindings::notifier_block>,
}

// SAFETY: A notifier may be unregistered on another thread than the one that registered it.
unsafe impl Send for MemoryMap {}
// SAFETY: All that is changed is behind a mutex.
unsafe impl Sync for MemoryMap {}

impl MemoryMap {
    /// Sleeps.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            walk <- new_mutex!((), "rust_hugetlb::MemoryMap"),
            // INVARIANT: Last, so that what could not be registered is never dropped.
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                // SAFETY: The slot may be written to and stays where it is.
                to_result(unsafe {
                    slot.write(bindings::notifier_block {
                        notifier_call: Some(Self::notice),
                        ..pin_init::zeroed()
                    });
                    register_memory_notifier(slot)
                })
            }),
        })
    }

    /// Shows `visit` what there is in `pages` base pages from `pfn`: what, or none if there is no
    /// memory, and for how many base pages that is so. `visit` must not sleep or allocate. EINTR when
    /// a signal came. Sleeps.
    pub(crate) fn walk(
        &self,
        pfn: usize,
        pages: usize,
        mut visit: impl FnMut(Option<Look>, usize),
    ) -> Result {
        let end = pfn.saturating_add(pages);
        self.blocks(pfn, pages, |first, block| {
            let Some(first) = first else {
                visit(None, block.len());
                return block.end;
            };
            let mut pfn = block.start;
            while pfn < block.end {
                // SAFETY: All of the block is online as its first page is, and while it is shown its
                // map stays.
                let look = unsafe { look(first.add(pfn - block.start), pfn) };
                let length = look.length.clamp(1, end - pfn);
                visit(Some(look), length);
                pfn += length;
            }
            pfn
        })
    }

    /// Shows `found`, for each base page that is broken of `pages` from `pfn`, the page that it is part
    /// of, if that may be ours. `found` must not sleep or allocate. EINTR when a signal came. Sleeps.
    pub(crate) fn find_broken(
        &self,
        pfn: usize,
        pages: usize,
        mut found: impl FnMut(Broken),
    ) -> Result {
        self.blocks(pfn, pages, |first, block| {
            let end = block.end;
            let Some(first) = first else {
                return end;
            };
            for (number, pfn) in block.enumerate() {
                // SAFETY: As in `walk`.
                let look = unsafe {
                    let page = first.add(number);
                    hwpoison::is_broken(page).then(|| look(page, pfn))
                };
                if let Some(page) = look.and_then(|look| Broken::new(&look, pfn)) {
                    found(page);
                }
            }
            end
        })
    }

    /// Shows `see` the memory map of `pages` base pages from `pfn`, a block at a time: its first page,
    /// none where there is no memory, and its frames. The map stays meanwhile. `see` says where to go
    /// on. EINTR when a signal came. Sleeps.
    fn blocks(
        &self,
        pfn: usize,
        pages: usize,
        mut see: impl FnMut(Option<*const bindings::page>, Range<usize>) -> usize,
    ) -> Result {
        let end = pfn.checked_add(pages).ok_or(EOVERFLOW)?;
        let mut pfn = pfn;
        while pfn < end {
            let stays = self.walk.lock();
            pfn = see(online(pfn), pfn..end.min((pfn | (BLOCK - 1)) + 1));
            drop(stays);
            if current!().signal_pending() {
                return Err(EINTR);
            }
            cond_resched();
        }
        Ok(())
    }

    /// Where such a page is in use, if it is, and if it may still be there, and ours. Sleeps.
    pub(crate) fn place_of(&self, page: &Broken) -> Option<Option<Place>> {
        let _stays = self.walk.lock();
        let head = online(page.frame)?;
        // SAFETY: As in `walk`.
        let (look, place) = unsafe { (look(head, page.frame), Place::seen(head)) };
        let is_still = Broken::new(&look, page.frame).as_ref() == Some(page);
        is_still.then_some(place)
    }

    /// # Safety
    ///
    /// To be called by the notifier chain that `block` is in.
    unsafe extern "C" fn notice(
        block: *mut bindings::notifier_block,
        _: c_ulong,
        _: *mut c_void,
    ) -> c_int {
        let block: *mut Opaque<bindings::notifier_block> = block.cast();
        // SAFETY: By the type invariant the block is in a `Self`, which is there while it is
        // registered.
        let this = unsafe { &*container_of!(block, Self, block) };
        // It is rare: no need to tell MEM_OFFLINE from the others.
        drop(this.walk.lock());
        bindings::NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl PinnedDrop for MemoryMap {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. Waits for calls under way.
        unsafe { unregister_memory_notifier(self.block.get()) };
    }
}

/// The page of a frame, if it is one of the page allocator's.
fn online(pfn: usize) -> Option<*const bindings::page> {
    // SAFETY: Any number will do.
    let page = unsafe { bindings::pfn_to_online_page(pfn) };
    (!page.is_null()).then_some(page.cast_const())
}

/// # Safety
///
/// `page` must be that of frame `pfn`, and its block of the memory map must stay.
unsafe fn look(page: *const bindings::page, pfn: usize) -> Look {
    // SAFETY: By the caller's promise; a read of a word at a time that others may write.
    let info = unsafe {
        addr_of!((*page).__bindgen_anon_1.__bindgen_anon_3)
            .cast::<usize>()
            .read_volatile()
    };
    if info & 1 != 0 {
        // A tail. Its head lies before it, unless the page was freed as we came here.
        for order in 1..=MAX_ORDER {
            let first = pfn & !((1 << order) - 1);
            if let Some(head) = online(first).filter(|_| first != pfn) {
                // SAFETY: It is online, and the lock that the caller holds keeps its block, too.
                let seen = unsafe { look_at_head(head, first) };
                if first + seen.length > pfn {
                    let length = first + seen.length - pfn;
                    return Look { length, ..seen };
                }
            }
        }
    }
    // SAFETY: By the caller's promise.
    unsafe { look_at_head(page, pfn) }
}

/// # Safety
///
/// As for [`look`].
unsafe fn look_at_head(page: *const bindings::page, pfn: usize) -> Look {
    // SAFETY: By the caller's promise the page is there. Fields are read one by one, as integers that
    // others may change at any time.
    let (flags, references, mapcount, mapping, private) = unsafe {
        let union = addr_of!((*page).__bindgen_anon_1.__bindgen_anon_1);
        (
            addr_of!((*page).flags.f).read_volatile(),
            addr_of!((*page)._refcount.counter).read_volatile(),
            addr_of!((*page).__bindgen_anon_2._mapcount.counter).read_volatile(),
            addr_of!((*union).mapping).cast::<usize>().read_volatile(),
            addr_of!((*union).private).read_volatile(),
        )
    };
    let has = |bit: u32| flags & (1 << bit) != 0;
    let kind = kind_of(mapcount as u32, has(bindings::pageflags_PG_movable_ops));
    // The second page, which holds the order, lies in the same block.
    let compound = has(bindings::pageflags_PG_head) && pfn & 1 == 0;
    // SAFETY: By the caller's promise, and as above.
    let (order, mapcount) = unsafe {
        let folio = page.cast::<bindings::folio>();
        if compound {
            let second = addr_of!((*folio).__bindgen_anon_2.__bindgen_anon_1);
            let order = addr_of!((*second)._flags_1).read_volatile() & compound::ORDER;
            let maps = addr_of!(
                (*second)
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    ._large_mapcount
                    .counter
            );
            (Some(MAX_ORDER.min(order as u32)), maps.read_volatile())
        } else {
            (None, mapcount)
        }
    };
    let block_order = match kind {
        Type::Buddy => (private as u32).min(bindings::MAX_PAGE_ORDER),
        _ => 0,
    };
    let pages = 1i64 << order.unwrap_or(0);
    let anonymous = mapping & bindings::FOLIO_MAPPING_ANON as usize != 0;
    let cached = has(bindings::pageflags_PG_swapcache) || (mapping != 0 && !anonymous);
    let buffers = has(bindings::pageflags_PG_private) && !anonymous;
    let mapped = if compound || matches!(kind, Type::None) {
        i64::from(mapcount) + 1
    } else {
        0
    };
    let top = usize::BITS - bindings::SECTIONS_WIDTH;
    let field = |shift: u32, width: u32| flags >> shift & ((1 << width) - 1);
    Look {
        length: 1 << order.unwrap_or(block_order),
        nid: field(top - bindings::NODES_WIDTH, bindings::NODES_WIDTH),
        zone: field(
            top - bindings::NODES_WIDTH - bindings::ZONES_WIDTH,
            bindings::ZONES_WIDTH,
        ),
        order,
        kind,
        reserved: has(bindings::pageflags_PG_reserved),
        lru: has(bindings::pageflags_PG_lru),
        has_mapping: mapping != 0,
        ours: order.is_some_and(|order| Label::may_be(private, order)),
        known_broken: Label::may_be_broken(private),
        references: i64::from(references),
        accounted: if cached { pages } else { 0 } + i64::from(buffers) + mapped,
    }
}

/// The type that a page of this `page_type` has.
fn kind_of(page_type: u32, movable_ops: bool) -> Type {
    // A mapping count in the same word is never that high.
    match page_type >> 24 {
        bindings::pagetype_PGTY_buddy => Type::Buddy,
        bindings::pagetype_PGTY_hugetlb => Type::Hugetlb,
        bindings::pagetype_PGTY_offline | bindings::pagetype_PGTY_zsmalloc if movable_ops => {
            Type::MovableOps
        }
        0x80..=0xfe => Type::Other,
        _ => Type::None,
    }
}
