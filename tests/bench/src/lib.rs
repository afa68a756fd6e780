// SPDX-License-Identifier: GPL-2.0

//! What hugetlb and rust_hugetlb cost, measured side by side in one boot: a line of JSON for each
//! case, pool and round. The programs are `bench`, which `scripts/bench` runs and makes a table of,
//! and `bench-smoke`, a guest test that all of it works.
//!
//! A round does every case on one pool and then on the other, the pool that begins taking turns.
//! Only one pool has pages at a time. A pool that cannot be given its pages ends the program.

mod clock;
mod gigantic;
mod knob;
mod life;
mod machine;
mod mapped;
mod memory;
pub mod options;
mod sample;
mod size;
mod threads;
mod zero;

use guest::pool::{Pool, Resized, HUGETLB, OURS};
use guest::{Check, Fail};

use crate::knob::Knob;
use crate::options::Options;
use crate::sample::Round;
use crate::zero::Scrubber;

/// Does what the options say, and prints it.
pub fn run(options: &Options) -> Check {
    guest::policy::run_on_cpu(0)?;
    machine::say()?;
    for (index, &pages) in options.sizes.iter().enumerate() {
        let warm_ups = usize::from(index == 0);
        in_turns(warm_ups, options.rounds, [HUGETLB, OURS], |pool, number| {
            let round = Round {
                pool: Some(pool),
                pages,
                number,
            };
            cases(&round, pool, options.threads)
        })?;
    }
    if options.gigantic {
        gigantic::run(options.rounds)?;
    }
    Ok(())
}

/// Does all cases of a few pages once, and prints nothing.
pub fn try_out(pages: usize) -> Check {
    guest::policy::run_on_cpu(0)?;
    in_turns(1, 0, [HUGETLB, OURS], |pool, number| {
        let round = Round {
            pool: Some(pool),
            pages,
            number,
        };
        cases(&round, pool, false)
    })
}

/// Calls `act` for both pools in each round, after some rounds to warm up.
fn in_turns(
    warm_ups: usize,
    rounds: usize,
    pools: [Pool; 2],
    mut act: impl FnMut(Pool, Option<usize>) -> Check,
) -> Check {
    for round in 0..warm_ups + rounds {
        let mut order = pools;
        if round % 2 == 1 {
            order.reverse();
        }
        for pool in order {
            act(pool, round.checked_sub(warm_ups))?;
        }
    }
    Ok(())
}

fn cases(round: &Round, pool: Pool, threads: bool) -> Check {
    all_cases(round, pool, threads)
        .map_err(|Fail(why)| Fail(format!("{} pages, {round:?}: {why}", round.pages)))
}

fn all_cases(round: &Round, pool: Pool, threads: bool) -> Check {
    let _pool = Resized::of(pool, 0)?;
    let _scrubber = Scrubber::stopped(pool)?;
    let nr = Knob::writable(pool, "nr_hugepages")?;
    machine::calibrate(round)?;
    life::run(round, pool, &nr)?;
    size::run(round, pool, &nr)?;
    if threads {
        threads::run(round, pool, &nr)?;
    }
    Ok(())
}
