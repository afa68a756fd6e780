// SPDX-License-Identifier: GPL-2.0

//! What a pool gives up when memory runs out: tables, and all small pools.

use std::fmt::Debug;
use std::ops::DerefMut;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::demote::{self, Demote};
use rust_hugetlb::policy::node::NodeId;
use rust_hugetlb::policy::oom::GiveUp;
use rust_hugetlb::policy::pool::{Claim, Counts, Pool};
use rust_hugetlb::policy::promote::{self, Promote};
use rust_hugetlb::policy::reserve::{Reserve, Step};
use rust_hugetlb::policy::size::HugeSize;

use crate::forged;
use crate::shell::{id, row, set};

/// A pool with so many free pages, used surplus pages and used persistent pages on each node, of which
/// so many free ones are promised.
fn pool(nodes: &[[usize; 3]], resv: usize) -> Pool<Vec<Counts>> {
    let mut pool = Pool::new(vec![Counts::default(); nodes.len()], NodeId::FIRST);
    pool.set_overcommit(PageCount::MAX);
    for (node, &[free, surplus, used]) in nodes.iter().enumerate() {
        for page in 0..free + used {
            assert!(pool.add(id(node)));
            if page >= free {
                assert!(pool.take(id(node), Claim::Unreserved));
            }
        }
        for _ in 0..surplus {
            assert!(pool.take_surplus(id(node), Claim::Unreserved));
        }
    }
    let mut reserve = Reserve::new(PageCount::new(resv));
    assert_eq!(reserve.next(&mut pool), Step::Done(Ok(())));
    pool
}

/// The nodes that pages leave at once.
fn given_up<N: DerefMut<Target = [Counts]> + Debug>(
    size: HugeSize,
    floor: usize,
    nodes: usize,
    pool: &mut Pool<N>,
) -> Vec<usize> {
    let mut give_up = GiveUp::new(size);
    let nodes = set(&Vec::from_iter(0..nodes));
    let mut given = Vec::new();
    while let Some(node) = give_up.next(PageCount::new(floor), &nodes, pool) {
        assert!(pool.check(), "{pool:?}");
        given.push(node.index());
    }
    given
}

#[test]
fn at_once_32_mib_or_a_page() {
    for (size, most) in [(HugeSize::Size2M, 16), (HugeSize::Size1G, 1)] {
        // free pages, floor, given up
        let table = [
            (0, 0, 0),
            (1, 0, 1),
            (40, 0, most),
            (40, 39, 1),
            (40, 40, 0),
            (40, 41, 0),
            (40, usize::MAX, 0),
        ];
        for (free, floor, given) in table {
            let mut pool = pool(&[[free, 0, 0]], 0);
            let seen = given_up(size, floor, 1, &mut pool).len();
            assert_eq!(seen, given, "{size:?}: {free} pages, floor {floor}");
            assert_eq!(row(pool.total()), [free - given, free - given, 0]);
        }
    }
}

#[test]
fn nodes_take_turns_and_others_are_left_alone() {
    let mut both = pool(&[[3, 0, 0], [1, 0, 0]], 0);
    assert_eq!(given_up(HugeSize::Size2M, 0, 2, &mut both), [0, 1, 0, 0]);
    let mut one = pool(&[[1, 0, 0], [3, 0, 0]], 0);
    assert_eq!(given_up(HugeSize::Size2M, 0, 1, &mut one), [0]);
    assert_eq!(row(one.on(id(1))), [3, 3, 0]);
}

/// One node's surplus can be another one's pages (`Pool::remove_free`): the last of those may not go.
#[test]
fn no_surplus_stays_without_a_page() {
    for (rows, given) in [
        ([[0, 0, 1], [1, 1, 0]], &[][..]),
        ([[0, 0, 1], [2, 2, 0]], &[1]),
        ([[0, 0, 1], [2, 2, 1]], &[1]),
        ([[1, 1, 2], [3, 3, 0]], &[0, 1, 1]),
    ] {
        let total = [0, 1, 2].map(|kind| rows[0][kind] + rows[1][kind]);
        let mut pool = forged::pool(total, &rows, id(0));
        let seen = given_up(HugeSize::Size2M, 0, 2, &mut pool);
        assert_eq!(seen, given, "of {rows:?}");
    }
}

/// What is changing its size leaves as persistent pages, which the surplus may not count on.
#[test]
fn pages_that_are_set_apart_are_not_those_that_stay() {
    const PIECES: usize = 4;
    let pieces = PageCount::new(PIECES);
    let empty = || pool(&[[0, 0, 0], [0, 0, 0]], 0);

    let (mut large, mut small) = (
        forged::pool([2, 2, 1], &[[1, 1, 0], [1, 1, 1]], id(0)),
        empty(),
    );
    let mut demote = Demote::of_node(PageCount::ONE, pieces, id(1));
    assert_eq!(demote.next(&mut large), demote::Step::Split { node: id(1) });
    assert_eq!(given_up(HugeSize::Size1G, 0, 2, &mut large), []);
    demote.split(id(1), &mut large, &mut small);
    assert!(large.check() && small.check(), "{large:?} {small:?}");

    let rows = [[1, 1, 0], [PIECES, PIECES, 1]];
    let (mut large, mut small) = (
        empty(),
        forged::pool([PIECES + 1, PIECES + 1, 1], &rows, id(0)),
    );
    let mut promote = Promote::to_node(PageCount::ONE, pieces, id(1));
    let merge = promote.next(&mut small, |_| PageCount::ONE);
    assert_eq!(merge, promote::Step::Merge { node: id(1) });
    assert_eq!(given_up(HugeSize::Size2M, 0, 2, &mut small), []);
    promote.merged(id(1), &mut large, &mut small);
    assert!(large.check() && small.check(), "{large:?} {small:?}");
}

/// Each pool of two nodes with up to two pages of each kind, each number of promises, each floor.
#[test]
fn what_is_used_or_promised_stays() {
    let kinds = Vec::from_iter((0..27).map(|number| [number % 3, number / 3 % 3, number / 9]));
    let (mut pools, mut with_surplus) = (0, 0);
    for first in &kinds {
        for second in &kinds {
            let free = first[0] + second[0];
            for resv in 0..=free {
                let all = first.iter().chain(second).sum::<usize>();
                for floor in 0..=all + 1 {
                    let what = format!("{first:?} {second:?}, {resv} promised, floor {floor}");
                    let mut pool = pool(&[*first, *second], resv);
                    let before = pool.total();
                    given_up(HugeSize::Size2M, floor, 2, &mut pool);
                    let after = pool.total();
                    let stays = floor.max(all - free + resv).min(all);
                    assert_eq!(after.nr.get(), stays, "{what}");
                    let used = |counts: Counts| counts.nr.minus(counts.free);
                    assert_eq!(used(after), used(before), "{what}");
                    assert_eq!(pool.resv().get(), resv, "{what}");
                    for node in 0..2 {
                        let on = pool.on(id(node));
                        assert!(on.surplus <= on.nr, "{what}: {on:?}");
                    }
                    pools += 1;
                    with_surplus += usize::from(after.surplus < before.surplus);
                }
            }
        }
    }
    println!("{pools} pools, {with_surplus} gave up surplus pages");
    assert!(pools > 10_000 && with_surplus > 1_000);
}
