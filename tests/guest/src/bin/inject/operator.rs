// SPDX-License-Identifier: GPL-2.0

//! The calls of an operator.

use std::fs;

use guest::pool::{memory_nodes, write_once, Pool, Resized, OURS};
use guest::{Check, Errno};

use crate::fault::{each, NO_MEMORY};

/// An empty pool, made empty again.
struct Back(Pool);

impl Drop for Back {
    fn drop(&mut self) {
        // The counters are looked at next.
        let _ = self.0.set(0);
        let _ = self.0.set_overcommit(0);
    }
}

/// Writes a count to the file of an empty pool.
fn written_to(pool: Pool, path: &str, count: u64) -> Check {
    let _pool = Resized::of(pool, 0)?;
    each(
        NO_MEMORY,
        || Ok(Back(pool)),
        |_| write_once(path, count.to_string().as_bytes()),
    )
}

/// Grows an empty pool.
pub fn written(pool: Pool, count: u64) -> Check {
    written_to(pool, &pool.file("nr_hugepages"), count)
}

pub fn resize() -> Check {
    written(OURS, 3)
}

/// Other CPUs help with so many.
pub fn resize_much() -> Check {
    written(OURS, 40)
}

pub fn resize_a_node() -> Check {
    let node = memory_nodes()?[0];
    written_to(OURS, &OURS.node_file(node, "nr_hugepages"), 3)
}

pub fn resize_by_policy() -> Check {
    written_to(OURS, &OURS.file("nr_hugepages_mempolicy"), 3)
}

pub fn overcommit() -> Check {
    written_to(OURS, &OURS.file("nr_overcommit_hugepages"), 3)
}

pub fn explain() -> Check {
    let _pool = Resized::ours(0)?;
    each(
        NO_MEMORY,
        || Ok(()),
        |()| fs::read(OURS.file("explain")).map_err(Errno::from),
    )
}
