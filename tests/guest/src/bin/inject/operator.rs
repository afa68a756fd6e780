// SPDX-License-Identifier: GPL-2.0

//! The calls of an operator.

use std::fs;

use guest::pool::{memory_nodes, write_once, Resized, OURS};
use guest::{Check, Errno};

use crate::fault::{each, NO_MEMORY};

/// The pool, put back to its size.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        // The counters are looked at next.
        let _ = OURS.set(0);
        let _ = OURS.set_overcommit(0);
    }
}

fn written(path: String, count: u64) -> Check {
    let _pool = Resized::ours(0)?;
    each(
        NO_MEMORY,
        || Ok(Back),
        |_| write_once(&path, count.to_string().as_bytes()),
    )
}

pub fn resize() -> Check {
    written(OURS.file("nr_hugepages"), 3)
}

/// Other CPUs help with so many.
pub fn resize_much() -> Check {
    written(OURS.file("nr_hugepages"), 40)
}

pub fn resize_a_node() -> Check {
    let node = memory_nodes()?[0];
    written(OURS.node_file(node, "nr_hugepages"), 3)
}

pub fn resize_by_policy() -> Check {
    written(OURS.file("nr_hugepages_mempolicy"), 3)
}

pub fn overcommit() -> Check {
    written(OURS.file("nr_overcommit_hugepages"), 3)
}

pub fn explain() -> Check {
    let _pool = Resized::ours(0)?;
    each(
        NO_MEMORY,
        || Ok(()),
        |()| fs::read(OURS.file("explain")).map_err(Errno::from),
    )
}
