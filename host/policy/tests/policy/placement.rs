// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/placement.rs: where pages go under each policy, and what becomes of policies
//! that leave nothing.
//!
//! `near` and the sets of a fault are the node and the node mask of `huge_node`, within the cpuset;
//! those of a reservation the mask of `gather_surplus_pages`, from the local node.

use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::placement::{MemPolicy, Mode, Placement, Task};

use crate::shell::{id, set};

/// Where a task runs in these tables.
const LOCAL: usize = 1;

fn task(policy: Option<MemPolicy>, mems_allowed: &[usize]) -> Task {
    Task {
        policy,
        local: id(LOCAL),
        mems_allowed: set(mems_allowed),
    }
}

fn policy(mode: Mode, nodes: &[usize], home: Option<usize>) -> Option<MemPolicy> {
    Some(MemPolicy {
        mode,
        nodes: set(nodes),
        home: home.map(id),
    })
}

/// The node that others are near to, and the sets in the order in which they are tried.
fn told(placement: &Placement) -> (usize, Vec<Vec<usize>>) {
    let numbers = |nodes: &NodeSet| Vec::from_iter(nodes.iter().map(NodeId::index));
    (
        placement.near.index(),
        placement.passes().map(numbers).collect(),
    )
}

#[test]
fn faults() {
    type Sets<'a> = &'a [&'a [usize]];
    // mode, its nodes, home, cpuset, near, sets
    type Row<'a> = (
        Mode,
        &'a [usize],
        Option<usize>,
        &'a [usize],
        usize,
        Sets<'a>,
    );
    let table: [Row<'_>; 27] = [
        (Mode::Local, &[], None, &[0, 1, 2], LOCAL, &[&[0, 1, 2]]),
        // The node of the CPU even if the cpuset does not have it: its neighbours come first.
        (Mode::Local, &[], None, &[0, 2], LOCAL, &[&[0, 2]]),
        (Mode::Local, &[], None, &[], LOCAL, &[&[]]),
        (Mode::Local, &[], Some(2), &[0, 1, 2], LOCAL, &[&[0, 1, 2]]),
        (Mode::Preferred, &[2], None, &[0, 1, 2], 2, &[&[0, 1, 2]]),
        (Mode::Preferred, &[0, 2], None, &[0, 1, 2], 0, &[&[0, 1, 2]]),
        (Mode::Preferred, &[3], None, &[0, 1], 3, &[&[0, 1]]),
        (Mode::Preferred, &[], None, &[0, 1], LOCAL, &[&[0, 1]]),
        (Mode::Preferred, &[2], Some(0), &[0, 1, 2], 2, &[&[0, 1, 2]]),
        (
            Mode::PreferredMany,
            &[0, 2],
            None,
            &[0, 1, 2],
            LOCAL,
            &[&[0, 2], &[0, 1, 2]],
        ),
        (
            Mode::PreferredMany,
            &[0, 2],
            Some(2),
            &[0, 1, 2],
            2,
            &[&[0, 2], &[0, 1, 2]],
        ),
        (
            Mode::PreferredMany,
            &[0, 2],
            None,
            &[0, 1],
            LOCAL,
            &[&[0], &[0, 1]],
        ),
        (
            Mode::PreferredMany,
            &[2, 3],
            None,
            &[0, 1],
            LOCAL,
            &[&[], &[0, 1]],
        ),
        (
            Mode::PreferredMany,
            &[],
            Some(0),
            &[0, 1],
            0,
            &[&[], &[0, 1]],
        ),
        (Mode::Bind, &[0, 2], None, &[0, 1, 2], LOCAL, &[&[0, 2]]),
        (Mode::Bind, &[0, 2], Some(2), &[0, 1, 2], 2, &[&[0, 2]]),
        (Mode::Bind, &[0, 2], Some(3), &[0, 1, 2], 3, &[&[0, 2]]),
        (Mode::Bind, &[0, 2], None, &[0, 1], LOCAL, &[&[0]]),
        (Mode::Bind, &[1], None, &[0, 1], LOCAL, &[&[1]]),
        // A cpuset that leaves nothing of a policy comes first.
        (Mode::Bind, &[2, 3], None, &[0, 1], LOCAL, &[&[0, 1]]),
        (Mode::Bind, &[2, 3], Some(2), &[0, 1], 2, &[&[0, 1]]),
        (Mode::Bind, &[], None, &[0, 1], LOCAL, &[&[0, 1]]),
        (Mode::Interleave, &[], None, &[0, 1], LOCAL, &[&[0, 1]]),
        (Mode::Interleave, &[2], None, &[0, 1], 2, &[&[0, 1]]),
        (
            Mode::Interleave,
            &[0, 2],
            None,
            &[0, 1, 2],
            0,
            &[&[0, 1, 2]],
        ),
        (
            Mode::Interleave,
            &[0, 2],
            Some(1),
            &[0, 1, 2],
            0,
            &[&[0, 1, 2]],
        ),
        (Mode::Interleave, &[5, 7], None, &[5], 5, &[&[5]]),
    ];
    for (mode, nodes, home, mems_allowed, near, sets) in table {
        let placement = task(policy(mode, nodes, home), mems_allowed).place(0);
        let expected = Vec::from_iter(sets.iter().map(|set| set.to_vec()));
        assert_eq!(
            told(&placement),
            (near, expected),
            "{mode:?} {nodes:?} home {home:?} in {mems_allowed:?}"
        );
    }
}

#[test]
fn without_a_policy() {
    for mems_allowed in [&[0, 1, 2][..], &[2], &[]] {
        let task = task(None, mems_allowed);
        let anywhere = (LOCAL, vec![mems_allowed.to_vec()]);
        for index in [0, 1, usize::MAX] {
            assert_eq!(told(&task.place(index)), anywhere);
        }
        assert_eq!(told(&task.place_reservation()), anywhere);
        assert_eq!(task.resize_nodes(), None);
    }
}

#[test]
fn interleaving_counts_by_the_index() {
    // nodes, index, node
    let table: [(&[usize], usize, usize); 14] = [
        (&[0, 2], 0, 0),
        (&[0, 2], 1, 2),
        (&[0, 2], 2, 0),
        (&[0, 2], usize::MAX, 2),
        (&[0, 2], usize::MAX - 1, 0),
        (&[4], usize::MAX, 4),
        (&[1, 2, 3], 4, 2),
        (&[1, 2, 3], 5, 3),
        (&[63, 64, 1023], 0, 63),
        (&[63, 64, 1023], 1, 64),
        (&[63, 64, 1023], 2, 1023),
        (&[63, 64, 1023], 3, 63),
        (&[], 0, LOCAL),
        (&[], usize::MAX, LOCAL),
    ];
    for (nodes, index, near) in table {
        let placement = task(policy(Mode::Interleave, nodes, None), &[0, 1]).place(index);
        assert_eq!(
            told(&placement),
            (near, vec![vec![0, 1]]),
            "{nodes:?} {index}"
        );
    }
    // No other mode counts.
    for mode in [
        Mode::Local,
        Mode::Preferred,
        Mode::PreferredMany,
        Mode::Bind,
    ] {
        let task = task(policy(mode, &[0, 2], None), &[0, 1, 2]);
        assert_eq!(told(&task.place(0)), told(&task.place(1)), "{mode:?}");
    }
}

#[test]
fn reservations_look_at_the_cpuset_and_at_bind() {
    // mode, its nodes, cpuset, set
    type Row<'a> = (Mode, &'a [usize], &'a [usize], &'a [usize]);
    let table: [Row<'_>; 9] = [
        (Mode::Local, &[], &[0, 1], &[0, 1]),
        (Mode::Preferred, &[0], &[0, 1], &[0, 1]),
        (Mode::PreferredMany, &[0], &[0, 1], &[0, 1]),
        (Mode::Interleave, &[0], &[0, 1], &[0, 1]),
        (Mode::Bind, &[0], &[0, 1], &[0]),
        (Mode::Bind, &[0, 1, 2], &[0, 1], &[0, 1]),
        (Mode::Bind, &[0, 2], &[0, 1], &[0]),
        (Mode::Bind, &[2], &[0, 1], &[0, 1]),
        (Mode::Bind, &[], &[0, 1], &[0, 1]),
    ];
    for (mode, nodes, mems_allowed, set) in table {
        for home in [None, Some(0), Some(2)] {
            let placement = task(policy(mode, nodes, home), mems_allowed).place_reservation();
            assert_eq!(
                told(&placement),
                (LOCAL, vec![set.to_vec()]),
                "{mode:?} {nodes:?} home {home:?} in {mems_allowed:?}"
            );
        }
    }
}

#[test]
fn a_resize_by_policy_is_about_its_nodes() {
    for mems_allowed in [&[0, 1, 2][..], &[0]] {
        let nodes = |mode, nodes: &[usize]| {
            let home = Some(0);
            task(policy(mode, nodes, home), mems_allowed).resize_nodes()
        };
        assert_eq!(nodes(Mode::Local, &[]), Some(set(&[LOCAL])));
        assert_eq!(nodes(Mode::Local, &[2]), Some(set(&[LOCAL])));
        for mode in [
            Mode::Preferred,
            Mode::PreferredMany,
            Mode::Bind,
            Mode::Interleave,
        ] {
            for of in [&[0][..], &[0, 2], &[2, 64, 1023]] {
                assert_eq!(nodes(mode, of), Some(set(of)), "{mode:?}");
            }
        }
    }
}

#[test]
fn more_nodes_than_a_word_has_bits() {
    let many = Vec::from_iter((0..1024).step_by(3));
    let few = [0, 62, 63, 64, 65, 66, 1023];
    let both = [0, 63, 66, 1023];
    let bound = task(policy(Mode::Bind, &many, Some(1023)), &few);
    assert_eq!(told(&bound.place(0)), (1023, vec![both.to_vec()]));
    assert_eq!(
        told(&bound.place_reservation()),
        (LOCAL, vec![both.to_vec()])
    );
    let rather = task(policy(Mode::PreferredMany, &few, None), &many);
    assert_eq!(
        told(&rather.place(0)),
        (LOCAL, vec![both.to_vec(), many.clone()])
    );
    // Only far nodes have something in common.
    let far = task(policy(Mode::Bind, &[0, 1000], None), &[1, 1000]);
    assert_eq!(told(&far.place(0)), (LOCAL, vec![vec![1000]]));
    for (nth, node) in many.iter().enumerate() {
        let interleaved = task(policy(Mode::Interleave, &many, None), &few);
        assert_eq!(interleaved.place(nth).near, id(*node));
        assert_eq!(interleaved.place(nth + many.len()).near, id(*node));
    }
}
