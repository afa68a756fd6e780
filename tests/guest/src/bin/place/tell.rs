// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells about where pages are, and what it does to move them.

use guest::beside::Side;
use guest::child::fork;
use guest::kind::{beside_both, Kind};
use guest::map::Map;
use guest::numa::{move_pages, node_at, nodes_of, numa_maps, status};
use guest::policy::Policy;
use guest::pool::{HUGETLB, OURS};
use guest::{call, same, Check, Errno, HUGE};

use crate::policy::nodes;

pub fn move_pages_without_nodes() -> Check {
    let (nodes, ..) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let map = kind.pages(4).map(&side.open()?)?;
        Policy::interleave(&nodes).set_on(&map)?;
        side.note("untouched", nodes_of(&map)?);
        map.write(0, 1);
        map.read(HUGE);
        map.write(3 * HUGE, 1);
        side.note("touched", nodes_of(&map)?);
        // Anywhere in the page.
        let middle = [map.at(8), map.at(HUGE - 1), map.at(3 * HUGE + 4096)];
        side.note("in the middle", status(0, &middle));
        map.unmap(3 * HUGE, HUGE)?;
        side.note("unmapped", status(0, &[map.at(3 * HUGE), map.at(0)]));
        let addresses = [map.at(0), map.at(HUGE)];
        let child = fork(|link| {
            link.number()?;
            let _ = [map.read(0), map.read(HUGE)];
            link.send(1)?;
            link.number().map(drop)
        })?;
        let nothing = vec![-libc::ENOENT; 2];
        let parents = nodes_of(&map)?[..2].to_vec();
        let childs = status(child.pid(), &addresses)?;
        if kind == Kind::Private && side.pool() == OURS {
            // DEVIATIONS.md: fork empties the page tables of both.
            same!((parents, childs), (nothing.clone(), nothing), "forked");
        } else if kind == Kind::Private {
            same!(childs, parents, "of a child that touched nothing");
        } else {
            same!(childs, nothing, "of a child that touched nothing");
        }
        child.link.send(1)?;
        child.link.number()?;
        side.note("of a child", status(child.pid(), &addresses));
        child.link.send(1)?;
        child.finish()
    })
}

pub fn get_mempolicy_of_an_address() -> Check {
    let (nodes, ..) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let map = kind.pages(4).unreserved().map(&side.open()?)?;
        Policy::interleave(&nodes).set_on(&map)?;
        map.write(0, 1);
        // It faults in what is not there.
        let seen = [0, 1, 2].map(|page| node_at(map.at(page * HUGE + 4096)));
        side.note("nodes", seen);
        let want = [0, 1, 2].map(|page| Ok(nodes[page % nodes.len()] as i32));
        same!(seen, want, "nodes");
        side.note_counts("looked at")
    })
}

pub fn numa_maps_of_a_mapping() -> Check {
    let (nodes, first, last) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let map = kind.pages(6).map(&side.open()?)?;
        side.note("untouched", numa_maps(&map)?);
        Policy::bind(&[last]).set_on_part(&map, 0, 2)?;
        Policy::preferred_many(&nodes).set_on_part(&map, 2, 1)?;
        (0..6).for_each(|page| map.write(page * HUGE, 1));
        let seen = numa_maps(&map)?;
        side.note("touched", &seen);
        let policies: Vec<_> = seen.iter().map(|vma| (vma.pages, &*vma.policy)).collect();
        same!(policies.len(), 3, "VMAs of {policies:?}");
        same!(policies[0], (2, &*format!("bind:{last}")), "the first VMA");
        same!(policies[2], (3, "default"), "the last VMA");
        let counted = seen.iter().flat_map(|vma| vma.nodes.clone());
        let counted = counted.fold((0, 0), |(on_first, all), (node, pages)| {
            (on_first + pages * usize::from(node == first), all + pages)
        });
        let want = if first == last { (6, 6) } else { (4, 6) };
        same!(counted, want, "pages on the first node, and on all");
        Ok(())
    })
}

/// DEVIATIONS.md: hugetlb's pages move, the module's stay where they are.
pub fn pages_that_are_asked_to_move() -> Check {
    const STRICT: libc::c_uint = 1 << 0;
    const MOVE: libc::c_uint = 1 << 1;
    const MOVE_ALL: libc::c_uint = 1 << 2;
    let (nodes, first, last) = nodes()?;
    beside_both(8 * nodes.len() as u64, |side, kind| {
        let moves = side.pool() == HUGETLB;
        let there = [if moves { last } else { first } as i32; 2];
        let here = [first as i32; 2];
        let misplaced = |is_refused| match is_refused {
            true if first != last => Err(Errno(libc::EIO)),
            _ => Ok(()),
        };
        for (flags, result, nodes) in [
            (0, misplaced(false), here),
            (STRICT, misplaced(true), here),
            (MOVE, misplaced(false), there),
            (MOVE_ALL, misplaced(false), there),
            (STRICT | MOVE, misplaced(!moves), there),
        ] {
            let map = filled(side, kind, first)?;
            let seen = Policy::bind(&[last]).bind_range(map.base(), 2 * HUGE, flags);
            same!(seen, result, "mbind with flags {flags:#x}");
            same!(
                nodes_of(&map)?,
                nodes,
                "nodes after mbind with flags {flags:#x}"
            );
            map.part_holds(0, 2 * HUGE, 5)?;
        }

        let map = filled(side, kind, first)?;
        let (pages, to) = ([map.at(0), map.at(HUGE)], [last as i32; 2]);
        let status = if moves { to } else { [-libc::EFAULT; 2] };
        let seen = move_pages(0, &pages, Some(&to), MOVE as i32);
        same!(seen, Ok(status.to_vec()), "move_pages");
        same!(nodes_of(&map)?, there, "nodes after move_pages");
        map.part_holds(0, 2 * HUGE, 5)?;
        drop(map);

        let map = filled(side, kind, first)?;
        migrate_pages(first, last)?;
        same!(nodes_of(&map)?, there, "nodes after migrate_pages");
        map.part_holds(0, 2 * HUGE, 5)?;
        drop(map);
        let all = 8 * nodes.len() as u64;
        side.settles("in the end", (all, all, 0, 0))
    })
}

/// Two pages on `node`, with no policy any more.
fn filled(side: &Side, kind: Kind, node: usize) -> Check<Map> {
    let map = kind.pages(2).unreserved().map(&side.open()?)?;
    Policy::bind(&[node]).set_on(&map)?;
    (0..2).for_each(|page| map.fill(page, 5));
    Policy::none().set_on(&map)?;
    Ok(map)
}

/// migrate_pages of this process.
fn migrate_pages(from: usize, to: usize) -> Check {
    let (from, to) = (1_u64 << from, 1_u64 << to);
    // SAFETY: Both masks are there. The kernel looks at one bit less than it is told.
    call(unsafe { libc::syscall(libc::SYS_migrate_pages, 0, 65, &from, &to) })?;
    Ok(())
}
