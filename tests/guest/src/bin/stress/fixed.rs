// SPDX-License-Identifier: GPL-2.0

//! The operator of a pool whose memory stays what it is: 1 GiB pages are split and merged, but nobody
//! writes a size. Then no moment may find a page too few or too many.

use std::time::Instant;

use fastrand::Rng;
use guest::pool::{memory_nodes, Pool, OURS_1G};
use guest::{poll, same, Check, GIGANTIC, HUGE};

use crate::arena::{Arena, Figure};
use crate::convert;
use crate::operator;
use crate::options::Run;

/// A pool's pages, and on each node, in 2 MiB.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    all: u64,
    nodes: Vec<u64>,
}

impl Sums {
    /// Of 2 MiB pages in `pool` and, if `gigantic`, the module's 1 GiB pages. Nothing but the caller
    /// changes them while there is no surplus.
    fn read(pool: Pool, gigantic: bool) -> Check<Self> {
        let of = |node| -> Check<u64> {
            let mut sum = pool.read(node, "nr_hugepages")?;
            if gigantic {
                sum += OURS_1G.read(node, "nr_hugepages")? * (GIGANTIC / HUGE) as u64;
            }
            Ok(sum)
        };
        same!(
            pool.surplus()?,
            0,
            "surplus_hugepages with an overcommit of 0"
        );
        Ok(Self {
            all: of(None)?,
            nodes: memory_nodes()?
                .into_iter()
                .map(|node| of(Some(node)))
                .collect::<Check<_>>()?,
        })
    }
}

/// Until all is over, which it decides if there is a time.
pub fn run(run: &Run, arena: &Arena) -> Check {
    let pool = run.backend.pool;
    let gigantic = run.gigantic;
    let start = Instant::now();
    let nodes = memory_nodes()?;
    let mut random = Rng::with_seed(run.seed);
    pool.set_overcommit(0)?;
    let sums = Sums::read(pool, gigantic)?;
    let is_whole = || -> Check {
        same!(Sums::read(pool, gigantic)?, sums, "the sums of pages");
        arena.count(Figure::Sums);
        Ok(())
    };
    while !arena.is_over() {
        // One of the nodes, or all.
        let node = nodes.get(random.usize(..=nodes.len())).copied();
        match random.u32(..8) {
            0 if gigantic => {
                convert::split(node, arena)?;
                is_whole()?;
                // At once, most pieces are still free.
                convert::merge(node, arena)?;
            }
            1 if gigantic => convert::merge(node, arena)?,
            2 if pool.is_ours() => operator::write(pool, "scrub_percent", random.u64(..=100))?,
            3 => {
                operator::sample(run.backend, arena)?;
            }
            _ => {}
        }
        is_whole()?;
        if run.seconds.is_some_and(|limit| start.elapsed() > limit) {
            arena.end();
        }
    }
    operator::settle(run.backend, arena)
}

/// With all over and each page free, what was split can be merged, unless somebody just looks at it.
pub fn merges(run: &Run, arena: &Arena) -> Check {
    convert::split(None, arena)?;
    let sums = Sums::read(run.backend.pool, true)?;
    let merged = || convert::merge(None, arena).map(|()| arena.figure(Figure::Merges));
    poll::until("pages merged to one of 1 GiB", merged, |merged| *merged > 0)?;
    same!(
        Sums::read(run.backend.pool, true)?,
        sums,
        "the sums of pages after a merge"
    );
    Ok(())
}
