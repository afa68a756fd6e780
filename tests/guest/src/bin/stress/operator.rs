// SPDX-License-Identifier: GPL-2.0

//! The operator: writes sizes to the pool's files, and reads its counters, for as long as all runs.

use std::time::Instant;

use fastrand::Rng;
use guest::policy::Policy;
use guest::pool::{memory_nodes, Counts, Pool};
use guest::{check, poll, same, Check};

use crate::arena::{Arena, Figure};
use crate::options::{Backend, Run};

/// Pages that the pool is given, at most: more than all need would never run out.
pub const MOST: u64 = 40;
/// Surplus pages that may be made.
const OVERCOMMIT: u64 = 8;

/// Resizes and samples until all is over, which it decides if there is a time.
pub fn run(run: &Run, arena: &Arena) -> Check {
    let pool = run.backend.pool;
    let start = Instant::now();
    let nodes = memory_nodes()?;
    let mut random = Rng::with_seed(run.seed);
    while !arena.is_over() {
        match random.u32(..15) {
            0 | 1 => pool.set(random.u64(..MOST))?,
            2 => {
                let node = nodes[random.usize(..nodes.len())];
                pool.set_node(node, random.u64(..MOST / nodes.len() as u64))?;
            }
            3 => pool.set_overcommit(random.u64(..=OVERCOMMIT))?,
            4 => {
                let policies = Policy::each(&nodes);
                let policy = policies[random.usize(..policies.len())].set()?;
                pool.set_by_policy(random.u64(..MOST))?;
                drop(policy);
            }
            5 if pool.is_ours() => write(pool, "scrub_percent", random.u64(..=100))?,
            6 if pool.is_ours() => write(pool, "oom_floor", random.u64(..MOST))?,
            _ => {
                sample(run.backend, arena)?;
                continue;
            }
        }
        arena.count(Figure::Resizes);
        if run.seconds.is_some_and(|limit| start.elapsed() > limit) {
            arena.end();
        }
    }
    settle(run.backend, arena)
}

/// Waits for a sample of one moment: while all runs, a slow machine may never get one.
pub fn settle(backend: Backend, arena: &Arena) -> Check {
    poll::until(
        "that the counters stay what they are with all over",
        || sample(backend, arena),
        |stayed| *stayed,
    )
    .map(drop)
}

/// Writes a count that nothing refuses.
pub fn write(pool: Pool, name: &str, count: u64) -> Check {
    same!(
        pool.write(None, name, count),
        Ok(()),
        "writing {count} to {name}"
    );
    Ok(())
}

/// How often a sum that seems wrong is read again.
const AGAIN: usize = 100;

/// Reads all counters, three times: what did not change meanwhile was true at one moment. Whether
/// that was so. A page that comes and goes between the same files three times looks so, too, and its sum
/// is wrong: but not for long, whereas counters that have gone wrong stay so.
pub fn sample(backend: Backend, arena: &Arena) -> Check<bool> {
    let read = || -> Check<Counts> {
        let mut counts = backend.pool.counts()?;
        // hugetlb counts below 0 while somebody pins a page of a private mapping that is gone.
        if backend.is_oracle && counts.resv > u64::MAX / 2 {
            counts.resv = 0;
        }
        Ok(counts)
    };
    let counts = [read()?, read()?, read()?];
    for counts in &counts {
        arena.count(Figure::Samples);
        // The largest that there can be, with room for what is being resized; less than 0 is more.
        let most = 1 << 20;
        check!(
            counts.nr < most && counts.free < most && counts.resv < most && counts.surplus < most,
            "a counter is out of all bounds: {counts:?}"
        );
    }
    let [first, second, third] = &counts;
    if first != second || second != third {
        return Ok(false);
    }
    if let Err(wrong) = consistent(first) {
        for _ in 0..AGAIN {
            if read()? != *first {
                return Ok(false);
            }
        }
        return Err(wrong);
    }
    arena.count(Figure::Consistent);
    Ok(true)
}

fn consistent(counts: &Counts) -> Check {
    check!(
        counts.resv <= counts.free && counts.free <= counts.nr && counts.surplus <= counts.nr,
        "resv <= free <= nr, surplus <= nr: {counts:?}"
    );
    let sum = |of: fn(&guest::pool::NodeCounts) -> u64| counts.nodes.iter().map(of).sum::<u64>();
    same!(
        (
            sum(|node| node.nr),
            sum(|node| node.free),
            sum(|node| node.surplus)
        ),
        (counts.nr, counts.free, counts.surplus),
        "sums of the nodes' counters, of {counts:?}"
    );
    Ok(())
}
