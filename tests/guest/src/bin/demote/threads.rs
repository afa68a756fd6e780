// SPDX-License-Identifier: GPL-2.0

//! Sizes change under those who use and resize the pools.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use guest::memory::{all_is_back, settled_free_kib};
use guest::{check, fail, same, Check, HUGE};

use crate::promote::promote;
use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;
const ROUNDS: u64 = 24;

/// Runs all of them at once; the first that fails is what it says.
fn together(jobs: &[&(dyn Fn() -> Check + Sync)]) -> Check {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.iter().map(|job| scope.spawn(job)).collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        for result in results {
            match result {
                Ok(result) => result?,
                Err(_) => fail!("a thread panicked"),
            }
        }
        Ok(())
    })
}

/// Sets a flag when it is dropped: that others wait for, however the thread ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A user of small pages: each touch finds zeroes, then what it wrote.
fn uses_small_pages(over: &AtomicBool, owner: u64) -> Check {
    let mut uses = 0;
    while !over.load(SeqCst) || uses == 0 {
        let pages = 3;
        // All may be one large page just now.
        let Ok(map) = OURS.map(Size::Small, pages) else {
            thread::yield_now();
            uses += u64::from(over.load(SeqCst));
            continue;
        };
        for page in 0..pages {
            for offset in [0, HUGE / 2, HUGE - 8] {
                same!(map.read(page * HUGE + offset), 0, "a word of a new page");
                map.write(page * HUGE + offset, (owner << 32) | offset as u64);
            }
        }
        for page in 0..pages {
            for offset in [0, HUGE / 2, HUGE - 8] {
                same!(
                    map.read(page * HUGE + offset),
                    (owner << 32) | offset as u64,
                    "a word of a page in use"
                );
            }
        }
        uses += 1;
    }
    Ok(())
}

/// One thread changes sizes, others use pages, and one looks at both pools: in each moment every page
/// counts in one of them.
pub fn one_pool_at_a_time() -> Check {
    let _pools = Emptied::with(OURS, &[0, 2])?;
    let all = 2 * PIECES;
    let over = AtomicBool::new(false);
    // Odd while a size changes.
    let turn = AtomicU64::new(0);
    let looks = AtomicU64::new(0);
    let changes = || {
        let _over = Ends(&over);
        for round in 0..ROUNDS {
            turn.fetch_add(1, SeqCst);
            let result = if round % 2 == 0 {
                OURS.demote(None, 1)
            } else {
                promote(None, 1)
            };
            turn.fetch_add(1, SeqCst);
            result?;
        }
        Ok(())
    };
    let nr = |size| OURS.read(size, None, "nr_hugepages");
    let watches = || {
        while !over.load(SeqCst) {
            let before = turn.load(SeqCst);
            let first = nr(Size::Large)?;
            let small = nr(Size::Small)?;
            let second = nr(Size::Large)?;
            // Within one change a page goes one way only.
            if first == second && before == turn.load(SeqCst) {
                same!(first * PIECES + small, all, "small pages in all");
                looks.fetch_add(before % 2, SeqCst);
            }
        }
        Ok(())
    };
    together(&[&changes, &watches, &|| uses_small_pages(&over, 1), &|| {
        uses_small_pages(&over, 2)
    }])?;
    check!(looks.load(SeqCst) > 0, "nobody looked during a change");
    let [(large, free), (small, small_free)] = OURS.totals()?;
    same!(
        (large * PIECES + small, free, small_free),
        (all, large, small),
        "small pages in all, and free ones of each size"
    );
    Ok(())
}

/// Sizes change both ways, at both pools' resizes, and pages of both are in use.
pub fn all_at_once() -> Check {
    let _pools = Emptied::of(OURS)?;
    let before = settled_free_kib()?;
    {
        let _pools = Emptied::with(OURS, &[1, 2])?;
        let over = AtomicBool::new(false);
        let resizes = || {
            let _over = Ends(&over);
            for (small, large) in [(PIECES / 2, 1), (PIECES + 7, 0), (0, 2), (2 * PIECES, 1)] {
                OURS.write(Size::Small, None, "nr_hugepages", small)?;
                OURS.write(Size::Large, None, "nr_hugepages", large)?;
            }
            Ok(())
        };
        let demotes = || {
            while !over.load(SeqCst) {
                OURS.demote(None, 1)?;
            }
            Ok(())
        };
        let promotes = || {
            while !over.load(SeqCst) {
                promote(None, 2)?;
            }
            Ok(())
        };
        let uses_large_pages = || {
            while !over.load(SeqCst) {
                let Ok(map) = OURS.map(Size::Large, 1) else {
                    thread::yield_now();
                    continue;
                };
                same!(map.read(HUGE * 77), 0, "a word of a new large page");
                map.write(HUGE * 77, 1);
            }
            Ok(())
        };
        together(&[
            &resizes,
            &demotes,
            &promotes,
            &|| uses_small_pages(&over, 1),
            &uses_large_pages,
        ])?;
        for counts in OURS.both()? {
            let (nr, free, surplus) = counts.row();
            same!(
                (free, surplus, counts.resv),
                (nr, 0, 0),
                "free, surplus, resv"
            );
            let sum: u64 = counts.nodes.iter().map(|node| node.nr).sum();
            same!(sum, nr, "the nodes' pages in all");
        }
    }
    same!(OURS.totals()?, [(0, 0), (0, 0)], "pages in the end");
    all_is_back(before, settled_free_kib()?)
}
