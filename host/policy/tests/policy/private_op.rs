// SPDX-License-Identifier: GPL-2.0

//! What happens to a file with private mappings, at random.

use proptest::prelude::*;
use rust_hugetlb::policy::range::FileRange;

use crate::private_file::Touch;
use crate::random::{nearest, NODES};
use crate::world::Scope;

pub(crate) const PROCESSES: usize = 4;
pub(crate) const PAGES: usize = 6;

/// Some VMA: of those there are, from the newest on.
pub(crate) type Which = usize;
/// A part of it: between these, or all.
pub(crate) type Part = [usize; 2];

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Map {
        mm: usize,
        range: FileRange,
        noreserve: bool,
        grows: bool,
        nodes: Vec<usize>,
        failures: Vec<bool>,
    },
    MapShared(FileRange, Vec<usize>),
    Touch(Which, usize, Touch),
    TouchShared(usize, Touch),
    /// A process, into which other, what is pinned, and where copies of that go.
    Fork(usize, usize, Vec<usize>, Vec<usize>),
    Split(Which, Part),
    Unmap(Which, Part),
    /// And whether it succeeds.
    Move(Which, Part, bool),
    Exit(usize),
    Truncate(usize),
    Punch(FileRange),
    Resize(usize, Scope),
    Overcommit(usize),
    Memory(usize, usize),
}

fn range() -> impl Strategy<Value = FileRange> {
    (0..PAGES, 1..PAGES).prop_map(|(first, length)| FileRange {
        first,
        end: (first + length).min(PAGES),
    })
}

fn touch() -> impl Strategy<Value = Touch> {
    let write = prop_oneof![1 => Just(None), 3 => any::<u32>().prop_map(Some)];
    let trouble = || prop::bool::weighted(0.05);
    (write, nearest(), trouble(), trouble()).prop_map(|(write, nodes, no_map, no_table)| Touch {
        write,
        nodes,
        no_map,
        no_table,
    })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let failures = prop::collection::vec(prop::bool::weighted(0.1), 0..4);
    let scope = prop_oneof![
        Just(Scope::All(NODES.to_vec())),
        prop::sample::select(&NODES).prop_map(Scope::Node),
    ];
    let mm = || 0..PROCESSES;
    let which = || prop_oneof![2 => 0..3_usize, 1 => 0..12_usize];
    let part = || [0..=PAGES, 0..=PAGES];
    let seldom = || prop::bool::weighted(0.2);
    let map = (mm(), range(), seldom(), seldom(), nearest(), failures);
    let pinned = prop::collection::vec(0..PAGES, 0..3);
    prop_oneof![
        4 => map.prop_map(|(mm, range, noreserve, stays, nodes, failures)| Op::Map {
            mm, range, noreserve, grows: !stays, nodes, failures,
        }),
        1 => (range(), nearest()).prop_map(|(range, nodes)| Op::MapShared(range, nodes)),
        16 => (which(), 0..PAGES, touch())
            .prop_map(|(vma, index, touch)| Op::Touch(vma, index, touch)),
        2 => (0..PAGES, touch()).prop_map(|(index, touch)| Op::TouchShared(index, touch)),
        5 => (mm(), mm(), pinned, nearest())
            .prop_map(|(from, to, pinned, nodes)| Op::Fork(from, to, pinned, nodes)),
        1 => (which(), part()).prop_map(|(vma, part)| Op::Split(vma, part)),
        2 => (which(), part()).prop_map(|(vma, part)| Op::Unmap(vma, part)),
        2 => (which(), part(), prop::bool::weighted(0.8))
            .prop_map(|(vma, part, succeeds)| Op::Move(vma, part, succeeds)),
        1 => mm().prop_map(Op::Exit),
        1 => (0..=PAGES).prop_map(Op::Truncate),
        2 => range().prop_map(Op::Punch),
        2 => (0..12_usize, scope).prop_map(|(count, scope)| Op::Resize(count, scope)),
        1 => (0..8_usize).prop_map(Op::Overcommit),
        1 => (prop::sample::select(&NODES), 1..3_usize)
            .prop_map(|(node, pages)| Op::Memory(node, pages)),
    ]
}
