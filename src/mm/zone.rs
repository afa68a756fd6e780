// SPDX-License-Identifier: GPL-2.0

//! The zones of a node: where they lie, and how much of them is free.
//!
//! Copies of `struct zone` (include/linux/mmzone.h), taken without a lock, as /proc/zoneinfo's are:
//! each number was true at some moment.

use core::ptr::addr_of;

use kernel::{bindings, prelude::*, str::CStr};

use super::node;

/// Orders that a free block can have.
pub(crate) const ORDERS: usize = bindings::NR_PAGE_ORDERS as usize;

/// A zone that has memory. Counts are in base pages.
#[derive(Clone, Copy)]
pub(crate) struct Zone {
    /// Its node.
    pub(crate) nid: usize,
    /// Its number in the node.
    pub(crate) index: usize,
    /// `DMA32`, `Normal` and so on.
    pub(crate) name: &'static str,
    /// Its first page frame.
    pub(crate) start: usize,
    /// How far it reaches from there, holes included.
    pub(crate) spanned: usize,
    /// Free pages.
    pub(crate) free: usize,
    /// Free blocks of each order.
    pub(crate) free_blocks: [usize; ORDERS],
    /// Free pages set aside for CMA areas and for atomic allocations of high order.
    pub(crate) set_aside: usize,
    /// Watermarks (`*_wmark_pages`): min, low, high.
    pub(crate) watermarks: [usize; 3],
    /// What is kept back of it from allocations that could be served from ZONE_NORMAL.
    pub(crate) lowmem_reserve: usize,
}

/// The zones of node `nid` that pages of the kernel may come from, and that have memory: those up to
/// ZONE_NORMAL.
pub(crate) fn usable(nid: usize) -> impl Iterator<Item = Zone> {
    let zones = node::data(nid).map(|data| {
        // SAFETY: A node's data is never freed once it is there.
        unsafe { addr_of!((*data).node_zones) }.cast::<bindings::zone>()
    });
    (0..=bindings::zone_type_ZONE_NORMAL as usize).filter_map(move |index| {
        // SAFETY: A node has more zones than that. They live as long as its data.
        unsafe { read(zones?.add(index), nid, index) }
    })
}

/// # Safety
///
/// `zone` must be a zone of the machine.
unsafe fn read(zone: *const bindings::zone, nid: usize, index: usize) -> Option<Zone> {
    // SAFETY: By the caller's promise it lives for good. Others change what is read here at any time,
    // hence the volatile reads; the name is a constant. `_watermark` and `lowmem_reserve`
    // have more entries than are read.
    unsafe {
        let word = |field: *const usize| field.read_volatile();
        let sum = |field: *const bindings::atomic_long_t| {
            usize::try_from(addr_of!((*field).counter).read_volatile()).unwrap_or_default()
        };
        if sum(addr_of!((*zone).managed_pages)) == 0 {
            return None;
        }
        let vm_stat = addr_of!((*zone).vm_stat).cast::<bindings::atomic_long_t>();
        let free_area = addr_of!((*zone).free_area).cast::<bindings::free_area>();
        let mut free_blocks = [0; ORDERS];
        for (order, blocks) in free_blocks.iter_mut().enumerate() {
            *blocks = word(addr_of!((*free_area.add(order)).nr_free));
        }
        let boost = word(addr_of!((*zone).watermark_boost));
        let watermark = addr_of!((*zone)._watermark).cast::<usize>();
        let reserve = addr_of!((*zone).lowmem_reserve).cast::<isize>();
        let kept = reserve.add(bindings::zone_type_ZONE_NORMAL as usize);
        Some(Zone {
            nid,
            index,
            name: CStr::from_char_ptr((*zone).name).to_str().unwrap_or("?"),
            start: word(addr_of!((*zone).zone_start_pfn)),
            spanned: word(addr_of!((*zone).spanned_pages)),
            free: sum(vm_stat.add(bindings::zone_stat_item_NR_FREE_PAGES as usize)),
            free_blocks,
            set_aside: word(addr_of!((*zone).nr_free_highatomic))
                + sum(vm_stat.add(bindings::zone_stat_item_NR_FREE_CMA_PAGES as usize)),
            watermarks: [0, 1, 2].map(|level| boost + word(watermark.add(level))),
            lowmem_reserve: usize::try_from(kept.read_volatile()).unwrap_or_default(),
        })
    }
}
