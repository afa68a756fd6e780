// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/reserve.rs: which steps a reservation and its end take, told as the trace that
//! they leave (see `story`), and what is there and promised afterwards.

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::pool::{Claim, Counts, Fate, Pool};
use rust_hugetlb::policy::refusal::Refusal;
use rust_hugetlb::policy::reserve::{is_placeable, Reserve, Step, Unreserve};
use rust_hugetlb::policy::resize::{self, Resize};

use crate::forged;
use crate::shell::{id, row, set, Shell};
use crate::story::Story;
use crate::world::{Freed, Hugetlb, Row};

const MAX: usize = usize::MAX;

/// A story of a pool with these pages, promises and limit, on a machine with so much memory.
fn story<const N: usize>(
    memory: [usize; N],
    rows: [Row; N],
    resv: usize,
    overcommit: usize,
) -> Story {
    let mut story = Story::on(memory);
    story.pool = Shell::with(&rows, 0);
    story.pool.promise(resv);
    story.pool.set_overcommit(overcommit);
    story
}

fn granted(trace: &str) -> (String, bool) {
    (trace.to_owned(), true)
}

fn refused(trace: &str) -> (String, bool) {
    (trace.to_owned(), false)
}

#[test]
fn free_pages_are_promised_first() {
    // count, trace, granted, resv, node
    let table = [
        (0, "", true, 1, [4, 3, 0]),
        (1, "", true, 2, [4, 3, 0]),
        (2, "", true, 3, [4, 3, 0]),
        (3, "0!", true, 4, [5, 4, 1]),
        (4, "0! 0!", true, 5, [6, 5, 2]),
        // The limit: two.
        (5, "0! 0! <0 <0", false, 1, [4, 3, 0]),
        (MAX, "0! 0! <0 <0", false, 1, [4, 3, 0]),
        (MAX - 1, "0! 0! <0 <0", false, 1, [4, 3, 0]),
    ];
    for (count, trace, yes, resv, node) in table {
        let mut story = story([9], [[4, 3, 0]], 1, 2);
        assert_eq!(
            story.reserve(count, &[0]),
            (trace.to_owned(), yes),
            "{count}"
        );
        assert_eq!(story.pool.counters().resv, resv, "{count}");
        assert_eq!(story.rows(), [node], "{count}");
    }
}

#[test]
fn without_overcommit_nobody_is_asked() {
    let mut story = story([9, 9], [[1, 1, 0], [0, 0, 0]], 0, 0);
    assert_eq!(story.reserve(2, &[0, 1]), refused(""));
    assert_eq!(story.reserve(1, &[0, 1]), granted(""));
    assert_eq!(story.reserve(1, &[0, 1]), refused(""));
    assert_eq!(story.rows(), [[1, 1, 0], [0, 0, 0]]);
}

#[test]
fn what_is_surplus_already_counts_against_the_limit() {
    // overcommit, trace, granted
    let table = [
        (0, "", false),
        (1, "", false),
        (2, "", false),
        (3, "0! <0", false),
        (4, "0! 0!", true),
    ];
    for (overcommit, trace, yes) in table {
        let mut story = story([9], [[3, 0, 2]], 0, overcommit);
        assert_eq!(
            story.reserve(2, &[0]),
            (trace.to_owned(), yes),
            "{overcommit}"
        );
        assert_eq!(story.rows(), [if yes { [5, 2, 4] } else { [3, 0, 2] }]);
    }
}

#[test]
fn the_page_allocator_has_too_little() {
    let mut scarce = story([1, 2], [[0, 0, 0], [0, 0, 0]], 0, 9);
    assert_eq!(
        scarce.reserve(4, &[1, 0]),
        refused("1! 1! 1!- 0! 1!- 0!- <1 <1 <0")
    );
    assert_eq!(scarce.machine.memory, [1, 2]);
    assert_eq!(scarce.rows(), [[0, 0, 0], [0, 0, 0]]);
    assert_eq!(scarce.reserve(3, &[1, 0]), granted("1! 1! 1!- 0!"));
    assert_eq!(scarce.rows(), [[1, 1, 1], [2, 2, 2]]);
    // After one failure it is not asked again, though it may have a page then.
    let mut unlucky = story([9], [[0, 0, 0]], 0, 9);
    unlucky.machine.bad_luck = vec![1];
    assert_eq!(unlucky.reserve(3, &[0]), refused("0! 0!- <0"));
    assert_eq!(unlucky.rows(), [[0, 0, 0]]);
}

#[test]
fn pages_elsewhere_are_no_use() {
    // Enough are free, but not on the nodes that the task may use.
    let mut free = story([9, 9], [[3, 3, 0], [1, 1, 0]], 0, 9);
    assert_eq!(free.reserve(2, &[1]), refused(""));
    assert_eq!(free.rows(), [[3, 3, 0], [1, 1, 0]]);
    assert_eq!(free.pool.counters().resv, 0);
    assert_eq!(free.reserve(1, &[1]), granted(""));
    // Its own are promised to others, who could use them elsewhere.
    assert_eq!(free.reserve(1, &[1]), granted(""));
    // The surplus page made for it goes again.
    assert_eq!(free.reserve(3, &[1]), refused("1! <1"));
    assert_eq!(free.rows(), [[3, 3, 0], [1, 1, 0]]);
    assert_eq!(free.pool.counters().resv, 2);
    assert_eq!(free.reserve(0, &[]), granted(""));
    assert_eq!(free.reserve(1, &[]), refused(""));
}

#[test]
fn placeable() {
    let mut pool = Pool::new(vec![Counts::default(); 3], NodeId::FIRST);
    for node in [0, 0, 2] {
        assert!(pool.add(id(node)));
    }
    // count, nodes, whether they have so many free ones
    let table: [(usize, &[usize], bool); 11] = [
        (0, &[], true),
        (1, &[], false),
        (0, &[1], true),
        (1, &[1], false),
        (2, &[0], true),
        (3, &[0], false),
        (3, &[0, 2], true),
        (3, &[0, 1, 2, 1023], true),
        (4, &[0, 1, 2, 1023], false),
        (1, &[1023], false),
        (MAX, &[0, 1, 2], false),
    ];
    for (count, nodes, fits) in table {
        assert_eq!(
            is_placeable(PageCount::new(count), &set(nodes), &pool),
            fits,
            "{count} on {nodes:?}"
        );
    }
}

#[test]
fn the_end_of_promises_frees_surplus_in_turns() {
    let nodes = [[2, 2, 2], [2, 2, 1], [1, 1, 0]];
    // count, trace, nodes, resv
    let table = [
        (0, "", nodes, 5),
        (1, "<0", [[1, 1, 1], [2, 2, 1], [1, 1, 0]], 4),
        (2, "<0 <1", [[1, 1, 1], [1, 1, 0], [1, 1, 0]], 3),
        (3, "<0 <1 <0", [[0, 0, 0], [1, 1, 0], [1, 1, 0]], 2),
        // No more surplus.
        (4, "<0 <1 <0", [[0, 0, 0], [1, 1, 0], [1, 1, 0]], 1),
        (5, "<0 <1 <0", [[0, 0, 0], [1, 1, 0], [1, 1, 0]], 0),
    ];
    for (count, trace, after, resv) in table {
        let mut story = story([0, 0, 0], nodes, 5, 0);
        assert_eq!(story.unreserve(count), trace, "{count}");
        assert_eq!(story.rows(), after, "{count}");
        assert_eq!(story.pool.counters().resv, resv, "{count}");
    }
}

#[test]
fn surplus_in_use_cannot_be_freed() {
    // Node 0 has surplus but nothing free, node 1 free pages but no surplus.
    let rows = [[2, 0, 2], [3, 3, 0]];
    let mut story = story([0, 0], rows, 3, 0);
    assert_eq!(story.unreserve(2), "");
    assert_eq!(story.pool.counters().resv, 1);
    assert_eq!(story.rows(), rows);
}

#[test]
fn the_end_of_promises_is_final_and_without_surplus_moves_no_turn() {
    let mut pool = forged::pool([3, 3, 0], &[[1, 1, 0], [1, 1, 0], [1, 1, 0]], id(1));
    let mut reserve = Reserve::new(PageCount::new(3));
    assert_eq!(reserve.next(&mut pool), Step::Done(Ok(())));
    let mut unreserve = Unreserve::new(PageCount::new(2), set(&[0, 2]));
    for _ in 0..2 {
        assert_eq!(unreserve.next(&mut pool), None);
        assert_eq!(pool.resv(), PageCount::ONE);
    }
    // Node 1 is still the next to give a page.
    let mut shrink = Resize::to_total(PageCount::new(2), set(&[0, 1, 2]));
    assert_eq!(
        shrink.next(&mut pool),
        resize::Step::GiveBack { node: id(1) }
    );
}

#[test]
fn a_reserved_page_is_taken_and_comes_back() {
    let mut story = story([9], [[0, 0, 0]], 0, 1);
    assert_eq!(story.reserve(1, &[0]), granted("0!"));
    assert!(!story.pool.take(0, Claim::Unreserved), "it is promised");
    assert!(story.pool.take(0, Claim::Reserved));
    assert_eq!(story.rows(), [[1, 0, 1]]);
    assert_eq!(story.pool.counters().resv, 0);
    // Unused, it stays though it is surplus: it is promised again.
    assert!(story.pool.unuse(0));
    assert_eq!(story.rows(), [[1, 1, 1]]);
    assert_eq!(story.pool.counters().resv, 1);
    assert!(story.pool.take(0, Claim::Reserved));
    assert_eq!(story.pool.put(0), Some(Freed::GivenBack));
    assert_eq!(story.rows(), [[0, 0, 0]]);
}

/// "map 100 pages and write 0 to nr_hugepages"
#[test]
fn reserved_pages_become_surplus_when_the_pool_shrinks() {
    let mut story = story([100], [[100, 100, 0]], 0, 0);
    assert_eq!(story.reserve(100, &[0]), granted(""));
    assert_eq!(story.all(0), "");
    assert_eq!(story.rows(), [[100, 100, 100]]);
    assert_eq!(story.pool.counters().resv, 100);
    assert_eq!(story.reserve(1, &[0]), refused(""));
    // Halfway back, half of what ends is given back.
    assert_eq!(story.all(50), "");
    assert_eq!(story.rows(), [[100, 100, 50]]);
    assert_eq!(story.unreserve(100).split(' ').count(), 50);
    assert_eq!(story.rows(), [[50, 50, 0]]);
}

#[test]
fn shrinking_leaves_what_is_promised() {
    // resv, target, trace, node 0, node 1
    let table = [
        (0, 0, "<0 <1 <0 <1", [1, 0, 1], [0, 0, 0]),
        (2, 0, "<0 <1", [2, 1, 2], [1, 1, 1]),
        (4, 0, "", [3, 2, 3], [2, 2, 2]),
        (4, 3, "", [3, 2, 1], [2, 2, 1]),
        (3, 2, "<0", [2, 1, 1], [2, 2, 1]),
        (1, 2, "<0 <1 <0", [1, 0, 0], [1, 1, 0]),
    ];
    for (resv, target, trace, first, second) in table {
        let mut story = story([0, 0], [[3, 2, 0], [2, 2, 0]], resv, 0);
        assert_eq!(story.all(target), trace, "{resv} reserved, to {target}");
        assert_eq!(
            story.rows(),
            [first, second],
            "{resv} reserved, to {target}"
        );
        assert_eq!(story.pool.counters().resv, resv);
    }
}

fn pool(nodes: usize) -> Pool<Vec<Counts>> {
    Pool::new(vec![Counts::default(); nodes], NodeId::FIRST)
}

#[test]
fn too_many_pages_are_dropped() {
    let mut pool = pool(1);
    pool.set_overcommit(PageCount::new(2));
    let mut reserve = Reserve::new(PageCount::new(2));
    for _ in 0..2 {
        assert_eq!(reserve.next(&mut pool), Step::Allocate);
        assert!(reserve.allocated(id(0), &mut pool));
    }
    // Somebody else gives a page back meanwhile.
    assert!(pool.add(id(0)));
    assert_eq!(reserve.next(&mut pool), Step::Enlist);
    reserve.enlisted(id(0), &mut pool);
    assert_eq!(row(pool.total()), [3, 2, 2]);
    assert_eq!(pool.resv().get(), 2);
    assert_eq!(reserve.next(&mut pool), Step::Drop);
    assert_eq!(reserve.dropped(id(0), &mut pool), Fate::GiveBack);
    for _ in 0..2 {
        assert_eq!(reserve.next(&mut pool), Step::Done(Ok(())));
    }
    assert_eq!(row(pool.total()), [2, 2, 1]);
    assert_eq!(pool.resv().get(), 2);
    assert!(pool.check());
}

#[test]
fn the_limit_falls_while_a_page_is_asked_for() {
    let mut pool = pool(1);
    pool.set_overcommit(PageCount::ONE);
    let mut reserve = Reserve::new(PageCount::ONE);
    assert_eq!(reserve.next(&mut pool), Step::Allocate);
    pool.set_overcommit(PageCount::ZERO);
    assert!(!reserve.allocated(id(0), &mut pool));
    assert_eq!(row(pool.total()), [0, 0, 0]);
    // It rises again, too late.
    pool.set_overcommit(PageCount::MAX);
    let refused = Step::Done(Err(Refusal::NoPages));
    assert_eq!(reserve.next(&mut pool), refused);
    assert_eq!(reserve.next(&mut pool), refused);
}

#[test]
fn a_failure_is_forgiven_if_somebody_gives_a_page_back() {
    let mut pool = pool(1);
    pool.set_overcommit(PageCount::ONE);
    let mut reserve = Reserve::new(PageCount::ONE);
    assert_eq!(reserve.next(&mut pool), Step::Allocate);
    reserve.failed();
    assert!(pool.add(id(0)));
    assert_eq!(reserve.next(&mut pool), Step::Done(Ok(())));
    // A failure reported late changes nothing.
    reserve.failed();
    assert_eq!(reserve.next(&mut pool), Step::Done(Ok(())));
    assert_eq!(pool.resv().get(), 1);
}

#[test]
fn a_held_page_whose_node_has_no_surplus_any_more_is_kept() {
    let mut pool = pool(1);
    pool.set_overcommit(PageCount::ONE);
    let mut reserve = Reserve::new(PageCount::new(2));
    assert_eq!(reserve.next(&mut pool), Step::Allocate);
    assert!(reserve.allocated(id(0), &mut pool));
    // Somebody makes it persistent.
    let mut grow = Resize::to_total(PageCount::ONE, set(&[0]));
    assert_eq!(grow.next(&mut pool), resize::Step::Done);
    pool.set_overcommit(PageCount::ZERO);
    assert_eq!(reserve.next(&mut pool), Step::Drop);
    assert_eq!(reserve.dropped(id(0), &mut pool), Fate::Keep);
    assert_eq!(reserve.next(&mut pool), Step::Done(Err(Refusal::NoPages)));
    assert_eq!(row(pool.total()), [1, 1, 0]);
}

#[test]
fn a_page_of_a_node_that_the_pool_does_not_have() {
    let mut pool = pool(2);
    pool.set_overcommit(PageCount::MAX);
    let mut reserve = Reserve::new(PageCount::ONE);
    assert_eq!(reserve.next(&mut pool), Step::Allocate);
    assert!(!reserve.allocated(id(2), &mut pool));
    assert_eq!(reserve.next(&mut pool), Step::Done(Err(Refusal::NoPages)));
    assert_eq!(row(pool.total()), [0, 0, 0]);
}

#[test]
fn promises_end_even_where_no_node_has_memory() {
    let mut pool = pool(1);
    pool.set_overcommit(PageCount::ONE);
    let mut reserve = Reserve::new(PageCount::ONE);
    assert_eq!(reserve.next(&mut pool), Step::Allocate);
    assert!(reserve.allocated(id(0), &mut pool));
    assert_eq!(reserve.next(&mut pool), Step::Enlist);
    reserve.enlisted(id(0), &mut pool);
    let mut unreserve = Unreserve::new(PageCount::ONE, NodeSet::EMPTY);
    assert_eq!(unreserve.next(&mut pool), None);
    assert_eq!(unreserve.next(&mut pool), None);
    assert_eq!(pool.resv(), PageCount::ZERO);
    assert_eq!(row(pool.total()), [1, 1, 1]);
}
