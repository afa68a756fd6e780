// SPDX-License-Identifier: GPL-2.0

//! Memory policies: which node a page comes from, and what a reservation is checked against.

use guest::beside::{beside, Side};
use guest::kind::{beside_both, Kind};
use guest::map::{Map, Request};
use guest::numa::nodes_of;
use guest::policy::{run_on_cpu, set_home, Policy};
use guest::pool::memory_nodes;
use guest::{check, same, word, Check, HUGE};

/// The nodes with memory, and the first and last of them.
pub fn nodes() -> Check<(Vec<usize>, usize, usize)> {
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

/// Pages that each test of a policy touches, and from which page of the file on: the place in the
/// file counts, not the place in the mapping.
const TOUCHED: usize = 3;
const SHIFT: i64 = 1;

fn shifted(side: &Side, kind: Kind) -> Check<Map> {
    let request = Request {
        offset: SHIFT * HUGE as i64,
        ..kind.pages(TOUCHED)
    };
    Ok(request.map(&side.open()?)?)
}

/// Touches pages under every policy, which `with` applies; notes where they are. Policies must make
/// a difference where there is more than one node.
fn under_each_policy(with: impl Fn(&Side, Kind, &Policy) -> Check<Map>) -> Check {
    let (nodes, ..) = nodes()?;
    beside_both(4 * nodes.len() as u64, |side, kind| {
        let mut places = Vec::new();
        for policy in Policy::each(&nodes) {
            let map = with(side, kind, &policy)?;
            side.note(format!("nodes with {policy:?}"), nodes_of(&map)?);
            side.note_counts(format!("touched with {policy:?}"))?;
            places.push(nodes_of(&map)?);
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
    under_each_policy(|side, kind, policy| {
        let _task = policy.set()?;
        let map = shifted(side, kind)?;
        (0..TOUCHED).for_each(|page| map.write(page * HUGE, 1));
        Ok(map)
    })
}

pub fn policies_of_the_mapping() -> Check {
    let (_, first, _) = nodes()?;
    under_each_policy(|side, kind, policy| {
        // The mapping's goes before the task's.
        let _task = Policy::bind(&[first]).set()?;
        let map = shifted(side, kind)?;
        policy.set_on(&map)?;
        (0..TOUCHED).for_each(|page| map.write(page * HUGE, 1));
        Ok(map)
    })
}

pub fn home_nodes() -> Check {
    let (nodes, ..) = nodes()?;
    beside_both(4 * nodes.len() as u64, |side, kind| {
        for &home in &nodes {
            for policy in [Policy::bind(&nodes), Policy::preferred_many(&nodes)] {
                let map = kind.pages(TOUCHED).map(&side.open()?)?;
                policy.set_on(&map)?;
                set_home(&map, home)?;
                (0..TOUCHED).for_each(|page| map.write(page * HUGE, 1));
                side.note_counts(format!("with {policy:?}, at home on {home}"))?;
                same!(
                    nodes_of(&map)?,
                    [home as i32; TOUCHED],
                    "nodes with {policy:?}"
                );
            }
        }
        Ok(())
    })
}

/// From each CPU, with each policy: the order in which nodes are used up, and whether the last page
/// is had at all.
pub fn used_up_nodes_are_followed_by_others() -> Check {
    let (nodes, ..) = nodes()?;
    let all = 2 * nodes.len();
    beside_both(all as u64, |side, kind| {
        let mut orders = Vec::new();
        for cpu in 0..cpus()? {
            run_on_cpu(cpu)?;
            for policy in Policy::each(&nodes).iter().chain([&Policy::none()]) {
                let map = kind.pages(all).unreserved().map(&side.open()?)?;
                policy.set_on(&map)?;
                let what = format!("all pages with {policy:?} from CPU {cpu}");
                let stores = (0..all).map(|page| word::store(&map, page * HUGE, 1));
                let got = stores.take_while(Result::is_ok).count();
                let order = nodes_of(&map)?;
                side.note(&what, (got, &order));
                side.note_counts(&what)?;
                check!(got >= 2, "{what}: {got} pages");
                orders.push(order);
                drop(map);
                side.settles("afterwards", (all as u64, all as u64, 0, 0))?;
            }
        }
        orders.sort();
        orders.dedup();
        let least = if nodes.len() > 1 { 4 } else { 1 };
        check!(
            orders.len() >= least,
            "all used nodes in the order {orders:?}"
        );
        run_on_cpu(0)
    })
}

fn cpus() -> Check<usize> {
    Ok(std::thread::available_parallelism()?.get())
}
