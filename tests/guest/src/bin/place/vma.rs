// SPDX-License-Identifier: GPL-2.0

//! Policies of parts of a mapping: mbind makes VMAs of them, each with a policy of its own, as
//! hugetlb has no policy of a file.

use guest::beside::Side;
use guest::kind::{beside_both, Kind};
use guest::map::{Map, READ, WRITE};
use guest::numa::{nodes_of, numa_maps};
use guest::policy::Policy;
use guest::{call, check, same, word, Check, HUGE};

use crate::policy::nodes;

/// Pages of the mapping, each `PART` of them with a policy of their own.
const PAGES: usize = 8;
const PART: usize = 2;

/// A mapping of a new file, without promises: hugetlb loses those of a private mapping that is
/// moved in parts (DEVIATIONS.md).
fn unreserved(side: &Side, kind: Kind) -> Check<Map> {
    Ok(kind.pages(PAGES).unreserved().map(&side.open()?)?)
}

fn touch(map: &Map) {
    (0..map.pages()).for_each(|page| map.write(page * HUGE, 1));
}

pub fn parts_have_policies_of_their_own() -> Check {
    let (nodes, first, last) = nodes()?;
    beside_both(PAGES as u64 * nodes.len() as u64, |side, kind| {
        let map = unreserved(side, kind)?;
        let policies = [
            Policy::bind(&[last]),
            Policy::interleave(&nodes),
            Policy::none(),
            Policy::preferred(last),
        ];
        for (part, policy) in policies.iter().enumerate() {
            policy.set_on_part(&map, part * PART, PART)?;
        }
        touch(&map);
        let seen = nodes_of(&map)?;
        side.note("nodes", &seen);
        side.note("numa_maps", numa_maps(&map)?);
        side.note_counts("touched")?;
        let (first, last) = (first as i32, last as i32);
        let fixed = [seen[0], seen[1], seen[4], seen[5], seen[6], seen[7]];
        same!(fixed, [last, last, first, first, last, last], "nodes");
        check!(
            nodes.len() < 2 || seen[2] != seen[3],
            "interleaved as {seen:?}"
        );
        Ok(())
    })
}

/// Interleaving goes by the place in the file, wherever in memory that is.
pub fn policies_stay_when_a_mapping_is_cut_and_moved() -> Check {
    let (nodes, ..) = nodes()?;
    beside_both(PAGES as u64 * nodes.len() as u64, |side, kind| {
        let map = unreserved(side, kind)?;
        Policy::interleave(&nodes).set_on(&map)?;
        map.protect(2 * HUGE, HUGE, READ)?;
        map.unmap(0, HUGE)?;
        let (_room, target) = Map::reserve(2)?;
        moved(&map, 5, 2, target)?;
        map.protect(2 * HUGE, HUGE, READ | WRITE)?;
        side.note("numa_maps", numa_maps(&map)?);
        for page in [1, 2, 3, 4, 7] {
            map.write(page * HUGE, 1);
        }
        // SAFETY: The pages were moved there.
        unsafe {
            target.cast::<u64>().write_volatile(1);
            target.add(HUGE).cast::<u64>().write_volatile(1);
        }
        let mut seen = nodes_of(&map)?;
        side.note("nodes that are left", &seen);
        let there = guest::numa::status(0, &[target, target.wrapping_add(HUGE)])?;
        side.note("nodes that were moved", &there);
        side.note_counts("touched")?;
        seen.splice(5..7, there);
        let turns = |page: usize| nodes[page % nodes.len()] as i32;
        let want: Vec<_> = (1..PAGES).map(turns).collect();
        same!(seen[1..], want[..], "nodes by page of the file");
        Ok(())
    })
}

/// mremap of `pages` pages from page `first` on.
fn moved(map: &Map, first: usize, pages: usize, to: *mut u8) -> Check {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let bytes = pages * HUGE;
    // SAFETY: The range lies in the mapping, whose drop tolerates holes; the target is reserved.
    let base = unsafe {
        libc::mremap(
            map.at(first * HUGE).cast(),
            bytes,
            bytes,
            flags,
            to.cast::<libc::c_void>(),
        )
    };
    call(base as i64)?;
    Ok(())
}

/// A policy can be taken back, and replaced before and after the first touch.
pub fn policies_can_be_replaced() -> Check {
    let (nodes, first, last) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let _task = Policy::bind(&[last]).set()?;
        let map = kind.pages(4).map(&side.open()?)?;
        Policy::bind(&[first]).set_on(&map)?;
        map.write(0, 1);
        Policy::none().set_on(&map)?;
        map.write(HUGE, 1);
        Policy::preferred(first).set_on(&map)?;
        map.write(2 * HUGE, 1);
        Policy::bind(&[last]).set_on(&map)?;
        map.write(3 * HUGE, 1);
        let seen = nodes_of(&map)?;
        side.note_counts("touched")?;
        let want = [first, last, first, last].map(|node| node as i32);
        same!(seen, want, "nodes");
        Ok(())
    })
}

/// Two mappings of one file: the policy is the mapping's that touches first, and not the file's.
pub fn a_policy_is_not_the_files() -> Check {
    let (nodes, first, last) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let file = side.open()?;
        let one = Kind::Shared.pages(3).map(&file)?;
        let other = kind.pages(3).map(&file)?;
        Policy::bind(&[first]).set_on(&one)?;
        Policy::bind(&[last]).set_on(&other)?;
        one.write(0, 1);
        other.write(HUGE, 1);
        side.note("read", (one.read(HUGE), other.read(0)));
        one.write(2 * HUGE, 1);
        other.write(0, 2);
        other.write(2 * HUGE, 2);
        side.note("nodes", (nodes_of(&one)?, nodes_of(&other)?));
        side.note_counts("touched")
    })
}

/// A policy that leads to nodes without pages, beside others that have some.
pub fn bound_to_a_used_up_node() -> Check {
    let (nodes, first, last) = nodes()?;
    beside_both(0, |side, kind| {
        side.pool().set_node(first, 4)?;
        side.pool()
            .set_node(last, if first == last { 4 } else { 1 })?;
        let map = kind.pages(4).unreserved().map(&side.open()?)?;
        Policy::bind(&[last]).set_on_part(&map, 1, 2)?;
        let stores = [0, 1, 2, 3].map(|page| word::store(&map, page * HUGE, 1));
        side.note("writes", stores);
        let lost = stores.iter().filter(|store| store.is_err()).count();
        same!(
            lost,
            usize::from(nodes.len() > 1),
            "pages that could not be had"
        );
        side.note("nodes", nodes_of(&map)?);
        side.note_counts("touched")
    })
}
