// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/pool.rs: what each operation does to the counters, and that the check sees when
//! they are wrong.

use std::ops::DerefMut;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, MAX_NODES};
use rust_hugetlb::policy::pool::{Claim, Counts, Fate, Pool};
use rust_hugetlb::policy::reserve::{self, Reserve};
use rust_hugetlb::policy::resize::{Ask, Resize, Step};

use crate::forged;
use crate::shell::{id, row, set, sum};
use crate::world::Row;

fn pool(nodes: usize) -> Pool<Vec<Counts>> {
    Pool::new(vec![Counts::default(); nodes], NodeId::FIRST)
}

fn counts([nr, free, surplus]: Row) -> Counts {
    Counts {
        nr: PageCount::new(nr),
        free: PageCount::new(free),
        surplus: PageCount::new(surplus),
    }
}

/// Makes the pool forget all pages it can, and leaves the rest as surplus.
fn shrink_to_nothing<N: DerefMut<Target = [Counts]>>(pool: &mut Pool<N>, nodes: &[usize]) {
    let mut resize = Resize::to_total(PageCount::ZERO, set(nodes));
    while resize.next(pool) != Step::Done {}
}

#[test]
fn persistent_is_all_but_surplus() {
    let table = [
        ([0, 0, 0], 0),
        ([1, 0, 0], 1),
        ([1, 0, 1], 0),
        ([5, 2, 3], 2),
        ([usize::MAX, 0, 0], usize::MAX),
        ([usize::MAX, 0, 1], usize::MAX - 1),
    ];
    for (row, persistent) in table {
        assert_eq!(counts(row).persistent().get(), persistent, "{row:?}");
    }
}

#[test]
fn a_new_pool_is_empty() {
    for nodes in [0, 1, 2, MAX_NODES] {
        let pool = pool(nodes);
        assert_eq!(row(pool.total()), [0, 0, 0]);
        assert!(pool.check());
        for node in [0, 1, 63, 64, 1023] {
            assert_eq!(row(pool.on(id(node))), [0, 0, 0]);
        }
    }
}

#[test]
fn the_life_of_pages() {
    let mut pool = pool(2);
    // Node 0 gets three pages, node 1 one; two of node 0 find users.
    for node in [0, 0, 1, 0] {
        assert!(pool.add(id(node)));
    }
    assert_eq!(row(pool.on(id(0))), [3, 3, 0]);
    assert_eq!(row(pool.on(id(1))), [1, 1, 0]);
    assert_eq!(row(pool.total()), [4, 4, 0]);
    assert!(pool.take(id(0), Claim::Unreserved) && pool.take(id(0), Claim::Unreserved));
    assert_eq!(row(pool.on(id(0))), [3, 1, 0]);
    assert_eq!(row(pool.total()), [4, 2, 0]);

    // A page that is not surplus stays.
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert_eq!(row(pool.on(id(0))), [3, 2, 0]);
    assert!(pool.take(id(0), Claim::Unreserved));

    // The free ones go, the used ones become surplus and go when they are put.
    shrink_to_nothing(&mut pool, &[0, 1]);
    assert_eq!(row(pool.on(id(0))), [2, 0, 2]);
    assert_eq!(row(pool.on(id(1))), [0, 0, 0]);
    assert_eq!(row(pool.total()), [2, 0, 2]);
    assert_eq!(pool.put(id(0)), Fate::GiveBack);
    assert_eq!(row(pool.on(id(0))), [1, 0, 1]);
    assert_eq!(pool.put(id(0)), Fate::GiveBack);
    assert_eq!(row(pool.total()), [0, 0, 0]);
    assert!(pool.check());
}

#[test]
fn only_the_surplus_of_its_own_node_sends_a_page_back() {
    let mut pool = pool(2);
    for node in [0, 1] {
        assert!(pool.add(id(node)));
        assert!(pool.take(id(node), Claim::Unreserved));
    }
    shrink_to_nothing(&mut pool, &[1]);
    assert_eq!(row(pool.on(id(0))), [1, 0, 0]);
    assert_eq!(row(pool.on(id(1))), [1, 0, 1]);
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert_eq!(pool.put(id(1)), Fate::GiveBack);
    assert_eq!(row(pool.total()), [1, 1, 0]);
}

#[test]
fn nothing_to_take() {
    let mut pool = pool(2);
    assert!(!pool.take(id(0), Claim::Unreserved));
    assert!(pool.add(id(1)));
    assert!(
        !pool.take(id(0), Claim::Unreserved),
        "a page of another node"
    );
    assert!(pool.take(id(1), Claim::Unreserved));
    assert!(
        !pool.take(id(1), Claim::Unreserved),
        "the last one is in use"
    );
    assert_eq!(row(pool.total()), [1, 0, 0]);
}

#[test]
fn a_node_that_the_table_does_not_have() {
    for node in [2, 63, 64, 1023] {
        let mut pool = pool(2);
        assert!(!pool.add(id(node)));
        assert!(!pool.take(id(node), Claim::Unreserved));
        assert_eq!(row(pool.on(id(node))), [0, 0, 0]);
        assert_eq!(row(pool.total()), [0, 0, 0]);
        assert!(pool.check());
    }
    let mut full = pool(MAX_NODES);
    assert!(full.add(id(1023)) && full.take(id(1023), Claim::Unreserved));
}

#[test]
fn the_check_sees_each_wrong_number() {
    // name, node 0, node 1, whether that fits totals of [3, 1, 1]
    let table = [
        ("true", [2, 1, 0], [1, 0, 1], true),
        ("true, elsewhere", [1, 0, 1], [2, 1, 0], true),
        ("nr too small", [1, 1, 0], [1, 0, 1], false),
        ("nr too large", [2, 1, 0], [2, 0, 1], false),
        ("free too small", [2, 0, 0], [1, 0, 1], false),
        ("free too large", [2, 1, 0], [1, 1, 1], false),
        ("surplus too small", [2, 1, 0], [1, 0, 0], false),
        ("surplus too large", [2, 1, 1], [1, 0, 1], false),
        ("more free than there are", [0, 1, 0], [3, 0, 1], false),
        // As with hugetlb.
        ("more surplus than pages here", [3, 1, 0], [0, 0, 1], true),
        ("all free and surplus", [1, 1, 1], [2, 0, 0], true),
    ];
    for (name, first, second, holds) in table {
        let pool = forged::pool([3, 1, 1], &[first, second], NodeId::FIRST);
        assert_eq!(pool.check(), holds, "{name}");
    }
}

#[test]
fn the_check_sees_a_page_put_twice() {
    let mut pool = pool(1);
    assert!(pool.add(id(0)) && pool.take(id(0), Claim::Unreserved));
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert!(pool.check());
    let _ = pool.put(id(0));
    assert!(!pool.check());
}

#[test]
fn surplus_pages_join_up_to_the_limit() {
    for limit in [0, 1, 3] {
        let mut pool = pool(2);
        pool.set_overcommit(PageCount::new(limit));
        assert_eq!(pool.overcommit().get(), limit);
        for made in 0..limit {
            assert!(pool.may_overcommit());
            let node = id(made % 2);
            if made == 0 {
                assert!(pool.add_surplus(node));
            } else {
                assert!(pool.take_surplus(node, Claim::Unreserved));
            }
        }
        assert!(!pool.may_overcommit());
        for node in [0, 1] {
            assert!(!pool.add_surplus(id(node)));
            assert!(!pool.take_surplus(id(node), Claim::Unreserved));
        }
        assert_eq!(row(pool.total()), [limit, 0, limit]);
        assert_eq!(row(pool.on(id(1))), [limit / 2, 0, limit / 2]);
        // A lower limit takes none away, a higher one lets more in.
        pool.set_overcommit(PageCount::ZERO);
        assert!(!pool.may_overcommit());
        assert_eq!(row(pool.total()), [limit, 0, limit]);
        pool.set_overcommit(PageCount::MAX);
        assert!(pool.may_overcommit());
        assert!(pool.check());
    }
    let mut pool = pool(2);
    pool.set_overcommit(PageCount::MAX);
    assert!(!pool.add_surplus(id(2)), "no such node");
    assert!(!pool.take_surplus(id(2), Claim::Reserved), "no such node");
    assert_eq!(pool.resv(), PageCount::ZERO);
    assert!(pool.check());
}

/// A pool with these pages on two nodes, of which so many are promised.
fn promised(first: Row, second: Row, resv: usize) -> Pool<forged::Forged> {
    let mut pool = forged::pool(sum(&[first, second]), &[first, second], NodeId::FIRST);
    let mut reserve = Reserve::new(PageCount::new(resv));
    assert_eq!(reserve.next(&mut pool), reserve::Step::Done(Ok(())));
    pool
}

#[test]
fn promised_pages_are_for_those_who_have_promises() {
    // resv, available, whether an unreserved and a reserved page of node 0, of node 1 can be had
    let table = [
        (0, 3, true, false),
        (1, 2, true, false),
        (2, 1, true, false),
        (3, 0, false, false),
    ];
    for (resv, available, unreserved, elsewhere) in table {
        let pool = || promised([3, 3, 0], [1, 0, 0], resv);
        assert_eq!(pool().available().get(), available);
        assert_eq!(pool().take(id(0), Claim::Unreserved), unreserved, "{resv}");
        assert_eq!(pool().take(id(1), Claim::Unreserved), elsewhere, "{resv}");
        if resv == 0 {
            continue;
        }
        let mut taken = pool();
        assert!(!taken.take(id(1), Claim::Reserved), "nothing free there");
        assert_eq!(taken.resv().get(), resv);
        assert!(taken.take(id(0), Claim::Reserved));
        assert_eq!(taken.resv().get(), resv - 1);
        assert_eq!(taken.available().get(), available);
        assert_eq!(row(taken.on(id(0))), [3, 2, 0]);
        assert!(taken.check());
    }
}

#[test]
fn a_promise_can_be_kept_by_a_surplus_page() {
    let mut pool = promised([1, 1, 0], [0, 0, 0], 1);
    assert!(!pool.take_surplus(id(1), Claim::Reserved), "the limit");
    assert_eq!(pool.resv(), PageCount::ONE);
    pool.set_overcommit(PageCount::ONE);
    assert!(pool.take_surplus(id(1), Claim::Reserved));
    assert_eq!(pool.resv(), PageCount::ZERO);
    assert_eq!(row(pool.on(id(1))), [1, 0, 1]);
    assert!(
        pool.take(id(0), Claim::Unreserved),
        "it is not promised now"
    );

    let mut pool = promised([1, 1, 0], [0, 0, 0], 1);
    pool.set_overcommit(PageCount::ONE);
    assert!(pool.take_surplus(id(1), Claim::Unreserved));
    assert_eq!(pool.resv(), PageCount::ONE, "that is another's");
}

#[test]
fn a_page_that_is_held_can_be_promised_again() {
    let mut pool = Pool::new(vec![Counts::default()], NodeId::FIRST);
    assert!(pool.add(id(0)));
    let mut reserve = Reserve::new(PageCount::ONE);
    assert_eq!(reserve.next(&mut pool), reserve::Step::Done(Ok(())));
    assert!(pool.take(id(0), Claim::Reserved));
    pool.promise_held();
    assert!(pool.check(), "{pool:?}");
    assert_eq!((row(pool.total()), pool.resv().get()), ([1, 0, 0], 1));
    // Nobody else gets it once it is free.
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert!(!pool.take(id(0), Claim::Unreserved) && pool.take(id(0), Claim::Reserved));
}

#[test]
fn an_unused_page_is_promised_again_even_if_its_node_has_surplus() {
    for surplus in [0, 1, 2] {
        let mut pool = promised([2, 1, surplus], [0, 0, 0], 0);
        pool.unuse_reserved(id(0));
        assert_eq!(row(pool.total()), [2, 2, surplus]);
        assert_eq!(pool.resv(), PageCount::ONE);
        assert!(pool.check());
    }
}

#[test]
fn the_check_sees_more_promises_than_free_pages() {
    let mut pool = promised([1, 1, 0], [0, 0, 0], 1);
    assert!(pool.check());
    // A user without a promise says it has one.
    assert!(pool.take(id(0), Claim::Reserved));
    pool.unuse_reserved(id(5));
    assert!(!pool.check());
}

#[test]
fn a_broken_page_goes_and_a_surplus_one_of_its_node_with_it() {
    // both nodes; the broken page's one; both nodes then
    let table = [
        ([[2, 1, 0], [1, 1, 0]], 0, [[1, 0, 0], [1, 1, 0]]),
        ([[2, 1, 1], [1, 1, 0]], 0, [[1, 0, 0], [1, 1, 0]]),
        ([[2, 1, 2], [1, 1, 0]], 0, [[1, 0, 1], [1, 1, 0]]),
        ([[2, 1, 2], [1, 1, 0]], 1, [[2, 1, 2], [0, 0, 0]]),
        ([[0, 0, 1], [3, 2, 0]], 1, [[0, 0, 1], [2, 1, 0]]),
        // What another node's surplus counted on: a surplus one of that node.
        ([[0, 0, 1], [1, 1, 0]], 1, [[0, 0, 0], [0, 0, 0]]),
        ([[1, 1, 2], [2, 2, 1]], 1, [[1, 1, 2], [1, 1, 0]]),
        ([[0, 0, 2], [2, 2, 0]], 1, [[0, 0, 1], [1, 1, 0]]),
    ];
    for ([first, second], node, want) in table {
        let mut pool = promised(first, second, 0);
        pool.lose(id(node));
        let seen = [0, 1].map(|node| row(pool.on(id(node))));
        assert_eq!(seen, want, "{first:?} {second:?}, of node {node}");
        assert_eq!(row(pool.total()), sum(&want));
        assert!(pool.check());
    }
}

/// Each promise stays, though there is no page for it until one comes.
#[test]
fn a_promise_outlives_the_page_that_was_meant_for_it() {
    let mut pool = promised([1, 1, 0], [1, 1, 0], 2);
    pool.lose(id(0));
    assert!(pool.check());
    assert_eq!(pool.resv().get(), 2);
    assert_eq!(pool.available(), PageCount::ZERO);
    assert!(!pool.take(id(1), Claim::Unreserved));
    assert!(pool.take(id(1), Claim::Reserved));
    assert!(!pool.take(id(1), Claim::Reserved));
    assert!(!pool.take(id(0), Claim::Reserved));
    assert_eq!((pool.resv().get(), row(pool.total())), (1, [1, 0, 0]));

    assert!(pool.add(id(0)));
    assert!(!pool.take(id(0), Claim::Unreserved));
    assert!(pool.take(id(0), Claim::Reserved));
    assert!(pool.check());
}

/// As with hugetlb: then it has more surplus than pages.
#[test]
fn a_node_that_is_all_surplus_gives_free_pages_too() {
    let mut pool = promised([2, 2, 2], [2, 2, 0], 0);
    shrink_to_nothing(&mut pool, &[0, 1]);
    assert_eq!(row(pool.on(id(0))), [1, 1, 2]);
    assert_eq!(row(pool.on(id(1))), [1, 1, 0]);
    assert_eq!(pool.on(id(0)).persistent(), PageCount::ZERO);
    assert!(pool.check());

    // What is written for a node is what it gets.
    let mut resize = Resize::to_node(PageCount::ONE, id(0), &pool);
    assert_eq!(resize.next(&mut pool), Step::Done);
    assert_eq!(row(pool.on(id(0))), [1, 1, 0]);
    assert_eq!(row(pool.on(id(1))), [1, 1, 0]);
}

/// What a resize of one node asks for if there is plenty.
#[test]
fn a_count_for_a_node_where_some_have_more_surplus_than_pages() {
    // nodes, count for node 0, pages that are asked for
    let table = [
        ([[0, 0, 1], [2, 0, 0]], 0, 0),
        ([[0, 0, 1], [2, 0, 0]], 1, 1),
        ([[0, 0, 1], [2, 0, 0]], 3, 3),
        ([[1, 0, 2], [2, 0, 0]], 3, 2),
        // The others together have.
        ([[2, 0, 0], [0, 0, 1]], 2, 0),
        ([[2, 0, 0], [0, 0, 1]], 3, 1),
        ([[2, 0, 0], [0, 0, 2]], 2, 0),
        ([[2, 0, 0], [0, 0, 2]], 4, 2),
    ];
    for ([first, second], count, asked) in table {
        let mut pool = promised(first, second, 0);
        let mut resize = Resize::to_node(PageCount::new(count), id(0), &pool);
        let mut asks = 0;
        while let Step::Alloc(Ask { node, .. }) = resize.next(&mut pool) {
            assert!(resize.allocated(node, &mut pool));
            asks += 1;
        }
        assert_eq!(asks, asked, "{first:?} {second:?} to {count}");
        let [nr, _, surplus] = row(pool.on(id(0)));
        assert_eq!(nr, surplus + count, "{first:?} {second:?} to {count}");
    }
}
