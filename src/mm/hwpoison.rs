// SPDX-License-Identifier: GPL-2.0

//! Memory that the hardware has found broken (mm/memory-failure.c).
//!
//! `memory_failure` knows hugetlb's pages, those of the page cache and free ones. Of a page of ours it
//! marks the base page that broke and leaves the rest as it is; no module is told. But each node counts
//! its failures, after the mark is made: while that count is 0 there is nothing to look at.

use core::{ptr::addr_of, ptr::NonNull};

use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use super::node;

/// The most nodes that the kernel can have.
const NODES: usize = bindings::MAX_NUMNODES as usize;

/// Pages that were broken, 2 MiB ones and 1 GiB ones, by node.
static BROKEN: [[Atomic<u32>; NODES]; 2] = [const { [const { Atomic::new(0) }; NODES] }; 2];

/// How many failures node `nid` has had since boot.
pub(crate) fn failures_on(nid: usize) -> usize {
    let Some(data) = node::data(nid) else {
        return 0;
    };
    // SAFETY: A node's data is never freed once it is there; others may write to the word.
    unsafe { addr_of!((*data).mf_stats.total).read_volatile() }
}

/// How many pages of `1 << order` base pages of node `nid` were broken when the module gave them up.
/// What is broken of them is nobody's for good.
pub(crate) fn broken_on(order: u32, nid: usize) -> usize {
    broken(order, nid).map_or(0, |count| count.load(Relaxed) as usize)
}

/// One more, of node `nid`; whether what is not broken of it went back to the page allocator.
pub(super) fn count_broken(order: u32, nid: usize, is_back: bool) {
    if let Some(count) = broken(order, nid) {
        count.fetch_add(1, Relaxed);
    }
    let fate = if is_back {
        "what is not broken of it goes back to the kernel"
    } else {
        "all of it is set aside for good"
    };
    let kib = 4usize << order;
    pr_err!("a huge page of {kib} kB on node {nid} is broken (memory failure): {fate}\n");
}

fn broken(order: u32, nid: usize) -> Option<&'static Atomic<u32>> {
    let by_node = BROKEN.get(usize::from(order > bindings::PMD_ORDER))?;
    by_node.get(nid)
}

/// Whether that base page is broken.
///
/// # Safety
///
/// `page` must be in a memory map that stays.
pub(super) unsafe fn is_broken(page: *const bindings::page) -> bool {
    // SAFETY: By the caller's promise; a read of a word that others may write.
    let flags = unsafe { addr_of!((*page).flags.f).read_volatile() };
    flags & (1 << bindings::pageflags_PG_hwpoison) != 0
}

/// Whether a base page of that page is broken.
///
/// # Safety
///
/// It must be a page of `1 << order` base pages that the caller owns.
pub(super) unsafe fn has_broken(folio: NonNull<bindings::folio>, order: u32) -> bool {
    let head = folio.as_ptr().cast_const().cast::<bindings::page>();
    // SAFETY: By the caller's promise those are its base pages, whose memory map stays with them.
    (0..1 << order).any(|number| unsafe { is_broken(head.add(number)) })
}
