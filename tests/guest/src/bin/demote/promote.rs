// SPDX-License-Identifier: GPL-2.0

//! Which small pages become a large one.

use guest::map::Map;
use guest::pool::memory_nodes;
use guest::{same, Check, Errno};

use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;

pub fn promote(node: Option<usize>, count: u64) -> Result<(), Errno> {
    OURS.write(Size::Small, node, "promote", count)
}

pub fn promotable(node: Option<usize>) -> Check<u64> {
    OURS.read(Size::Small, node, "promotable_hugepages")
}

/// Fails unless there are so many pages, all free, and so many to be had by promoting.
fn there_are(large: u64, small: u64, whole: u64) -> Check {
    same!(
        (OURS.totals()?, promotable(None)?),
        ([(large, large), (small, small)], whole),
        "nr and free, large and small, and promotable"
    );
    Ok(())
}

pub fn each_write() -> Check {
    let _pools = Emptied::with(OURS, &[0, 2])?;
    promote(None, 1)?;
    there_are(2, 0, 0)?;
    OURS.demote(None, 2)?;
    there_are(0, 2 * PIECES, 2)?;
    promote(None, 0)?;
    there_are(0, 2 * PIECES, 2)?;
    promote(None, 1)?;
    there_are(1, PIECES, 1)?;
    // More than can be had.
    promote(None, u64::MAX)?;
    there_are(2, 0, 0)?;
    OURS.demote(None, 1)?;
    // A page less, and which one does not matter.
    OURS.set(Size::Small, None, PIECES - 1)?;
    there_are(1, PIECES - 1, 0)?;
    promote(None, 1)?;
    there_are(1, PIECES - 1, 0)
}

pub fn pages_that_are_not_free() -> Check {
    let _pools = Emptied::with(OURS, &[0, 1])?;
    OURS.demote(None, 1)?;
    let blocked = |map: &Map, what: &str| -> Check {
        same!(promotable(None)?, 0, "promotable, one {what}");
        let before = OURS.both()?;
        promote(None, 1)?;
        same!(
            OURS.both()?,
            before,
            "counters after a promotion, one {what}"
        );
        same!(map.bytes(), guest::HUGE, "bytes mapped");
        Ok(())
    };
    // One that is in use.
    let map = OURS.map_unreserved(Size::Small, 1)?;
    same!(promotable(None)?, 1, "promotable, none in use");
    map.fill(0, 0x5a5a);
    blocked(&map, "in use")?;
    map.holds(0, 0x5a5a)?;
    drop(map);
    same!(promotable(None)?, 1, "promotable, none in use any more");
    // One that is promised, wherever it is.
    let map = OURS.map(Size::Small, 1)?;
    blocked(&map, "reserved")?;
    map.fill(0, 0x5a5a);
    drop(map);
    same!(promotable(None)?, 1, "promotable, none promised any more");
    // One that is surplus leaves the others alone.
    OURS.write(Size::Small, None, "nr_overcommit_hugepages", 1)?;
    let map = OURS.map(Size::Small, PIECES as usize + 1)?;
    for page in 0..=PIECES as usize {
        map.write(page * guest::HUGE, 1);
    }
    same!(
        OURS.counts(Size::Small)?.row(),
        (PIECES + 1, 0, 1),
        "nr, free, surplus in use"
    );
    drop(map);
    let [_, small] = OURS.both()?;
    same!(small.surplus, 0, "surplus when all are given up");
    let whole = promotable(None)?;
    promote(None, 1)?;
    let [(large, _), (small, free)] = OURS.totals()?;
    same!(
        (large, small, free),
        (whole, PIECES * (1 - whole), small),
        "large, small and free small pages, as far as they lie together"
    );
    Ok(())
}

pub fn on_nodes() -> Check {
    let nodes = memory_nodes()?;
    let (first, second) = (Some(nodes[0]), Some(nodes[1]));
    let _pools = Emptied::with(OURS, &[1, 2])?;
    OURS.demote(None, 3)?;
    let there = |first_whole, second_whole| -> Check {
        same!(
            (promotable(first)?, promotable(second)?, promotable(None)?),
            (first_whole, second_whole, first_whole + second_whole),
            "promotable of the nodes, and in all"
        );
        let [large, small] = OURS.both()?;
        let nr = |place: usize| (large.nodes[place].nr, small.nodes[place].nr);
        same!(
            (nr(0), nr(1)),
            (
                (1 - first_whole, first_whole * PIECES),
                (2 - second_whole, second_whole * PIECES)
            ),
            "large and small pages of the nodes"
        );
        Ok(())
    };
    there(1, 2)?;
    promote(second, 1)?;
    there(1, 1)?;
    promote(first, 7)?;
    there(0, 1)?;
    promote(first, 1)?;
    there(0, 1)?;
    OURS.demote(first, 1)?;
    there(1, 1)?;
    // The nodes take turns.
    promote(None, 2)?;
    there(0, 0)
}
