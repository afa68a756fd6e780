// SPDX-License-Identifier: GPL-2.0

//! Where copies on write come to lie: they are placed anew, by the policy of who writes.

use guest::beside::{beside, Side};
use guest::child::{fork, Child};
use guest::kind::Kind;
use guest::map::Map;
use guest::numa::nodes_of;
use guest::policy::Policy;
use guest::ring::{Buffer, Ring};
use guest::{same, word, Check, Fail, HUGE};

use crate::policy::nodes;

/// A private mapping whose pages are on `node`, with no policy of its own any more.
fn filled(side: &Side, pages: usize, node: usize) -> Check<Map> {
    let map = Kind::Private.pages(pages).map(&side.open()?)?;
    Policy::bind(&[node]).set_on(&map)?;
    (0..pages).for_each(|page| map.write(page * HUGE, 1));
    Policy::none().set_on(&map)?;
    same!(nodes_of(&map)?, vec![node as i32; pages], "nodes at first");
    Ok(map)
}

/// A child that does `act`, tells on which nodes its pages are, and waits.
fn child_on_nodes(map: &Map, act: impl Fn() -> Check) -> Check<(Child, Vec<i64>)> {
    let child = fork(|link| {
        act()?;
        for node in nodes_of(map)? {
            link.send(node as u64)?;
        }
        link.number().map(drop)
    })?;
    let nodes = (0..map.pages()).map(|_| Ok(child.link.number()? as i32 as i64));
    let nodes = nodes.collect::<Check<_>>()?;
    Ok((child, nodes))
}

fn end(child: Child) -> Check {
    child.link.send(1)?;
    child.finish()
}

pub fn of_the_files_page() -> Check {
    let (nodes, first, last) = nodes()?;
    beside(8 * nodes.len() as u64, |side| {
        let file = side.open()?;
        let shared = Kind::Shared.pages(3).map(&file)?;
        Policy::bind(&[first]).set_on(&shared)?;
        (0..3).for_each(|page| shared.write(page * HUGE, 7));
        let own = Kind::Private.pages(3).map(&file)?;
        same!(own.read(0), 7, "the file's word");
        side.note("nodes, read", nodes_of(&own)?);
        let _task = Policy::bind(&[last]).set()?;
        own.write(0, 1);
        Policy::bind(&[last]).set_on_part(&own, 1, 1)?;
        own.write(HUGE, 1);
        Policy::preferred(first).set_on_part(&own, 2, 1)?;
        own.write(2 * HUGE, 1);
        let want = [last, last, first].map(|node| node as i32);
        same!(nodes_of(&own)?, want, "nodes, written");
        side.note_counts("written")?;
        (0..3).try_for_each(|page| {
            same!(shared.read(page * HUGE), 7, "the file's word");
            Ok(())
        })
    })
}

pub fn of_the_one_who_writes() -> Check {
    let (nodes, first, last) = nodes()?;
    beside(8 * nodes.len() as u64, |side| {
        let map = filled(side, 3, first)?;
        Policy::bind(&[first]).set_on_part(&map, 2, 1)?;
        let (child, seen) = child_on_nodes(&map, || {
            // The task's own; the mapping's, which it inherited, goes before it.
            let _task = Policy::bind(&[last]).set()?;
            map.write(0, 2);
            map.write(2 * HUGE, 2);
            map.read(HUGE);
            Ok(())
        })?;
        side.note_counts("written by the child")?;
        let want = [last, first, first].map(|node| node as i64);
        same!(seen, want, "nodes of the child");
        let _task = Policy::bind(&[last]).set()?;
        (0..3).for_each(|page| map.write(page * HUGE, 3));
        // Page 0 and 2 are the parent's alone by now.
        let want = [first, last, first].map(|node| node as i32);
        same!(nodes_of(&map)?, want, "nodes of the parent");
        side.note_counts("written by both")?;
        end(child)
    })
}

/// mbind after the fork is for one side only.
pub fn of_the_policy_after_the_fork() -> Check {
    let (nodes, first, last) = nodes()?;
    beside(8 * nodes.len() as u64, |side| {
        let map = filled(side, 2, first)?;
        let (child, seen) = child_on_nodes(&map, || {
            Policy::bind(&[last]).set_on(&map)?;
            map.write(0, 2);
            map.read(HUGE);
            Ok(())
        })?;
        same!(seen, [last as i64, first as i64], "nodes of the child");
        map.write(0, 3);
        map.write(HUGE, 3);
        side.note("nodes of the parent", nodes_of(&map)?);
        side.note_counts("written by both")?;
        end(child)
    })
}

/// The child's copy of a page that is pinned is made at fork, by the task that forks.
pub fn at_fork_of_a_pinned_page() -> Check {
    let (nodes, first, last) = nodes()?;
    beside(8 * nodes.len() as u64, |side| {
        let map = filled(side, 3, first)?;
        Policy::bind(&[first]).set_on_part(&map, 1, 1)?;
        let ring = Ring::new()?;
        for slot in 0..2 {
            let base = map.at(usize::from(slot) * HUGE);
            ring.pin(Buffer { slot, base })?;
        }
        let task = Policy::bind(&[last]).set()?;
        let (child, seen) = child_on_nodes(&map, || {
            (0..3).try_for_each(|page| map.part_holds(page * HUGE, 8, 1))
        })?;
        drop(task);
        let want = [last, first, first].map(|node| node as i64);
        same!(seen, want, "nodes of the child");
        side.note_counts("forked")?;
        end(child)
    })
}

/// The creator's policy has no node left for its copy, others have pages: the page is taken from
/// the child all the same.
pub fn to_a_used_up_node() -> Check {
    let (nodes, first, last) = nodes()?;
    beside(0, |side| {
        // With one node: none is left of that.
        side.pool()
            .set_node(first, if nodes.len() > 1 { 4 } else { 1 })?;
        let map = filled(side, 1, first)?;
        let child = fork(|link| {
            link.number()?;
            let seen = word::load(&map, 0);
            link.send(seen.map_or_else(|errno| errno.0 as u64, |word| word + 1000))?;
            link.number().map(drop)
        })?;
        Policy::bind(&[last]).set_on(&map)?;
        side.note("the parent writes", word::store(&map, 0, 2));
        side.note("nodes of the parent", nodes_of(&map)?);
        side.note_counts("written")?;
        child.link.send(1)?;
        side.note("the child reads, or its errno", child.link.number()?);
        end(child).map_err(|Fail(why)| Fail(format!("the child: {why}")))
    })
}
