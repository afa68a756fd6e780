// SPDX-License-Identifier: GPL-2.0

//! Pages that fail for who helps a resize: a thread of the kernel's, which asks for pages beside the one
//! that writes.

use std::cell::Cell;

use guest::memory::{all_is_back, settled_free_kib};
use guest::pool::{memory_nodes, Resized, OURS};
use guest::{check, poll, same, Check};

use crate::everybody::Everybody;
use crate::fault::Fault;

/// Other CPUs help with so many.
const PAGES: u64 = 48;
/// More than fail in one resize.
const NO_END: u64 = 1_000_000;

/// Resizes in which one fails: it depends on who comes first what that may do.
const TIMES: u64 = 3;

/// What came of a resize.
#[derive(Debug)]
struct Came {
    /// Pages that failed.
    failed: u64,
    nr: u64,
}

impl Came {
    fn is_short(&self) -> bool {
        self.nr < PAGES
    }
}

/// Has an empty pool grow while pages fail for everybody, so many of a hundred, until `times` have. It
/// ends with what it says it has, and can have all when nothing fails, and then none.
fn grown(
    fault: &Fault,
    node: Option<usize>,
    (percent, times): (u32, u64),
    write: impl FnOnce() -> Check,
) -> Check<Came> {
    let everybody = Everybody::fails(fault, percent, times)?;
    write()?;
    let failed = everybody.failed()?;
    drop(everybody);
    let counts = OURS.counts()?;
    let nr = counts.nr;
    check!(nr <= PAGES, "{nr} pages of {PAGES}, {failed} failed");
    same!(counts.row(), (nr, nr, 0), "counters of an unused pool");
    let sum: u64 = counts.nodes.iter().map(|on| on.nr).sum();
    same!(sum, nr, "pages of all nodes");
    for on in &counts.nodes {
        same!((on.free, on.surplus), (on.nr, 0), "counters of a node");
    }
    if let Some(node) = node {
        let there = OURS.read(Some(node), "nr_hugepages")?;
        same!(there, nr, "pages on the node that was written to");
    }
    OURS.reach(PAGES)?;
    OURS.reach(0)?;
    Ok(Came { failed, nr })
}

/// What `resizes` do, each page of which must be back in the end.
fn balanced(resizes: impl FnOnce(&Fault) -> Check) -> Check {
    let _pool = Resized::ours(0)?;
    let fault = Fault::new()?;
    // Threads that help, and what else the kernel gets for good, are there from now on.
    OURS.reach(PAGES)?;
    OURS.reach(0)?;
    let before = settled_free_kib()?;
    resizes(&fault)?;
    poll::until(
        &format!("KiB free, {before} before"),
        settled_free_kib,
        |now| all_is_back(before, *now).is_ok(),
    )
    .map(drop)
}

/// Nothing fails for the one that writes: all that fail are of those who help. These may come late, or
/// leave nothing for the other to ask for.
fn alone(
    node: Option<usize>,
    fails: (u32, u64),
    mut right: impl FnMut(&Came) -> Check<bool>,
) -> Check {
    balanced(|fault| {
        let grow = || {
            let asked = Cell::new(0);
            let came = grown(fault, node, fails, || {
                let write = || OURS.write(node, "nr_hugepages", PAGES);
                asked.set(fault.count(write)?);
                Ok(())
            })?;
            println!("# asked for by the writer: {}, {came:?}", asked.get());
            right(&came)
        };
        poll::until("resizes whose helpers fail as wanted", grow, |is_right| {
            *is_right
        })
        .map(drop)
    })
}

/// It is made up for by another node's page, each time.
pub fn one_fails() -> Check {
    let nodes = memory_nodes()?;
    check!(nodes.len() > 1, "there is no other node: {nodes:?}");
    let mut times = 0;
    alone(None, (100, 1), |came| {
        check!(!came.is_short(), "cut short: {came:?}");
        times += came.failed;
        Ok(times >= TIMES)
    })
}

pub fn some_fail() -> Check {
    alone(
        None,
        (30, NO_END),
        |came| Ok(came.failed > 1 && came.nr > 0),
    )
}

pub fn all_fail() -> Check {
    alone(None, (100, NO_END), |came| Ok(came.failed > 1))
}

/// There is no other node that makes up for it.
pub fn some_fail_on_a_node() -> Check {
    let node = memory_nodes()?[0];
    alone(Some(node), (30, NO_END), |came| {
        Ok(came.failed > 0 && came.nr > 0)
    })
}

/// The one that writes and those who help: all pages, or some.
pub fn everybody_fails() -> Check {
    const ROUNDS: usize = 8;
    balanced(|fault| {
        let grow = |percent| {
            grown(fault, None, (percent, NO_END), || {
                Ok(OURS.write(None, "nr_hugepages", PAGES)?)
            })
        };
        let came = grow(100)?;
        same!(came.nr, 0, "pages, all failing");
        check!(came.failed > 0, "no page was asked for");
        for percent in [10, 40, 70] {
            let (mut failed, mut short) = (0, 0);
            for _ in 0..ROUNDS {
                let came = grow(percent)?;
                failed += came.failed;
                short += usize::from(came.is_short());
            }
            println!("# {percent} of 100: {failed} failed, {short} of {ROUNDS} short");
        }
        Ok(())
    })
}
