// SPDX-License-Identifier: GPL-2.0

//! The machine's NUMA nodes (include/linux/nodemask.h, include/linux/mmzone.h).
//!
//! Nodes are plain numbers here, as in the kernel (`nid`).

use kernel::{bindings, cpu::CpuId};

/// One more than the highest node number that can ever come online.
pub(crate) fn possible() -> usize {
    // SAFETY: Written at boot only.
    unsafe { bindings::nr_node_ids as usize }
}

/// The nodes that have memory, in ascending order (`N_MEMORY`).
pub(crate) fn with_memory() -> impl Iterator<Item = usize> {
    in_state(bindings::node_states_N_MEMORY)
}

/// The nodes that are online, in ascending order (`N_ONLINE`).
pub(crate) fn online() -> impl Iterator<Item = usize> {
    in_state(bindings::node_states_N_ONLINE)
}

fn in_state(state: bindings::node_states) -> impl Iterator<Item = usize> {
    // SAFETY: There is a mask for each state. They are words that hotplug changes bit by bit; a copy
    // may be outdated at once, as in the kernel's own walks.
    let mask = unsafe {
        (&raw const bindings::node_states)
            .cast::<bindings::nodemask_t>()
            .add(state as usize)
            .read()
    };
    (0..possible()).filter(move |nid| {
        mask.bits
            .get(nid / usize::BITS as usize)
            .is_some_and(|word| word & (1 << (nid % usize::BITS as usize)) != 0)
    })
}

/// The node of the CPU we run on (`numa_node_id`); outdated once preempted.
pub(crate) fn local() -> usize {
    let cpu = CpuId::current().as_u32() as usize;
    let offsets = (&raw const bindings::__per_cpu_offset).cast::<usize>();
    // SAFETY: There is an offset for each CPU, and that of a CPU that runs is set up, for good.
    let offset = unsafe { offsets.add(cpu).read() };
    let template = &raw const bindings::numa_node;
    // SAFETY: This is `per_cpu_ptr`: a template's address plus a CPU's offset is the address of
    // that CPU's copy, an integer that hotplug alone changes.
    let nid = unsafe { template.wrapping_byte_add(offset).read_volatile() };
    usize::try_from(nid).unwrap_or_default()
}

/// What the kernel keeps of a node, if it has had any. Never freed once it is there.
pub(super) fn data(nid: usize) -> Option<*const bindings::pglist_data> {
    let table = (&raw const bindings::node_data).cast::<*const bindings::pglist_data>();
    if nid >= possible() {
        return None;
    }
    // SAFETY: `node_data` has an entry for each possible node.
    let data = unsafe { table.add(nid).read() };
    (!data.is_null()).then_some(data)
}

/// All nodes that memory can come from, nearest to `nid` first: the order of its zonelist.
pub(crate) fn by_distance(nid: usize) -> ByDistance {
    ByDistance {
        next: match data(nid) {
            None => core::ptr::null(),
            // SAFETY: A node's data is never freed once it is there. The first of its zonelists is
            // the one with fallback (ZONELIST_FALLBACK).
            Some(data) => unsafe { (&raw const (*data).node_zonelists).cast() },
        },
        last: None,
    }
}

/// The iterator of [`by_distance`].
///
/// # Invariants
///
/// `next` is null or points into a zonelist, at or before its terminator (an entry without zone).
pub(crate) struct ByDistance {
    next: *const bindings::zoneref,
    last: Option<usize>,
}

impl Iterator for ByDistance {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while !self.next.is_null() {
            // SAFETY: By the type invariant. Hotplug may rewrite the entry as we read it; like the
            // page allocator we then see the old or the new zone, both of which stay valid.
            let zone = unsafe { (&raw const (*self.next).zone).read_volatile() };
            if zone.is_null() {
                break;
            }
            // INVARIANT: That was not the terminator, so there is another entry.
            self.next = self.next.wrapping_add(1);
            // SAFETY: Zones and their nodes live for good.
            let nid = unsafe { (*(*zone).zone_pgdat).node_id } as usize;
            // A node's zones follow one another.
            if self.last != Some(nid) {
                self.last = Some(nid);
                return Some(nid);
            }
        }
        None
    }
}
