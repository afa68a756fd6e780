// SPDX-License-Identifier: GPL-2.0

//! On which nodes pages are, by each of the ways in which the kernel tells: move_pages(2),
//! get_mempolicy(2), /proc/PID/numa_maps.

use std::collections::BTreeMap;
use std::{fs, ptr};

use crate::map::Map;
use crate::{call, Check, Errno, Fail, HUGE};

/// include/uapi/linux/mempolicy.h; libc has no names for these.
const MPOL_F_NODE: libc::c_int = 1 << 0;
const MPOL_F_ADDR: libc::c_int = 1 << 1;

/// The node of each page of a mapping that this process has mapped, or the negated errno of what it
/// has not.
pub fn nodes_of(map: &Map) -> Check<Vec<i32>> {
    let addresses: Vec<_> = (0..map.pages()).map(|page| map.at(page * HUGE)).collect();
    Ok(status(0, &addresses)?)
}

/// move_pages without nodes to move to: where the pages of process `pid` are, 0 being this one.
pub fn status(pid: libc::pid_t, addresses: &[*mut u8]) -> Result<Vec<i32>, Errno> {
    move_pages(pid, addresses, None, 0)
}

/// move_pages: the status of each page.
pub fn move_pages(
    pid: libc::pid_t,
    addresses: &[*mut u8],
    nodes: Option<&[i32]>,
    flags: libc::c_int,
) -> Result<Vec<i32>, Errno> {
    let count = addresses.len();
    assert!(nodes.is_none_or(|nodes| nodes.len() == count));
    let mut status = vec![i32::MIN; count];
    // SAFETY: All three arrays have `count` elements, and a page that moves holds what it held.
    call(unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            count,
            addresses.as_ptr(),
            nodes.map_or(ptr::null(), <[i32]>::as_ptr),
            status.as_mut_ptr(),
            flags,
        )
    })?;
    Ok(status)
}

/// The node of the page at an address, which get_mempolicy faults in.
pub fn node_at(address: *mut u8) -> Result<i32, Errno> {
    let flags = MPOL_F_NODE | MPOL_F_ADDR;
    let mut node = -1;
    // SAFETY: There is room for the node, and no mask is asked for.
    call(unsafe {
        let mask = ptr::null_mut::<u64>();
        libc::syscall(
            libc::SYS_get_mempolicy,
            &mut node,
            mask,
            0,
            address.addr(),
            flags,
        )
    })?;
    Ok(node)
}

/// What numa_maps says of one VMA.
#[derive(Debug, PartialEq, Eq)]
pub struct Vma {
    pub pages: usize,
    /// For example `bind:0`.
    pub policy: String,
    /// Huge pages on each node. hugetlb's are counted as such, others in base pages.
    pub nodes: BTreeMap<usize, usize>,
    pub kernel_page_kib: usize,
}

/// What numa_maps says of each VMA that starts inside the mapping.
pub fn numa_maps(map: &Map) -> Check<Vec<Vma>> {
    let range = map.base() as usize..map.base() as usize + map.bytes();
    let mut found = Vec::new();
    for line in fs::read_to_string("/proc/self/numa_maps")?.lines() {
        let mut words = line.split(' ');
        let start = usize::from_str_radix(words.next().unwrap_or_default(), 16)?;
        if !range.contains(&start) {
            continue;
        }
        let policy = words.next().unwrap_or_default().to_string();
        let words: Vec<_> = words.collect();
        let unit = if words.contains(&"huge") {
            1
        } else {
            HUGE / 4096
        };
        let number = |text: &str| text.parse::<usize>().map_err(Fail::from);
        let mut vma = Vma {
            pages: 0,
            policy,
            nodes: BTreeMap::new(),
            kernel_page_kib: 0,
        };
        for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
            if name == "kernelpagesize_kB" {
                vma.kernel_page_kib = number(value)?;
            } else if let Some(node) = name.strip_prefix('N') {
                vma.nodes.insert(number(node)?, number(value)? / unit);
            }
        }
        found.push((start, vma));
    }
    let starts = found.iter().map(|(start, _)| *start);
    let ends: Vec<_> = starts.skip(1).chain([range.end]).collect();
    let measured = found.into_iter().zip(ends).map(|((start, vma), end)| Vma {
        pages: (end - start) / HUGE,
        ..vma
    });
    Ok(measured.collect())
}
