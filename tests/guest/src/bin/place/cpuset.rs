// SPDX-License-Identifier: GPL-2.0

//! A task whose cpuset lets it use some nodes only.

use guest::beside::beside;
use guest::cgroup::Group;
use guest::kind::beside_both;
use guest::numa::{nodes_of, numa_maps};
use guest::policy::Policy;
use guest::pool::memory_nodes;
use guest::{same, word, Check, HUGE};

/// This task in a cgroup with a cpuset, until this is dropped.
#[must_use]
struct Cpuset(Group);

impl Cpuset {
    /// Confines this task to the memory of `node`.
    fn of(node: usize) -> Check<Self> {
        let this = Self(Group::new("cpuset")?);
        this.move_to(node)?;
        this.0.enter()?;
        Ok(this)
    }

    /// Confines it to the memory of another node.
    fn move_to(&self, node: usize) -> Check {
        self.0.set("cpuset.mems", &node.to_string())
    }
}

impl Drop for Cpuset {
    fn drop(&mut self) {
        let _ = self.0.leave();
    }
}

/// The first node and the last, both with memory.
fn ends() -> Check<(usize, usize)> {
    let nodes = memory_nodes()?;
    Ok((nodes[0], nodes[nodes.len() - 1]))
}

pub fn limits_reservations_and_places_pages() -> Check {
    let (first, last) = ends()?;
    beside(0, |side| {
        side.pool().set_node(first, 4)?;
        side.pool().set_node(last, 3)?;
        let group = Cpuset::of(last)?;
        side.refuses("mapping 4 pages in a cpuset of 3", |side| side.map(4))?;
        let map = side.map(3)?;
        side.note_counts("reserved")?;
        side.touches("what was reserved", &map, 3)?;
        side.note_counts("touched")?;
        let other = side.map_unreserved(2)?;
        side.touches("without reservation", &other, 0)?;
        drop((group, map, other));
        let map = side.map(if first == last { 3 } else { 7 })?;
        side.note_counts("reserved outside the cpuset")?;
        drop(map);
        Ok(())
    })
}

pub fn places_surplus() -> Check {
    let (_, last) = ends()?;
    beside(0, |side| {
        side.pool().set_overcommit(4)?;
        let _group = Cpuset::of(last)?;
        let map = side.map(2)?;
        side.counts("reserved", (2, 2, 2, 2))?;
        let other = side.map_unreserved(3)?;
        side.touches("without reservation", &other, 2)?;
        side.counts("touched", (4, 2, 2, 4))?;
        side.touches("what was reserved", &map, 2)?;
        drop((map, other));
        side.settles("in the end", (0, 0, 0, 0))
    })
}

pub fn limits_resizes() -> Check {
    let (first, last) = ends()?;
    beside(0, |side| {
        let group = Cpuset::of(last)?;
        for count in [4, 1, 6, 0] {
            side.pool().set(count)?;
            side.note_counts(format!("after writing {count}"))?;
            side.pool().set_by_policy(count + 1)?;
            side.note_counts(format!("after writing {count} + 1 by policy"))?;
        }
        for node in [first, last] {
            side.pool().set_node(node, 2)?;
            side.note_counts(format!("after writing 2 to node {node}"))?;
        }
        drop(group);
        side.pool().set(0)?;
        side.counts("in the end", (0, 0, 0, 0))
    })
}

/// Policies from before, inside a cpuset of the last node.
pub fn limits_policies() -> Check {
    let (first, last) = ends()?;
    let nodes = memory_nodes()?;
    beside_both(4 * nodes.len() as u64, |side, kind| {
        for policy in Policy::each(&nodes) {
            let map = kind.pages(3).unreserved().map(&side.open()?)?;
            policy.set_on(&map)?;
            let group = Cpuset::of(last)?;
            let stores = [0, 1, 2].map(|page| word::store(&map, page * HUGE, 1));
            side.note(format!("writes with {policy:?}"), stores);
            let seen = nodes_of(&map)?;
            side.note(format!("nodes with {policy:?}"), &seen);
            let other = kind.pages(1).map(&side.open()?)?;
            let refused = Policy::bind(&[first]).bind_range(other.base(), HUGE, 0);
            side.note("bind to a node outside", refused);
            drop(group);
            side.note_counts(format!("with {policy:?}"))?;
        }
        Ok(())
    })
}

/// The cpuset's nodes change, and with them those of the policies, of the task and of mappings.
pub fn moves_policies() -> Check {
    let (first, last) = ends()?;
    beside_both(8, |side, kind| {
        side.pool().set_node(first, 4)?;
        side.pool()
            .set_node(last, if first == last { 8 } else { 4 })?;
        let group = Cpuset::of(first)?;
        let task = Policy::bind(&[first]).set()?;
        let bound = kind.pages(2).map(&side.open()?)?;
        let plain = kind.pages(2).map(&side.open()?)?;
        Policy::bind(&[first]).set_on(&bound)?;
        group.move_to(last)?;
        for map in [&bound, &plain] {
            (0..2).for_each(|page| map.write(page * HUGE, 1));
            let want = [last as i32; 2];
            same!(nodes_of(map)?, want, "nodes in the cpuset of the last node");
        }
        side.note_counts("in the cpuset of the last node")?;
        side.note("numa_maps", (numa_maps(&bound)?, numa_maps(&plain)?));
        drop((task, group));
        Ok(())
    })
}
