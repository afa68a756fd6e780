// SPDX-License-Identifier: GPL-2.0

//! What is done to a pool of so many pages, but not to each of them.

use guest::pool::Pool;
use guest::Check;

use crate::knob::{resize, Knob};
use crate::sample::Round;

/// How often in a round.
const TIMES: usize = 5;

/// Files to read, and the cases' names.
const COUNTERS: [(&str, &str); 4] = [
    ("nr_hugepages", "read-nr"),
    ("free_hugepages", "read-free"),
    ("resv_hugepages", "read-resv"),
    ("surplus_hugepages", "read-surplus"),
];

/// All cases. The pool has all its pages, which are free, and none afterwards.
pub fn run(round: &Round, pool: Pool, nr: &Knob) -> Check {
    let pages = round.pages;
    let (mut grow, mut shrink, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        grow.push(resize(pool, nr, pages + 1)?);
        shrink.push(resize(pool, nr, pages)?);
        nothing.push(resize(pool, nr, pages)?);
    }
    round.each("grow-one", &grow);
    round.each("shrink-one", &shrink);
    round.each("write-nothing", &nothing);
    for (file, case) in COUNTERS {
        let knob = Knob::readable(pool, file)?;
        // The first read makes the file's buffer.
        knob.read()?;
        let spans: Vec<u64> = (0..TIMES).map(|_| knob.read()).collect::<Check<_>>()?;
        round.each(case, &spans);
    }
    round.samples("give-back", pages, &[resize(pool, nr, 0)?]);
    Ok(())
}
