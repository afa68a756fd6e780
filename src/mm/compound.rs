// SPDX-License-Identifier: GPL-2.0

//! One compound page made into many, or many into one, in place.
//!
//! What `prep_compound_page` (mm/internal.h, mm/page_alloc.c) would do if it were exported; hugetlb
//! does the same with its own pages (`demote_free_hugetlb_folios`). No page that changes its size
//! passes through the page allocator, so none can be lost there. Two things keep that safe on a kernel
//! that lays these words out in another way: a page is looked at before it is changed ([`is_as_made`]),
//! and what does not depend on the order is copied from it, as the kernel made it.

use core::ptr::NonNull;

use kernel::bindings;

use super::hwpoison;

type Folio = NonNull<bindings::folio>;

/// What any `struct page` has, as `struct folio` names it.
type Fields = bindings::folio__bindgen_ty_1__bindgen_ty_1;
/// What the second one of a compound page has.
type Second = bindings::folio__bindgen_ty_2__bindgen_ty_1;

/// The flags proper; node, zone and others are above.
const FLAGS: usize = (1 << bindings::pageflags___NR_PAGEFLAGS) - 1;
const HEAD: usize = 1 << bindings::pageflags_PG_head;
const POISON: usize = 1 << bindings::pageflags_PG_hwpoison;
/// Where the second page's flags hold the order (`folio_set_order`).
pub(super) const ORDER: usize = 0xff;
/// The first tail whose `mapping` has no other use; each after it has the same there.
const PLAIN_TAIL: usize = 4;

/// Whether a compound page of `1 << order` base pages is what a page is that the page allocator just
/// made and nobody uses, as far as we know it: such a page can be taken apart, or put together with
/// others. A poisoned one cannot.
///
/// # Safety
///
/// It must be a compound page of that order, frozen and the caller's alone.
pub(super) unsafe fn is_as_made(folio: Folio, order: u32) -> bool {
    // SAFETY: By the caller's promise.
    unsafe { is_as_made_but(folio, order, 0) }
}

/// The same, whether or not base pages have the flags `ignored`.
///
/// # Safety
///
/// As for [`is_as_made`].
unsafe fn is_as_made_but(folio: Folio, order: u32, ignored: usize) -> bool {
    let info = tail_info(folio, order);
    // SAFETY: The page is the caller's, with that many `struct page`s, which follow one another.
    // What others may change of them at the same time (poison) is looked at once.
    unsafe {
        let head = fields(folio, 0);
        let second = second(folio);
        let flags = (*head).flags.f;
        if flags & HEAD == 0
            || flags & POISON & !ignored != 0
            || !(*head).mapping.is_null()
            || (*head)._mapcount.counter != -1
            || (*second)._flags_1 & FLAGS & !ignored != order as usize
            || !has_size(second, 1 << order)
            || !is_unused(second)
        {
            return false;
        }
        // The first tails, which differ, and the last show how all are made; the flags of each count,
        // as any can be poisoned.
        let last = (1 << order) - 1;
        let mapping = (*fields(folio, PLAIN_TAIL)).mapping;
        let looks_like_one = |i| {
            let tail = fields(folio, i);
            compound_info(tail).read() == info
                && (i < PLAIN_TAIL || (*tail).mapping == mapping)
                && private(tail).read() == 0
                && (*tail)._mapcount.counter == -1
                && (*tail)._refcount.counter == 0
        };
        let flags = (2..=last).fold(0, |flags, i| flags | (*fields(folio, i)).flags.f);
        flags & FLAGS & !ignored == 0 && (1..=PLAIN_TAIL + 1).chain([last]).all(looks_like_one)
    }
}

/// Makes of a page of `1 << order` base pages pages of `1 << piece` ones, frozen like it.
///
/// # Safety
///
/// It must be a compound page of that order, frozen and the caller's alone; `piece` must be less than
/// `order` and at least 3.
pub(super) unsafe fn split(folio: Folio, order: u32, piece: u32) {
    // SAFETY: The page is the caller's, with that many `struct page`s, which follow one another.
    unsafe {
        let counters = (*second(folio)).__bindgen_anon_1._usable_1;
        for first in (0..1 << order).step_by(1 << piece) {
            let head = fields(folio, first);
            if first != 0 {
                compound_info(head).write_volatile(0);
                (*head).flags.f |= HEAD;
                (*head).mapping = core::ptr::null_mut();
                (*head).__bindgen_anon_2.index = 0;
            }
            prep(at(folio, first), piece, counters);
        }
    }
}

/// Makes of pages of `1 << piece` base pages, the first of which is `folio`, one of `1 << order`,
/// frozen like them.
///
/// # Safety
///
/// They must be adjacent and together aligned, of one zone, each a compound page of that order,
/// frozen and the caller's alone, and [`is_as_made`].
pub(super) unsafe fn merge(folio: Folio, piece: u32, order: u32) {
    // SAFETY: The pages are the caller's, and their `struct page`s follow one another.
    unsafe {
        let counters = (*second(folio)).__bindgen_anon_1._usable_1;
        let mapping = (*fields(folio, PLAIN_TAIL)).mapping;
        for first in (0..1 << order).step_by(1 << piece).skip(1) {
            // What only a head has, and its second and third page.
            set_size(second(at(folio, first)), 0);
            for i in first..first + 3 {
                let tail = fields(folio, i);
                (*tail).flags.f &= !FLAGS | POISON;
                (*tail).mapping = mapping;
                (*tail).__bindgen_anon_2.index = 0;
                private(tail).write(0);
            }
        }
        prep(folio, order, counters);
    }
}

/// Gives a page back to the page allocator in pieces: those as which it came from there, as debugging
/// aids like page_owner remember for each how it was allocated, or parts of them.
///
/// # Safety
///
/// It must be a compound page of that order, without a reference and the caller's alone, with
/// nothing in `private`; `piece` must be less than `order` and at least 3.
pub(super) unsafe fn give_back_as(folio: Folio, order: u32, piece: u32) {
    // SAFETY: By the caller's promise; each piece has no reference.
    unsafe {
        split(folio, order, piece);
        for first in (0..1 << order).step_by(1 << piece) {
            bindings::__folio_put(at(folio, first).as_ptr());
        }
    }
}

/// Gives a page back to the page allocator that is broken in some places, but for the base pages there:
/// they are nobody's from then on, with a reference that says so (`page_handle_poison`), lest one be
/// taken for free. False if the page is not as we know it: then nothing was done.
///
/// # Safety
///
/// As for [`give_back_as`], but for `piece`.
pub(super) unsafe fn give_back_broken(folio: Folio, order: u32) -> bool {
    // SAFETY: By the caller's promise; each part has no reference.
    unsafe {
        if !is_as_made_but(folio, order, POISON) {
            return false;
        }
        let part = order.min(bindings::PMD_ORDER);
        if part < order {
            split(folio, order, part);
        }
        for first in (0..1 << order).step_by(1 << part) {
            let part_of_it = at(folio, first);
            if !hwpoison::has_broken(part_of_it, part) {
                bindings::__folio_put(part_of_it.as_ptr());
                continue;
            }
            dissolve(part_of_it, part);
            for i in 0..1 << part {
                let page = at(part_of_it, i);
                if hwpoison::is_broken(page.as_ptr().cast()) {
                    (*fields(page, 0))._refcount.counter = 1;
                } else {
                    bindings::__folio_put(page.as_ptr());
                }
            }
        }
    }
    true
}

/// Makes base pages of a compound page, frozen like it (`free_tail_page_prepare`).
///
/// # Safety
///
/// As for [`split`], but for `piece`.
unsafe fn dissolve(folio: Folio, order: u32) {
    // SAFETY: By the caller's promise.
    unsafe {
        set_size(second(folio), 0);
        (*fields(folio, 0)).flags.f &= !HEAD;
        (*second(folio))._flags_1 &= !ORDER;
        for i in 1..1 << order {
            let tail = fields(folio, i);
            compound_info(tail).write_volatile(0);
            (*tail).mapping = core::ptr::null_mut();
            (*tail).__bindgen_anon_2.index = 0;
            private(tail).write(0);
        }
    }
}

/// Tails and head of a compound page (`prep_compound_page`); what else is in them is so already.
///
/// # Safety
///
/// As for [`merge`], and the head's flags are set.
unsafe fn prep(folio: Folio, order: u32, counters: [usize; 4]) {
    let info = tail_info(folio, order);
    // SAFETY: By the caller's promise.
    unsafe {
        for i in 1..1 << order {
            compound_info(fields(folio, i)).write_volatile(info);
        }
        let second = second(folio);
        (*second)._flags_1 = (*second)._flags_1 & !ORDER | order as usize;
        (*second).__bindgen_anon_1._usable_1 = counters;
        set_size(second, 1 << order);
        let list = &raw mut (*folio.as_ptr())
            .__bindgen_anon_3
            .__bindgen_anon_1
            ._deferred_list;
        (*list).next = list;
        (*list).prev = list;
    }
}

/// What leads from a tail to its head (`set_compound_head`).
fn tail_info(head: Folio, order: u32) -> usize {
    const STRUCT_PAGE: usize = size_of::<bindings::page>();
    if cfg!(CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP) && STRUCT_PAGE.is_power_of_two() {
        usize::MAX << (order + STRUCT_PAGE.trailing_zeros()) | 1
    } else {
        head.as_ptr().addr() | 1
    }
}

/// The folio that begins at a base page of `folio`, if one does.
///
/// # Safety
///
/// `folio` must have more than `i` base pages, whose `struct page`s follow one another.
pub(super) unsafe fn at(folio: Folio, i: usize) -> Folio {
    // SAFETY: By the caller's promise.
    unsafe { folio.cast::<bindings::page>().add(i) }.cast()
}

/// The fields of a base page of `folio`.
///
/// # Safety
///
/// As for [`at`].
unsafe fn fields(folio: Folio, i: usize) -> *mut Fields {
    // SAFETY: By the caller's promise. Both have the same layout in this part (FOLIO_MATCH).
    unsafe { at(folio, i) }.as_ptr().cast()
}

fn second(folio: Folio) -> *mut Second {
    // SAFETY: Only an address is made, of a part of the folio.
    unsafe { &raw mut (*folio.as_ptr()).__bindgen_anon_2.__bindgen_anon_1 }
}

/// `page->compound_info`, which shares its place with `lru`.
///
/// # Safety
///
/// The page must be valid.
unsafe fn compound_info(page: *mut Fields) -> *mut usize {
    // SAFETY: Only an address is made.
    unsafe { &raw mut (*page).__bindgen_anon_1 }.cast()
}

/// # Safety
///
/// The page must be valid.
unsafe fn private(page: *mut Fields) -> *mut usize {
    // SAFETY: Only an address is made.
    unsafe { &raw mut (*page).__bindgen_anon_3 }.cast()
}

/// Whether nothing maps or pins the page.
///
/// # Safety
///
/// The page must be valid and a compound one.
unsafe fn is_unused(second: *mut Second) -> bool {
    // SAFETY: By the caller's promise.
    let counters = unsafe { &(*second).__bindgen_anon_1.__bindgen_anon_1 };
    counters._large_mapcount.counter == -1
        && counters._entire_mapcount.counter == -1
        && counters._pincount.counter == 0
}

/// `folio->_nr_pages`, where the kernel has that.
///
/// # Safety
///
/// The page must be valid and the caller's.
unsafe fn set_size(second: *mut Second, base_pages: u32) {
    #[cfg(any(CONFIG_MEMCG, CONFIG_SLAB_OBJ_EXT))]
    // SAFETY: By the caller's promise.
    unsafe {
        (*second)._nr_pages = base_pages;
    }
    #[cfg(not(any(CONFIG_MEMCG, CONFIG_SLAB_OBJ_EXT)))]
    let _ = (second, base_pages);
}

/// Whether `folio->_nr_pages` is that, where the kernel has it.
///
/// # Safety
///
/// The page must be valid.
unsafe fn has_size(second: *mut Second, base_pages: u32) -> bool {
    #[cfg(any(CONFIG_MEMCG, CONFIG_SLAB_OBJ_EXT))]
    // SAFETY: By the caller's promise.
    return unsafe { (*second)._nr_pages == base_pages };
    #[cfg(not(any(CONFIG_MEMCG, CONFIG_SLAB_OBJ_EXT)))]
    {
        let _ = (second, base_pages);
        true
    }
}
