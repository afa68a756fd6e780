// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/demote.rs and policy/promote.rs: which pages change their size, told node by
//! node. (`convert_races` mixes them with users of both pools.)

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::demote::{self, Demote};
use rust_hugetlb::policy::node::NodeId;
use rust_hugetlb::policy::pool::{Claim, Pool};
use rust_hugetlb::policy::promote::{self, promotable, Promote};
use rust_hugetlb::policy::refusal::Refusal;
use rust_hugetlb::policy::reserve::{Reserve, Step};

use crate::forged::{self, Forged};
use crate::shell::{id, row, set, sum};
use crate::world::Row;

const MAX: usize = usize::MAX;

/// Small pages in a large one.
const PIECES: usize = 4;

type Counts = Pool<Forged>;

fn pages(count: usize) -> PageCount {
    PageCount::new(count)
}

fn pool(rows: &[Row]) -> Counts {
    forged::pool(sum(rows), rows, NodeId::FIRST)
}

fn rows(pool: &Counts, nodes: usize) -> Vec<Row> {
    Vec::from_iter((0..nodes).map(|node| row(pool.on(id(node)))))
}

fn reserve(pool: &mut Counts, count: usize) {
    assert_eq!(Reserve::new(pages(count)).next(pool), Step::Done(Ok(())));
}

/// Demotes `count` pages, of one node or of all; those of the nodes in `stuck` cannot be split. The
/// nodes in the order in which they were asked, and the outcome.
fn demote(
    large: &mut Counts,
    small: &mut Counts,
    count: usize,
    node: Option<usize>,
    stuck: &[usize],
) -> (Vec<usize>, Result<(), Refusal>) {
    let mut demote = match node {
        Some(node) => Demote::of_node(pages(count), pages(PIECES), id(node)),
        None => Demote::of_total(pages(count), pages(PIECES), set(&[0, 1, 2])),
    };
    let (mut trace, mut apart) = (Vec::new(), Vec::new());
    loop {
        match demote.next(large) {
            demote::Step::Split { node } => {
                trace.push(node.index());
                if stuck.contains(&node.index()) {
                    demote.failed();
                    apart.push(node);
                } else {
                    demote.split(node, large, small);
                }
            }
            demote::Step::Done(result) => {
                for node in apart {
                    demote.put_back(node, large);
                }
                assert!(large.check() && small.check(), "{large:?} {small:?}");
                return (trace, result);
            }
        }
    }
}

#[test]
fn a_node_gives_all_it_has_before_the_next_one() {
    let mut large = pool(&[[2, 2, 0], [3, 2, 0], [1, 1, 0]]);
    let mut small = pool(&[[0, 0, 0], [7, 1, 2], [0, 0, 0]]);
    let seen = demote(&mut large, &mut small, 3, None, &[]);
    assert_eq!(seen, (vec![0, 0, 1], Ok(())));
    assert_eq!(rows(&large, 3), [[0, 0, 0], [2, 1, 0], [1, 1, 0]]);
    assert_eq!(rows(&small, 3), [[8, 8, 0], [11, 5, 2], [0, 0, 0]]);
    // The rotation goes on where it stopped.
    let seen = demote(&mut large, &mut small, 1, None, &[]);
    assert_eq!(seen, (vec![2], Ok(())));
    let seen = demote(&mut large, &mut small, MAX, None, &[]);
    assert_eq!(seen, (vec![1], Ok(())));
    assert_eq!(rows(&large, 3), [[0, 0, 0], [1, 0, 0], [0, 0, 0]]);
    assert_eq!(demote(&mut large, &mut small, 1, None, &[]).0, []);
}

#[test]
fn one_node_only() {
    let mut large = pool(&[[2, 2, 0], [3, 3, 0]]);
    let mut small = pool(&[[0; 3]; 2]);
    let seen = demote(&mut large, &mut small, 2, Some(1), &[]);
    assert_eq!(seen, (vec![1, 1], Ok(())));
    assert_eq!(rows(&large, 2), [[2, 2, 0], [1, 1, 0]]);
    assert_eq!(rows(&small, 2), [[0, 0, 0], [8, 8, 0]]);
    assert_eq!(demote(&mut large, &mut small, 0, Some(0), &[]).0, []);
    let seen = demote(&mut large, &mut small, MAX, Some(0), &[]);
    assert_eq!(seen, (vec![0, 0], Ok(())));
}

#[test]
fn promises_are_kept_wherever_the_pages_are() {
    // promised, node, pages that go
    let table = [
        (0, None, vec![0, 1, 1]),
        (1, None, vec![0, 1]),
        (2, None, vec![0]),
        (3, None, vec![]),
        (0, Some(0), vec![0]),
        (1, Some(0), vec![]),
        (2, Some(0), vec![]),
        (1, Some(1), vec![1]),
        (2, Some(1), vec![]),
    ];
    for (promised, node, trace) in table {
        let mut large = pool(&[[1, 1, 0], [2, 2, 0], [0, 0, 0]]);
        let mut small = pool(&[[0; 3]; 3]);
        reserve(&mut large, promised);
        let seen = demote(&mut large, &mut small, MAX, node, &[]);
        assert_eq!(seen, (trace, Ok(())), "{promised} promised, node {node:?}");
    }
}

#[test]
fn surplus_stays_what_it_is() {
    // As many surplus pages as there are, and one of another node free.
    let mut large = pool(&[[1, 0, 2], [1, 1, 0]]);
    let mut small = pool(&[[0; 3]; 2]);
    assert_eq!(
        demote(&mut large, &mut small, 1, None, &[]),
        (vec![], Ok(()))
    );
    let mut large = pool(&[[1, 0, 1], [1, 1, 0]]);
    assert_eq!(
        demote(&mut large, &mut small, 9, None, &[]),
        (vec![1], Ok(()))
    );
    assert_eq!(rows(&large, 2), [[1, 0, 1], [0, 0, 0]]);
}

#[test]
fn a_page_that_cannot_be_split_is_tried_once() {
    let mut large = pool(&[[2, 2, 0], [1, 1, 0], [1, 1, 0]]);
    let mut small = pool(&[[0; 3]; 3]);
    let seen = demote(&mut large, &mut small, 3, None, &[0]);
    assert_eq!(seen, (vec![0, 0, 1, 2], Err(Refusal::Busy)));
    assert_eq!(rows(&large, 3), [[2, 2, 0], [0, 0, 0], [0, 0, 0]]);
    // Enough others: nobody has lost anything.
    let mut large = pool(&[[2, 2, 0], [1, 1, 0], [1, 1, 0]]);
    let seen = demote(&mut large, &mut small, 2, None, &[0]);
    assert_eq!(seen, (vec![0, 0, 1, 2], Ok(())));
    let seen = demote(&mut large, &mut small, 1, Some(0), &[0]);
    assert_eq!(seen, (vec![0, 0], Err(Refusal::Busy)));
    assert_eq!(rows(&large, 3), [[2, 2, 0], [0, 0, 0], [0, 0, 0]]);
}

#[test]
fn free_pages_of_a_node_that_may_give_none() {
    let mut large = pool(&[[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0]]);
    let mut small = pool(&[[0; 3]; 4]);
    let seen = demote(&mut large, &mut small, 1, None, &[]);
    assert_eq!(seen, (vec![], Err(Refusal::Busy)));
}

#[test]
fn a_signal_ends_it_and_keeps_what_there_is() {
    let mut large = pool(&[[3, 3, 0]]);
    let mut small = pool(&[[0; 3]]);
    let mut demote = Demote::of_node(pages(3), pages(PIECES), id(0));
    assert_eq!(demote.next(&mut large), demote::Step::Split { node: id(0) });
    // A page that is being split counts, but is nobody's.
    assert_eq!(row(large.total()), [3, 2, 0]);
    demote.split(id(0), &mut large, &mut small);
    demote.interrupt();
    assert_eq!(demote.next(&mut large), demote::Step::Done(Ok(())));
    assert_eq!(rows(&large, 1), [[2, 2, 0]]);

    let mut promote = Promote::to_node(pages(1), pages(PIECES), id(0));
    let whole = |_| PageCount::ONE;
    assert_eq!(
        promote.next(&mut small, whole),
        promote::Step::Merge { node: id(0) }
    );
    assert_eq!(row(small.total()), [4, 0, 0]);
    promote.failed();
    promote.put_back(id(0), &mut small);
    promote.interrupt();
    assert_eq!(promote.next(&mut small, whole), promote::Step::Done(Ok(())));
    assert_eq!(row(small.total()), [4, 4, 0]);
}

#[test]
fn promotable_pages_lie_whole_and_are_nobodys() {
    // small pool of two nodes, promised, node, whole large pages there, promotable
    let table = [
        ([[8, 8, 0], [4, 4, 0]], 0, None, 3, 3),
        ([[8, 8, 0], [4, 4, 0]], 0, None, 0, 0),
        ([[8, 8, 0], [4, 4, 0]], 0, None, 1, 1),
        ([[8, 8, 0], [4, 4, 0]], 1, None, 3, 2),
        ([[8, 8, 0], [4, 4, 0]], 4, None, 3, 2),
        ([[8, 8, 0], [4, 4, 0]], 5, None, 3, 1),
        ([[8, 8, 0], [4, 4, 0]], 12, None, 3, 0),
        ([[8, 8, 0], [4, 4, 0]], 1, Some(0), 2, 1),
        ([[8, 8, 0], [4, 4, 0]], 1, Some(1), 1, 0),
        ([[8, 8, 0], [4, 4, 0]], 0, Some(1), 1, 1),
        ([[9, 8, 1], [4, 4, 0]], 0, None, 3, 3),
        // Fewer persistent pages than free ones.
        ([[9, 4, 6], [4, 4, 0]], 0, None, 2, 1),
        ([[9, 4, 10], [4, 4, 0]], 0, None, 2, 0),
    ];
    for (rows, promised, node, whole, want) in table {
        let mut small = pool(&rows);
        reserve(&mut small, promised);
        let seen = promotable(&small, node.map(id), pages(whole), pages(PIECES));
        assert_eq!(seen.get(), want, "{rows:?} {promised} {node:?} {whole}");
    }
}

/// Promotes to `count` large pages, of which so many lie whole on each node.
fn promote(
    large: &mut Counts,
    small: &mut Counts,
    count: usize,
    node: Option<usize>,
    whole: &mut [usize],
    stuck: &[usize],
) -> (Vec<usize>, Result<(), Refusal>) {
    let mut promote = match node {
        Some(node) => Promote::to_node(pages(count), pages(PIECES), id(node)),
        None => Promote::to_total(pages(count), pages(PIECES), set(&[0, 1, 2])),
    };
    let (mut trace, mut apart) = (Vec::new(), Vec::new());
    loop {
        match promote.next(small, |node| pages(whole[node.index()])) {
            promote::Step::Merge { node } => {
                trace.push(node.index());
                whole[node.index()] -= 1;
                if stuck.contains(&node.index()) {
                    promote.failed();
                    apart.push(node);
                } else {
                    promote.merged(node, large, small);
                }
            }
            promote::Step::Done(result) => {
                for node in apart {
                    promote.put_back(node, small);
                }
                assert!(large.check() && small.check(), "{large:?} {small:?}");
                return (trace, result);
            }
        }
    }
}

#[test]
fn nodes_take_turns_to_be_promoted() {
    let mut large = pool(&[[0, 0, 0], [1, 0, 1], [0, 0, 0]]);
    let mut small = pool(&[[12, 12, 0], [7, 6, 0], [9, 9, 0]]);
    let mut whole = [3, 1, 2];
    let seen = promote(&mut large, &mut small, 4, None, &mut whole, &[]);
    assert_eq!(seen, (vec![0, 1, 2, 0], Ok(())));
    assert_eq!(rows(&large, 3), [[2, 2, 0], [2, 1, 1], [1, 1, 0]]);
    assert_eq!(rows(&small, 3), [[4, 4, 0], [3, 2, 0], [5, 5, 0]]);
    let seen = promote(&mut large, &mut small, MAX, Some(2), &mut whole, &[]);
    assert_eq!(seen, (vec![2], Ok(())));
    reserve(&mut small, 4);
    let seen = promote(&mut large, &mut small, MAX, None, &mut whole, &[]);
    assert_eq!(seen, (vec![], Ok(())), "three are nobody's");
}

#[test]
fn pages_that_cannot_be_merged_are_tried_once() {
    let mut large = pool(&[[0; 3]; 3]);
    let mut small = pool(&[[8, 8, 0], [4, 4, 0], [0, 0, 0]]);
    let mut whole = [2, 1, 0];
    let seen = promote(&mut large, &mut small, 3, None, &mut whole, &[0]);
    assert_eq!(seen, (vec![0, 1, 0], Err(Refusal::Busy)));
    assert_eq!(rows(&small, 3), [[8, 8, 0], [0, 0, 0], [0, 0, 0]]);
    assert_eq!(rows(&large, 3), [[0, 0, 0], [1, 1, 0], [0, 0, 0]]);
}

#[test]
fn reserved_pages_can_be_taken_while_a_page_is_split() {
    let mut large = pool(&[[2, 2, 0]]);
    reserve(&mut large, 1);
    let mut demote = Demote::of_node(pages(2), pages(PIECES), id(0));
    assert_eq!(demote.next(&mut large), demote::Step::Split { node: id(0) });
    assert!(!large.take(id(0), Claim::Unreserved));
    assert!(large.take(id(0), Claim::Reserved));
    demote.split(id(0), &mut large, &mut pool(&[[0; 3]]));
    assert_eq!(demote.next(&mut large), demote::Step::Done(Ok(())));
    assert_eq!(row(large.total()), [1, 0, 0]);
}
