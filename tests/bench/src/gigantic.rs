// SPDX-License-Identifier: GPL-2.0

//! Pages of 1 GiB: one of them, and what it takes to change its size.

use guest::pool::{Pool, Resized, HUGETLB, HUGETLB_1G, OURS, OURS_1G};
use guest::{same, Check};

use crate::in_turns;
use crate::knob::{resize, Knob};
use crate::mapped::{End, Mapped};
use crate::sample::{skip, Round};
use crate::zero::Scrubber;

/// Pages of 2 MiB in one of 1 GiB.
const PIECES: u64 = 512;

/// All cases, as far as there is a 1 GiB page to be had.
pub fn run(rounds: usize) -> Check {
    for pool in [HUGETLB_1G, OURS_1G] {
        if let Err(why) = Resized::of(pool, 1) {
            skip("1G", &why.0);
            return Ok(());
        }
    }
    in_turns(1, rounds, [HUGETLB_1G, OURS_1G], |pool, number| {
        let round = Round {
            pool: Some(pool),
            pages: 1,
            number,
        };
        cases(&round, pool)
    })
}

fn cases(round: &Round, pool: Pool) -> Check {
    let _pool = Resized::of(pool, 0)?;
    let small = if pool.is_ours() { OURS } else { HUGETLB };
    let _small = Resized::of(small, 0)?;
    let _scrubber = Scrubber::stopped(pool)?;
    let nr = Knob::writable(pool, "nr_hugepages")?;
    round.each("1G-grow", &[resize(pool, &nr, 1)?]);
    let mapped = Mapped::new(pool, 1)?;
    round.each("1G-touch-zero", &mapped.touch(1));
    let End { unmap, close } = mapped.end()?;
    round.each("1G-munmap-close", &[unmap + close]);
    let mapped = Mapped::new(pool, 1)?;
    round.each("1G-touch-returned", &mapped.touch(1));
    mapped.end()?;
    round.each("1G-demote", &[Knob::writable(pool, "demote")?.write(1)?]);
    same!(small.nr()?, PIECES, "pages of 2 MiB after demote");
    if pool.is_ours() {
        round.each("1G-promote", &[Knob::writable(small, "promote")?.write(1)?]);
        same!(pool.nr()?, 1, "pages of 1 GiB after promote");
        round.each("1G-give-back", &[resize(pool, &nr, 0)?]);
    }
    Ok(())
}
