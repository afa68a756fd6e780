// SPDX-License-Identifier: GPL-2.0

//! Sizes written while pages are reserved, and sizes written under a memory policy.

use guest::beside::{beside, Side};
use guest::policy::Policy;
use guest::pool::memory_nodes;
use guest::{Check, HUGE};

pub fn shrinking_keeps_what_is_reserved() -> Check {
    const PAGES: u64 = 100;
    beside(PAGES, |side| {
        let map = side.map(PAGES as usize)?;
        side.pool().set(0)?;
        side.counts("after writing 0", (PAGES, PAGES, PAGES, PAGES))?;
        side.refuses("mapping 1 page more", |side| side.map(1))?;
        let other = side.map_unreserved(1)?;
        side.touches("without reservation", &other, 0)?;
        side.touches("what was reserved", &map, PAGES as usize)?;
        side.counts("with all touched", (PAGES, 0, 0, PAGES))?;
        drop((map, other));
        side.settles("in the end", (0, 0, 0, 0))
    })
}

pub fn sizes_around_what_is_reserved_and_used() -> Check {
    beside(12, |side| {
        let map = side.map(6)?;
        for page in 0..3 {
            map.write(page * HUGE, 1);
        }
        side.counts("with 3 of 6 touched", (12, 9, 3, 0))?;
        for (count, want) in [
            (7, (7, 4, 3, 0)),
            (6, (6, 3, 3, 0)),
            (5, (6, 3, 3, 1)),
            (2, (6, 3, 3, 4)),
            (4, (6, 3, 3, 2)),
            (8, (8, 5, 3, 0)),
            (0, (6, 3, 3, 6)),
        ] {
            side.pool().set(count)?;
            side.counts(format!("after writing {count}"), want)?;
        }
        side.touches("what was reserved", &map, 6)?;
        side.counts("with all touched", (6, 0, 0, 6))?;
        side.pool().set(3)?;
        side.counts("after writing 3", (6, 0, 0, 3))?;
        drop(map);
        side.settles("in the end", (3, 3, 0, 0))
    })
}

pub fn node_sizes_around_what_is_reserved() -> Check {
    let nodes = memory_nodes()?;
    beside(4 * nodes.len() as u64, |side| {
        let map = side.map(3 * nodes.len())?;
        side.touch("what was reserved", &map)?;
        side.note_counts("with all touched")?;
        let other = side.map(1)?;
        for count in [0, 2, 1, 6, 0] {
            for &node in &nodes {
                side.pool().set_node(node, count)?;
                side.note_counts(format!("after writing {count} to node {node}"))?;
            }
        }
        drop((map, other));
        side.pool().set(0)?;
        side.settles("in the end", (0, 0, 0, 0))
    })
}

/// What is written under each policy.
const COUNTS: [u64; 6] = [5, 2, 7, 6, 1, 0];

/// Writes sizes through the file that goes by the task's policy.
fn write_by_policy(side: &mut Side, who: &str) -> Check {
    for count in COUNTS {
        side.pool().set_by_policy(count)?;
        side.note_counts(format!("after {who} wrote {count}"))?;
        let shown = std::fs::read_to_string(side.pool().file("nr_hugepages_mempolicy"))?;
        side.note(format!("nr_hugepages_mempolicy after {who}"), shown);
    }
    // The other file does not go by it.
    side.pool().set(3)?;
    side.note_counts(format!("after {who} wrote 3 to nr_hugepages"))?;
    side.pool().set(0)?;
    side.counts(format!("after {who} wrote 0"), (0, 0, 0, 0))
}

pub fn by_policy_of_the_writing_task() -> Check {
    let nodes = memory_nodes()?;
    beside(0, |side| {
        write_by_policy(side, "a task without policy")?;
        for policy in Policy::each(&nodes) {
            let _task = policy.set()?;
            write_by_policy(side, &format!("a task with {policy:?}"))?;
        }
        Ok(())
    })
}

pub fn by_policy_with_pages_in_use() -> Check {
    let nodes = memory_nodes()?;
    beside(4 * nodes.len() as u64, |side| {
        let everywhere = Policy::interleave(&nodes);
        let map = side.map(3 * nodes.len())?;
        everywhere.set_on(&map)?;
        side.touches("what was reserved", &map, 3 * nodes.len())?;
        let other = side.map(1)?;
        for policy in Policy::each(&nodes) {
            let _task = policy.set()?;
            for count in [0, 4, 3 * nodes.len() as u64, 1] {
                side.pool().set_by_policy(count)?;
                side.note_counts(format!("after a task with {policy:?} wrote {count}"))?;
            }
        }
        drop((map, other));
        side.pool().set(0)?;
        side.settles("in the end", (0, 0, 0, 0))
    })
}
