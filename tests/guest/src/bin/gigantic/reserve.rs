// SPDX-License-Identifier: GPL-2.0

//! What is promised, and which node it comes from.

use guest::beside::beside_in;
use guest::map::Request;
use guest::policy::Policy;
use guest::pool::memory_nodes;
use guest::{check, Check};

use crate::{PAGE, POOLS};

pub fn promises_and_surplus() -> Check {
    beside_in(POOLS, 2, |side| {
        let file = side.open()?;
        let map = Request::of(side.pool(), 2).map(&file)?;
        side.counts("after mmap of both pages", (2, 2, 2, 0))?;
        side.refuses("mapping 1 page more", |side| side.map(1))?;
        let other = side.map_unreserved(1)?;
        side.touches("with both pages promised", &other, 0)?;
        map.write(PAGE, 1);
        side.counts("after a touch", (2, 1, 1, 0))?;
        side.pool().set(0)?;
        side.counts("shrunk under use", (2, 1, 1, 2))?;
        drop((map, file));
        side.settles("without the file", (0, 0, 0, 0))?;

        side.pool().set_overcommit(2)?;
        let map = side.map(1)?;
        side.counts("surplus by mmap", (1, 1, 1, 1))?;
        side.touches("by a touch", &other, 1)?;
        side.counts("surplus by a touch", (2, 1, 1, 2))?;
        side.refuses("mapping with the limit reached", |side| side.map(1))?;
        side.pool().set(1)?;
        side.counts("after writing 1", (2, 1, 1, 1))?;
        drop((map, other));
        side.settles("in the end", (1, 1, 0, 0))
    })
}

pub fn on_nodes() -> Check {
    let nodes = memory_nodes()?;
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    check!(first != last, "the guest has one node");
    beside_in(POOLS, 0, |side| {
        side.pool().reach_on(first, 1)?;
        let bound = Policy::bind(&[last]).set()?;
        side.refuses("mapping a page bound to an empty node", |side| side.map(1))?;
        drop(bound);
        let map = side.map(1)?;
        Policy::bind(&[last]).set_on(&map)?;
        side.touches("moved to an empty node", &map, 0)?;
        side.counts("after that", (1, 1, 1, 0))?;
        drop(map);
        side.pool().reach_on(last, 1)?;
        // The second page of the file, and so the second node.
        let second = Request {
            offset: PAGE as i64,
            ..Request::of(side.pool(), 1)
        };
        let map = second.map(&side.open()?)?;
        Policy::interleave(&nodes).set_on(&map)?;
        side.touches("interleaved", &map, 1)?;
        side.note_counts("interleaved")?;
        drop(map);
        side.pool().set(0)?;
        side.settles("in the end", (0, 0, 0, 0))
    })
}
