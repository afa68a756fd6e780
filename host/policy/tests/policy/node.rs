// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/node.rs: word boundaries, both ends, round the end.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use rust_hugetlb::policy::node::{NodeId, NodeSet, Rotation, MAX_NODES};

use crate::config::cases;
use crate::shell::{id, set};

/// The first and last node, and those beside the borders of words.
const EDGES: [usize; 10] = [0, 1, 62, 63, 64, 65, 127, 128, 1022, 1023];

fn numbers(set: &NodeSet) -> Vec<usize> {
    // An iterator without end is to fail, not to fill the memory.
    let nodes = set.iter().take(MAX_NODES + 1);
    nodes.map(NodeId::index).collect()
}

#[test]
fn numbers_that_a_node_can_have() {
    for number in EDGES {
        assert_eq!(NodeId::new(number).map(NodeId::index), Some(number));
    }
    for number in [1024, 1025, 65_535, 65_536, 65_537, usize::MAX] {
        assert_eq!(NodeId::new(number), None, "{number}");
    }
    assert_eq!(MAX_NODES, 1024);
    assert_eq!(NodeId::FIRST.index(), 0);
    assert!(id(63) < id(64));
}

#[test]
fn a_set_of_one_node() {
    for number in 0..MAX_NODES {
        let only = NodeSet::only(id(number));
        assert_eq!(numbers(&only), [number]);
        assert_eq!(only.len(), 1);
        assert!(!only.is_empty());
        assert!(only.contains(id(number)));
        for other in EDGES {
            assert_eq!(only.contains(id(other)), other == number);
            assert_eq!(only.next_after(id(other)), Some(id(number)));
        }
    }
}

#[test]
fn nothing_is_in_the_empty_set() {
    assert_eq!(NodeSet::EMPTY, NodeSet::default());
    assert!(NodeSet::EMPTY.is_empty());
    assert_eq!(NodeSet::EMPTY.len(), 0);
    assert_eq!(NodeSet::EMPTY.iter().next(), None);
    for number in EDGES {
        assert!(!NodeSet::EMPTY.contains(id(number)));
        assert_eq!(NodeSet::EMPTY.next_after(id(number)), None);
    }
}

#[test]
fn all_nodes() {
    let all = set(&Vec::from_iter(0..MAX_NODES));
    assert_eq!(all.len(), MAX_NODES);
    assert_eq!(numbers(&all), Vec::from_iter(0..MAX_NODES));
    for number in 0..MAX_NODES {
        assert_eq!(all.next_after(id(number)), Some(id((number + 1) % 1024)));
    }
}

#[test]
fn adding_and_taking_out_twice() {
    let mut nodes = set(&EDGES);
    nodes.insert(id(63));
    assert_eq!(numbers(&nodes), EDGES);
    for number in [63, 0, 1023, 63] {
        nodes.remove(id(number));
        assert!(!nodes.contains(id(number)), "{number}");
    }
    assert_eq!(numbers(&nodes), [1, 62, 64, 65, 127, 128, 1022]);
    assert_eq!(nodes.len(), 7);
}

#[test]
fn sets_from_words() {
    // words, nodes
    let table: [(&[u64], &[usize]); 8] = [
        (&[], &[]),
        (&[0], &[]),
        (&[1], &[0]),
        (&[1 << 63], &[63]),
        (&[0, 1], &[64]),
        (&[0b101, 0, 1 << 63], &[0, 2, 191]),
        (
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 63],
            &[1023],
        ),
        // Past the end.
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], &[960]),
    ];
    for (words, nodes) in table {
        assert_eq!(NodeSet::from_words(words.iter().copied()), set(nodes));
    }
    let all = NodeSet::from_words(std::iter::repeat(u64::MAX));
    assert_eq!(all.len(), MAX_NODES);
}

#[test]
fn nodes_in_both_sets() {
    // one, other, both
    let table: [(&[usize], &[usize], &[usize]); 7] = [
        (&[], &[], &[]),
        (&[], &[0, 63], &[]),
        (&[0], &[0], &[0]),
        (&[0, 1, 2], &[1, 3], &[1]),
        (&[0, 63, 64, 1023], &[63, 64, 65], &[63, 64]),
        (&[0, 64], &[1, 65], &[]),
        (&[1022, 1023], &[0, 1023], &[1023]),
    ];
    for (one, other, both) in table {
        assert_eq!(set(one).and(&set(other)), set(both), "{one:?} {other:?}");
        assert_eq!(set(other).and(&set(one)), set(both), "{one:?} {other:?}");
    }
}

#[test]
fn the_next_node_round_the_end() {
    // set, after, next
    let table: [(&[usize], usize, usize); 16] = [
        (&[0, 63, 64, 1023], 0, 63),
        (&[0, 63, 64, 1023], 1, 63),
        (&[0, 63, 64, 1023], 62, 63),
        (&[0, 63, 64, 1023], 63, 64),
        (&[0, 63, 64, 1023], 64, 1023),
        (&[0, 63, 64, 1023], 65, 1023),
        (&[0, 63, 64, 1023], 1022, 1023),
        (&[0, 63, 64, 1023], 1023, 0),
        (&[5], 1023, 5),
        (&[5], 5, 5),
        (&[5], 4, 5),
        (&[5], 6, 5),
        (&[63], 63, 63),
        (&[1023], 1023, 1023),
        (&[64, 65], 65, 64),
        (&[3, 200], 200, 3),
    ];
    for (nodes, after, next) in table {
        assert_eq!(
            set(nodes).next_after(id(after)),
            Some(id(next)),
            "{nodes:?} after {after}"
        );
    }
}

#[test]
fn turns_go_round() {
    // first, set, turns
    let table: [(usize, &[usize], &[usize]); 8] = [
        (0, &[0], &[0, 0, 0]),
        (0, &[0, 1], &[0, 1, 0, 1, 0]),
        (1, &[0, 1], &[1, 0, 1, 0]),
        (0, &[63, 64], &[63, 64, 63]),
        (64, &[63, 64], &[64, 63, 64]),
        (1023, &[0, 1023], &[1023, 0, 1023]),
        (65, &[0, 63, 64, 1023], &[1023, 0, 63, 64, 1023]),
        // Begins outside and beyond all.
        (1023, &[2, 7], &[2, 7, 2]),
    ];
    for (first, nodes, turns) in table {
        let mut rotation = Rotation::starting_at(id(first));
        let allowed = set(nodes);
        for turn in turns {
            assert_eq!(
                rotation.turn(&allowed),
                Some(id(*turn)),
                "{nodes:?} from {first}"
            );
        }
    }
}

#[test]
fn the_set_changes_between_turns() {
    let mut rotation = Rotation::starting_at(id(0));
    // set, turn: h->next_nid_to_alloc may be outside of nodes_allowed at the next call
    let table: [(&[usize], Option<usize>); 9] = [
        (&[0, 1, 2, 3], Some(0)),
        (&[0, 1, 2, 3], Some(1)),
        (&[3], Some(3)),
        (&[0, 1, 2, 3], Some(3)),
        (&[1, 2], Some(1)),
        (&[], None),
        (&[0, 2, 3], Some(2)),
        (&[0, 1], Some(0)),
        (&[0, 1], Some(1)),
    ];
    for (nodes, turn) in table {
        assert_eq!(rotation.turn(&set(nodes)), turn.map(id), "{nodes:?}");
    }
}

#[test]
fn finding_asks_each_node_once_and_moves_on_past_the_one_found() {
    // first, set, wanted, found, asked, next turn
    type Row<'a> = (
        usize,
        &'a [usize],
        &'a [usize],
        Option<usize>,
        &'a [usize],
        usize,
    );
    let table: [Row<'_>; 9] = [
        (0, &[0, 1, 2], &[0, 1, 2], Some(0), &[0], 1),
        (1, &[0, 1, 2], &[0], Some(0), &[1, 2, 0], 1),
        (1, &[0, 1, 2], &[1], Some(1), &[1], 2),
        (2, &[0, 1, 2], &[2], Some(2), &[2], 0),
        (1, &[0, 1, 2], &[], None, &[1, 2, 0], 1),
        (5, &[0, 1, 2], &[2], Some(2), &[0, 1, 2], 0),
        (5, &[0, 1, 2], &[5], None, &[0, 1, 2], 0),
        (64, &[63, 64, 1023], &[63], Some(63), &[64, 1023, 63], 64),
        (1023, &[1023], &[1023], Some(1023), &[1023], 1023),
    ];
    for (first, nodes, wanted, found, asked, next) in table {
        let allowed = set(nodes);
        let log = RefCell::new(Vec::new());
        let mut rotation = Rotation::starting_at(id(first));
        let result = rotation.find(&allowed, |node| {
            log.borrow_mut().push(node.index());
            wanted.contains(&node.index())
        });
        let row = format!("{wanted:?} of {nodes:?} from {first}");
        assert_eq!(result, found.map(id), "{row}");
        assert_eq!(log.into_inner(), asked, "{row}");
        assert_eq!(rotation.turn(&allowed), Some(id(next)), "{row}");
    }
}

#[test]
fn finding_in_no_node_stays_where_it_was() {
    let mut rotation = Rotation::starting_at(id(7));
    assert_eq!(rotation.find(&NodeSet::EMPTY, |_| true), None);
    assert_eq!(rotation.turn(&NodeSet::EMPTY), None);
    assert_eq!(rotation.turn(&set(&[6, 7, 8])), Some(id(7)));
}

proptest! {
    #![proptest_config(cases(256, file!()))]

    /// Any set behaves as a set of numbers does.
    #[test]
    fn a_set_is_a_set(
        changes in prop::collection::vec((any::<bool>(), 0..MAX_NODES), 0..64),
        after in 0..MAX_NODES,
    ) {
        let mut nodes = NodeSet::EMPTY;
        let mut reference = BTreeSet::new();
        for (insert, number) in changes {
            if insert {
                nodes.insert(id(number));
                reference.insert(number);
            } else {
                nodes.remove(id(number));
                reference.remove(&number);
            }
        }
        prop_assert_eq!(numbers(&nodes), Vec::from_iter(reference.iter().copied()));
        prop_assert_eq!(nodes.len(), reference.len());
        prop_assert_eq!(nodes.is_empty(), reference.is_empty());
        let next = reference.range(after + 1..).chain(&reference).next();
        prop_assert_eq!(nodes.next_after(id(after)).map(NodeId::index), next.copied());
        for number in 0..MAX_NODES {
            prop_assert_eq!(nodes.contains(id(number)), reference.contains(&number));
        }
    }
}
