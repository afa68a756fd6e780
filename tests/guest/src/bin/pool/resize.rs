// SPDX-License-Identifier: GPL-2.0

//! Writing `nr_hugepages`: how many pages, from which node, and what surplus becomes of the rest.

use guest::map::{Map, Request};
use guest::pool::{memory_nodes, online_nodes, Counts, Pool, Resized, HUGETLB, OURS};
use guest::{check, memory, same, Check, HUGE};

pub fn grows_and_shrinks() -> Check {
    let _pool = Resized::ours(0)?;
    for count in [1, 8, 8, 3, 12, 0, 5] {
        OURS.set(count)?;
        same!(OURS.nr()?, count, "nr_hugepages after writing {count}");
        same!(OURS.free()?, count, "free_hugepages after writing {count}");
        same!(
            OURS.surplus()?,
            0,
            "surplus_hugepages after writing {count}"
        );
    }
    Ok(())
}

pub fn takes_real_memory_and_gives_it_back() -> Check {
    const PAGES: u64 = 16;
    let _pool = Resized::ours(0)?;
    let before = memory::free_kib()?;
    OURS.set(PAGES)?;
    same!(OURS.nr()?, PAGES, "nr_hugepages");
    let taken = before.saturating_sub(memory::free_kib()?);
    let pages_kib = PAGES * (HUGE as u64 / 1024);
    check!(
        taken.abs_diff(pages_kib) < memory::NOISE_KIB,
        "{PAGES} pages took {taken} KiB"
    );
    OURS.set(0)?;
    memory::all_is_back(before, memory::free_kib()?)
}

fn check_sums(counts: &Counts) -> Check {
    let sum = |of: fn(&guest::pool::NodeCounts) -> u64| counts.nodes.iter().map(of).sum::<u64>();
    same!(
        sum(|node| node.nr),
        counts.nr,
        "the nodes' nr_hugepages in all"
    );
    same!(
        sum(|node| node.free),
        counts.free,
        "the nodes' free_hugepages in all"
    );
    same!(
        sum(|node| node.surplus),
        counts.surplus,
        "the nodes' surplus_hugepages in all"
    );
    Ok(())
}

pub fn nodes_sum_up() -> Check {
    let _pool = Resized::ours(7)?;
    let map = Map::of_new_file(3)?;
    for page in 0..3 {
        map.write(page * HUGE, 1);
    }
    let counts = OURS.counts()?;
    same!(
        (counts.nr, counts.free, counts.surplus),
        (7, 4, 0),
        "counters in use"
    );
    check_sums(&counts)?;
    OURS.set(1)?;
    let counts = OURS.counts()?;
    same!(
        (counts.nr, counts.free, counts.surplus),
        (3, 0, 2),
        "counters with surplus"
    );
    check_sums(&counts)?;
    drop(map);
    OURS.settles_at_nr(1)?;
    check_sums(&OURS.counts()?)
}

/// Both pools empty, and the rotations of both at the first node: a node's file moves them there.
fn at_first_node() -> Check<(Resized, Resized)> {
    let pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    let first = memory_nodes()?[0];
    for pool in [OURS, HUGETLB] {
        pool.set_node(first, 1)?;
        pool.set_node(first, 0)?;
    }
    Ok(pools)
}

/// Does the same to both pools and compares all counters.
fn same_effect(what: &str, act: impl Fn(Pool) -> Check) -> Check {
    act(OURS)?;
    act(HUGETLB)?;
    same!(
        OURS.counts()?,
        HUGETLB.counts()?,
        "{what}, ours beside hugetlb's"
    );
    Ok(())
}

pub fn rotates_over_nodes_as_hugetlb() -> Check {
    let _pools = at_first_node()?;
    let with_memory = memory_nodes()?;
    let nodes = with_memory.len() as u64;
    for count in [1, 2, 5, 4, 3, 9, 2, 0, 3, 8, 7, 1, 0] {
        same_effect(&format!("after writing {count}"), |pool| pool.set(count))?;
    }
    // Even whatever hugetlb does: grown from nothing, no node has two more than another.
    OURS.set(2 * nodes + 1)?;
    let online = online_nodes()?;
    let counts: Vec<_> = std::iter::zip(online, OURS.counts()?.nodes)
        .filter(|(id, _)| with_memory.contains(id))
        .map(|(_, node)| node.nr)
        .collect();
    check!(
        counts.iter().all(|&nr| nr == 2 || nr == 3),
        "{} pages lie on the nodes as {counts:?}",
        2 * nodes + 1
    );
    Ok(())
}

pub fn node_files_act_as_hugetlb() -> Check {
    let _pools = at_first_node()?;
    let nodes = memory_nodes()?;
    let online = online_nodes()?;
    let last = nodes[nodes.len() - 1];
    for (node, count) in [
        (nodes[0], 3),
        (last, 2),
        (nodes[0], 1),
        (last, 4),
        (last, 0),
    ] {
        same_effect(&format!("after writing {count} to node {node}"), |pool| {
            pool.set_node(node, count)
        })?;
        let counts = OURS.counts()?;
        let index = online.iter().position(|&id| id == node);
        same!(
            index.map(|index| counts.nodes[index].nr),
            Some(count),
            "nr_hugepages of node {node}"
        );
    }
    same_effect("after writing 5 to the whole pool", |pool| pool.set(5))?;
    same_effect("after emptying the pool", |pool| pool.set(0))
}

/// The same two pages in use in both pools.
fn map_of(pool: Pool) -> Check<Map> {
    let map = if pool == HUGETLB {
        let request = Request {
            flags: libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB,
            ..Request::pages(2)
        };
        request.map_fd(-1)?
    } else {
        Map::of_new_file(2)?
    };
    for page in 0..2 {
        map.write(page * HUGE, 1);
    }
    Ok(map)
}

pub fn shrink_under_use_makes_surplus_as_hugetlb() -> Check {
    let _pools = at_first_node()?;
    same_effect("with 4 pages", |pool| pool.set(4))?;
    let maps = (map_of(OURS)?, map_of(HUGETLB)?);
    // Which node the pages in use come from is the local one's matter; the totals are compared.
    let totals = |pool: Pool| {
        let counts = pool.counts()?;
        check_sums(&counts)?;
        Ok::<_, guest::Fail>((counts.nr, counts.free, counts.surplus))
    };
    let mut seen = Vec::new();
    for count in [3, 1, 0, 1, 2, 5, 0] {
        OURS.set(count)?;
        HUGETLB.set(count)?;
        same!(
            totals(OURS)?,
            totals(HUGETLB)?,
            "after writing {count} with 2 in use"
        );
        seen.push(totals(OURS)?);
    }
    same!(
        seen,
        [
            (3, 1, 0),
            (2, 0, 1),
            (2, 0, 2),
            (2, 0, 1),
            (2, 0, 0),
            (5, 3, 0),
            (2, 0, 2)
        ],
        "nr, free and surplus"
    );
    drop(maps);
    OURS.settles_at_nr(0)?;
    same!(totals(OURS)?, (0, 0, 0), "after unmapping");
    Ok(())
}

pub fn asking_for_more_than_there_is_succeeds_short() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    let there_are = memory::meminfo("MemTotal")? / (HUGE as u64 / 1024);
    let mut got = Vec::new();
    // u64::MAX is accepted too, and means as many as there are.
    for (pool, count) in [
        (HUGETLB, 2 * there_are),
        (OURS, 2 * there_are),
        (OURS, u64::MAX),
    ] {
        pool.set(count)?;
        let (nr, free) = (pool.nr()?, pool.free()?);
        pool.set(0)?;
        same!(free, nr, "free_hugepages of {pool:?}");
        got.push(nr);
    }
    let (theirs, ours) = (got[0], &got[1..]);
    check!(
        ours.iter()
            .all(|&nr| nr <= there_are && nr >= theirs - theirs / 4),
        "of {there_are} pages hugetlb got {theirs}, this pool {ours:?}"
    );
    Ok(())
}
