// SPDX-License-Identifier: GPL-2.0

//! Memory policies: which node a page comes from, and what a reservation is checked against.

use guest::beside::{beside, Side};
use guest::map::{Map, Request};
use guest::policy::{set_home, Policy};
use guest::pool::memory_nodes;
use guest::{check, same, Check, HUGE};

/// The nodes with memory, and the first and last of them.
fn nodes() -> Check<(Vec<usize>, usize, usize)> {
    let nodes = memory_nodes()?;
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    Ok((nodes, first, last))
}

pub fn bind_limits_reservations() -> Check {
    let (_, first, last) = nodes()?;
    beside(0, |side| {
        side.pool().set_node(first, 4)?;
        side.pool().set_node(last, 2)?;
        side.note_counts("to begin with")?;
        let bound = Policy::bind(&[last]).set()?;
        side.refuses("mapping 3 pages bound to a node of 2", |side| side.map(3))?;
        let map = side.map(2)?;
        // Reservations do not say on which node: a second one passes as long as all fit.
        let other = side.map(2);
        side.note("mapping 2 pages more", other.as_ref().map(Map::pages));
        side.note_counts("with both")?;
        side.touches("of what was reserved", &map, 2)?;
        side.note_counts("with 2 touched")?;
        drop((map, other));
        side.refuses("mapping 3 pages again", |side| side.map(3))?;
        drop(bound);
        let map = side.map(if first == last { 2 } else { 6 })?;
        side.note_counts("without policy")?;
        drop(map);
        Ok(())
    })
}

pub fn bind_places_surplus() -> Check {
    let (nodes, _, last) = nodes()?;
    beside(0, |side| {
        side.pool().set_overcommit(4)?;
        for policy in [Policy::bind(&[last]), Policy::bind(&nodes)] {
            let _task = policy.set()?;
            let map = side.map(3)?;
            side.counts(format!("reserved with {policy:?}"), (3, 3, 3, 3))?;
            if nodes.len() > 1 && policy.nodes() == [last] {
                let counts = side.pool().counts()?;
                let there = counts.nodes.iter().filter(|node| node.surplus == 3);
                same!(there.count(), 1, "nodes that have all surplus");
            }
            side.touches("what was reserved", &map, 3)?;
            let other = side.map_unreserved(2)?;
            side.touches("without reservation", &other, 1)?;
            side.counts(format!("touched with {policy:?}"), (4, 0, 0, 4))?;
            drop((map, other));
            side.settles("afterwards", (0, 0, 0, 0))?;
        }
        Ok(())
    })
}

pub fn mbind_to_an_empty_node_is_sigbus_though_reserved() -> Check {
    let (_, first, last) = nodes()?;
    beside(0, |side| {
        side.pool().set_node(first, 3)?;
        let map = side.map(3)?;
        side.counts("reserved", (3, 3, 3, 0))?;
        map.write(0, 1);
        Policy::bind(&[last]).set_on(&map)?;
        // With one node there is no empty one.
        let there = if first == last { 3 } else { 1 };
        side.touches("bound to the last node", &map, there)?;
        side.note_counts("after that")?;
        Policy::bind(&[first]).set_on(&map)?;
        side.touches("bound to the first node", &map, 3)?;
        side.counts("with all touched", (3, 0, 0, 0))?;
        drop(map);
        side.settles("in the end", (3, 3, 0, 0))
    })
}

/// Free pages of each node, in the order of the nodes.
fn free(side: &Side) -> Check<Vec<u64>> {
    let counts = side.pool().counts()?;
    Ok(counts.nodes.iter().map(|node| node.free).collect())
}

/// Pages that each test of a policy touches, and from which page of the file on: the place in the
/// file counts, not the place in the mapping.
const TOUCHED: usize = 3;
const SHIFT: i64 = 1;

fn shifted(side: &Side) -> Check<Map> {
    let request = Request {
        offset: SHIFT * HUGE as i64,
        ..Request::pages(TOUCHED)
    };
    Ok(request.map(&side.open()?)?)
}

/// Touches pages under every policy, which `with` applies; notes where they came from. Policies
/// must make a difference where there is more than one node.
fn under_each_policy(with: impl Fn(&Side, &Policy) -> Check<Map>) -> Check {
    let (nodes, ..) = nodes()?;
    beside(4 * nodes.len() as u64, |side| {
        let mut places = Vec::new();
        for policy in Policy::each(&nodes) {
            let map = with(side, &policy)?;
            side.touches(format!("with {policy:?}"), &map, TOUCHED)?;
            side.note_counts(format!("touched with {policy:?}"))?;
            places.push(free(side)?);
            drop(map);
            side.note_counts(format!("after {policy:?}"))?;
        }
        places.sort();
        places.dedup();
        let least = if nodes.len() > 1 { 3 } else { 1 };
        check!(places.len() >= least, "all policies placed as {places:?}");
        Ok(())
    })
}

pub fn policies_of_the_task() -> Check {
    under_each_policy(|side, policy| {
        let _task = policy.set()?;
        let map = shifted(side)?;
        for page in 0..TOUCHED {
            map.write(page * HUGE, 1);
        }
        Ok(map)
    })
}

pub fn policies_of_the_mapping() -> Check {
    let (_, first, _) = nodes()?;
    under_each_policy(|side, policy| {
        // The mapping's goes before the task's.
        let _task = Policy::bind(&[first]).set()?;
        let map = shifted(side)?;
        policy.set_on(&map)?;
        for page in 0..TOUCHED {
            map.write(page * HUGE, 1);
        }
        Ok(map)
    })
}

pub fn exhausted_nodes_fall_back() -> Check {
    let (nodes, ..) = nodes()?;
    let all = 2 * nodes.len();
    beside(all as u64, |side| {
        for policy in Policy::each(&nodes) {
            let map = side.map(all)?;
            policy.set_on(&map)?;
            let touched = side.touch(format!("all pages with {policy:?}"), &map)?;
            side.note_counts(format!("all pages with {policy:?}"))?;
            check!(touched.pages >= 2, "{policy:?}: {touched:?}");
            drop(map);
            side.settles("afterwards", (all as u64, all as u64, 0, 0))?;
        }
        Ok(())
    })
}

pub fn home_nodes() -> Check {
    let (nodes, ..) = nodes()?;
    beside(4 * nodes.len() as u64, |side| {
        for &home in &nodes {
            for policy in [Policy::bind(&nodes), Policy::preferred_many(&nodes)] {
                let map = side.map(TOUCHED)?;
                policy.set_on(&map)?;
                set_home(&map, home)?;
                side.touches(format!("with {policy:?}, at home on {home}"), &map, TOUCHED)?;
                side.note_counts(format!("with {policy:?}, at home on {home}"))?;
                let index = nodes.iter().position(|&node| node == home);
                let left = index.map(|index| free(side).map(|free| free[index]));
                same!(left.transpose()?, Some(1), "pages left on node {home}");
                drop(map);
            }
        }
        Ok(())
    })
}
