// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/pool.rs: what each operation does to the counters, and that the check sees when
//! they are wrong.

use std::ops::DerefMut;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, MAX_NODES};
use rust_hugetlb::policy::pool::{Counts, Fate, Pool};
use rust_hugetlb::policy::resize::{Resize, Step};

use crate::forged;
use crate::shell::{id, row, set};
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
    assert!(pool.take(id(0)) && pool.take(id(0)));
    assert_eq!(row(pool.on(id(0))), [3, 1, 0]);
    assert_eq!(row(pool.total()), [4, 2, 0]);

    // A page that is not surplus stays.
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert_eq!(row(pool.on(id(0))), [3, 2, 0]);
    assert!(pool.take(id(0)));

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
        assert!(pool.take(id(node)));
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
    assert!(!pool.take(id(0)));
    assert!(pool.add(id(1)));
    assert!(!pool.take(id(0)), "a page of another node");
    assert!(pool.take(id(1)));
    assert!(!pool.take(id(1)), "the last one is in use");
    assert_eq!(row(pool.total()), [1, 0, 0]);
}

#[test]
fn a_node_that_the_table_does_not_have() {
    for node in [2, 63, 64, 1023] {
        let mut pool = pool(2);
        assert!(!pool.add(id(node)));
        assert!(!pool.take(id(node)));
        assert_eq!(row(pool.on(id(node))), [0, 0, 0]);
        assert_eq!(row(pool.total()), [0, 0, 0]);
        assert!(pool.check());
    }
    let mut full = pool(MAX_NODES);
    assert!(full.add(id(1023)) && full.take(id(1023)));
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
        ("more surplus than there are", [3, 1, 0], [0, 0, 1], false),
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
    assert!(pool.add(id(0)) && pool.take(id(0)));
    assert_eq!(pool.put(id(0)), Fate::Keep);
    assert!(pool.check());
    let _ = pool.put(id(0));
    assert!(!pool.check());
}
