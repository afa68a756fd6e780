// SPDX-License-Identifier: GPL-2.0

//! The calls of an operator.

use std::fs;

use guest::policy::Policy;
use guest::pool::{memory_nodes, Pool, Resized, OURS};
use guest::{check, poll, same, Check, Errno};

use crate::fault::{each, each_seen, NO_MEMORY};

/// An empty pool, made empty again.
struct Back(Pool);

impl Drop for Back {
    fn drop(&mut self) {
        // The counters are looked at next.
        let _ = self.0.set(0);
        let _ = self.0.set_overcommit(0);
    }
}

/// A count that is written to one of a pool's files, or of a node's.
#[derive(Clone, Copy)]
struct Write {
    pool: Pool,
    node: Option<usize>,
    name: &'static str,
    count: u64,
}

impl Write {
    fn of(name: &'static str, count: u64) -> Self {
        Self {
            pool: OURS,
            node: None,
            name,
            count,
        }
    }

    fn write(self) -> Result<(), Errno> {
        self.pool.write(self.node, self.name, self.count)
    }

    /// Writes it until the file says so.
    fn reach(self) -> Check {
        let write = || {
            self.write()?;
            self.pool.read(self.node, self.name)
        };
        poll::until(self.name, write, |seen| *seen == self.count).map(drop)
    }

    /// Writes it where the file has said `from`, with nothing but that in the pool. Pages that could
    /// not be had, or not be given up, are so once memory is there, and then `is_right` looks at them.
    fn each(self, from: u64, is_right: impl Fn() -> Check) -> Check {
        let _pool = Resized::of(self.pool, 0)?;
        let prepare = || {
            let back = Back(self.pool);
            let count = from;
            Self { count, ..self }.reach()?;
            Ok(back)
        };
        let seen = |_: &mut Back, ()| {
            self.reach()?;
            is_right()
        };
        each_seen(NO_MEMORY, prepare, |_| self.write(), seen).map(drop)
    }
}

/// Grows an empty pool, on all nodes or on one.
pub fn written(pool: Pool, node: Option<usize>, count: u64) -> Check {
    let write = Write::of("nr_hugepages", count);
    Write {
        pool,
        node,
        ..write
    }
    .each(0, || Ok(()))
}

pub fn resize() -> Check {
    written(OURS, None, 3)
}

/// Other CPUs help with so many.
pub fn resize_much() -> Check {
    written(OURS, None, 40)
}

pub fn shrink() -> Check {
    Write::of("nr_hugepages", 1).each(4, || Ok(()))
}

pub fn resize_a_node() -> Check {
    written(OURS, Some(memory_nodes()?[0]), 3)
}

pub fn shrink_a_node() -> Check {
    let node = Some(memory_nodes()?[0]);
    let write = Write::of("nr_hugepages", 1);
    Write { node, ..write }.each(4, || Ok(()))
}

/// Of a policy that allows one node only, where without it all would have a part.
pub fn resize_by_policy() -> Check {
    const PAGES: u64 = 3;
    let nodes = memory_nodes()?;
    check!(
        nodes.len() > 1,
        "a policy says nothing with nodes {nodes:?}"
    );
    let node = nodes[nodes.len() - 1];
    let _policy = Policy::bind(&[node]).set()?;
    Write::of("nr_hugepages_mempolicy", PAGES).each(0, || {
        let there = OURS.read(Some(node), "nr_hugepages")?;
        same!(there, PAGES, "pages on the node of the policy");
        Ok(())
    })
}

pub fn overcommit() -> Check {
    Write::of("nr_overcommit_hugepages", 3).each(0, || Ok(()))
}

/// Reads one of the pool's files.
fn read(name: &str, refusals: &[i32]) -> Check {
    let _pool = Resized::ours(0)?;
    each(
        refusals,
        || Ok(()),
        |()| fs::read(OURS.file(name)).map_err(Errno::from),
    )
}

pub fn explain() -> Check {
    read("explain", NO_MEMORY)
}

/// EIO, says docs/abi, where the kernel has its buffers, and this has no table of nodes.
pub fn can_grow() -> Check {
    read("can_grow", &[libc::ENOMEM, libc::EIO])
}
