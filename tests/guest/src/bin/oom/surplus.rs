// SPDX-License-Identifier: GPL-2.0

//! Surplus pages that are free when memory runs out.

use guest::map::Map;
use guest::policy::Policy;
use guest::pool::{memory_nodes, Resized, OURS};
use guest::{same, Check};

use crate::scarcity::{after_taking_all, scarce, Floor};

const PART: usize = 8;
const PARTS: u64 = PART as u64;

/// No page, but so many that may be made.
fn overcommitted() -> Check<Resized> {
    let pool = Resized::ours(0)?;
    OURS.set_overcommit(PARTS)?;
    Ok(pool)
}

/// A surplus page that nobody was promised is free where it was made for a promise on one node, which
/// a page took that another node has got since. (With one node there is none: it becomes one that the
/// pool keeps.)
pub fn what_nobody_was_promised_goes_first() -> Check {
    let _pool = overcommitted()?;
    let nodes = memory_nodes()?;
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    let bound = Policy::bind(&[last]).set()?;
    let map = Map::of_new_file(PART)?;
    drop(bound);
    OURS.reach_on(first, 2 * PARTS)?;
    Policy::bind(&[first]).set_on(&map)?;
    (0..PART).for_each(|page| map.mark(page, 1 + page as u64));
    let surplus = if first == last { 0 } else { PARTS };
    let before = OURS.counts()?;
    same!(
        (before.row(), before.resv),
        ((2 * PARTS + surplus, PARTS + surplus, surplus), 0),
        "nr, free and surplus; resv before"
    );

    let _rest = scarce()?;
    // Both were within reach of the floor: pages that the pool keeps, and surplus.
    for (floor, free) in [(2 * PARTS, PARTS), (0, 0)] {
        let _floor = Floor::of(OURS, floor)?;
        let after = after_taking_all(OURS)?;
        same!(
            (after.row(), after.resv),
            ((PARTS + free, free, 0), 0),
            "nr, free and surplus; resv with floor {floor}"
        );
        (0..PART).try_for_each(|page| map.marked(page, 1 + page as u64))?;
    }
    Ok(())
}

pub fn what_was_promised_stays() -> Check {
    let _pool = overcommitted()?;
    let map = Map::of_new_file(PART)?;
    let _rest = scarce()?;
    let _floor = Floor::of(OURS, 0)?;
    let before = OURS.counts()?;
    same!(
        (before.row(), before.resv),
        ((PARTS, PARTS, PARTS), PARTS),
        "nr, free and surplus; resv before"
    );
    same!(after_taking_all(OURS)?, before, "the pool");
    for page in 0..PART {
        map.unmarked(page)?;
        map.mark(page, 9);
    }
    Ok(())
}
