// SPDX-License-Identifier: GPL-2.0

//! A task whose cpuset lets it use some nodes only.

use std::ffi::CString;
use std::fs;

use guest::beside::beside;
use guest::pool::memory_nodes;
use guest::{call, Check};

const MOUNT: &str = "/tmp/cgroup";
const GROUP: &str = "/tmp/cgroup/guest-test";

/// This task in a cgroup with a cpuset, until this is dropped.
#[must_use]
struct Cpuset(());

impl Cpuset {
    /// Confines this task to the memory of `node`.
    fn of(node: usize) -> Check<Self> {
        fs::create_dir_all(MOUNT)?;
        let target = CString::new(MOUNT)?;
        // SAFETY: All are C strings, and cgroup2 needs no data.
        call(unsafe {
            libc::mount(
                c"cgroup".as_ptr(),
                target.as_ptr(),
                c"cgroup2".as_ptr(),
                0,
                std::ptr::null(),
            )
        })?;
        // From here on there is something to undo.
        let this = Self(());
        fs::write(format!("{MOUNT}/cgroup.subtree_control"), "+cpuset")?;
        fs::create_dir(GROUP)?;
        fs::write(format!("{GROUP}/cpuset.mems"), node.to_string())?;
        fs::write(format!("{GROUP}/cgroup.procs"), "0")?;
        Ok(this)
    }
}

impl Drop for Cpuset {
    fn drop(&mut self) {
        // What fails here fails the next test that wants a cpuset.
        let _ = fs::write(format!("{MOUNT}/cgroup.procs"), "0");
        let _ = fs::remove_dir(GROUP);
        let _ = fs::write(format!("{MOUNT}/cgroup.subtree_control"), "-cpuset");
        if let Ok(target) = CString::new(MOUNT) {
            // SAFETY: It is a C string.
            unsafe { libc::umount(target.as_ptr()) };
        }
    }
}

/// The first node and the last, both with memory.
fn ends() -> Check<(usize, usize)> {
    let nodes = memory_nodes()?;
    Ok((nodes[0], nodes[nodes.len() - 1]))
}

pub fn limits_reservations_and_places_pages() -> Check {
    let (first, last) = ends()?;
    beside(0, |side| {
        side.pool().set_node(first, 4)?;
        side.pool().set_node(last, 3)?;
        let group = Cpuset::of(last)?;
        side.refuses("mapping 4 pages in a cpuset of 3", |side| side.map(4))?;
        let map = side.map(3)?;
        side.note_counts("reserved")?;
        side.touches("what was reserved", &map, 3)?;
        side.note_counts("touched")?;
        let other = side.map_unreserved(2)?;
        side.touches("without reservation", &other, 0)?;
        drop((group, map, other));
        let map = side.map(if first == last { 3 } else { 7 })?;
        side.note_counts("reserved outside the cpuset")?;
        drop(map);
        Ok(())
    })
}

pub fn places_surplus() -> Check {
    let (_, last) = ends()?;
    beside(0, |side| {
        side.pool().set_overcommit(4)?;
        let _group = Cpuset::of(last)?;
        let map = side.map(2)?;
        side.counts("reserved", (2, 2, 2, 2))?;
        let other = side.map_unreserved(3)?;
        side.touches("without reservation", &other, 2)?;
        side.counts("touched", (4, 2, 2, 4))?;
        side.touches("what was reserved", &map, 2)?;
        drop((map, other));
        side.settles("in the end", (0, 0, 0, 0))
    })
}

pub fn limits_resizes() -> Check {
    let (first, last) = ends()?;
    beside(0, |side| {
        let group = Cpuset::of(last)?;
        for count in [4, 1, 6, 0] {
            side.pool().set(count)?;
            side.note_counts(format!("after writing {count}"))?;
            side.pool().set_by_policy(count + 1)?;
            side.note_counts(format!("after writing {count} + 1 by policy"))?;
        }
        for node in [first, last] {
            side.pool().set_node(node, 2)?;
            side.note_counts(format!("after writing 2 to node {node}"))?;
        }
        drop(group);
        side.pool().set(0)?;
        side.counts("in the end", (0, 0, 0, 0))
    })
}
