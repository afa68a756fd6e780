// SPDX-License-Identifier: GPL-2.0

//! Random sequences of operations: the module's pool and the model of hugetlb must do the same, in
//! the same order, with the same counters after each step.

use std::cell::RefCell;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_hugetlb::policy::pool::Claim;

use crate::config::{cases, long_cases, LONG};
use crate::machine::{Act, Machine, Script, Seen};
use crate::model::Model;
use crate::shell::Shell;
use crate::world::{Hugetlb, Row, Scope};

/// The nodes there are: with gaps, and on both sides of a word's border.
pub(crate) const NODES: [usize; 4] = [0, 2, 63, 64];
const TABLE: usize = NODES[NODES.len() - 1] + 1;

fn node() -> impl Strategy<Value = usize> {
    prop::sample::select(&NODES)
}

/// Nodes in the order in which they are tried.
pub(crate) fn nearest() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        2 => Just(NODES.to_vec()).prop_shuffle(),
        1 => prop::sample::subsequence(NODES.to_vec(), 1..NODES.len()).prop_shuffle(),
    ]
}

/// The pages of each node before the first operation: none, or any. A node can have more surplus
/// than pages if those before it make up for it.
pub(crate) fn pages() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_usize, 0..4_usize, 0..8_usize);
    let rows = prop::collection::vec(row, NODES.len()).prop_map(|rows| {
        let mut persistent = 0;
        let row = |(free, used, surplus): (usize, usize, usize)| {
            let nr = free + used;
            let surplus = surplus.min(persistent + nr);
            persistent = persistent + nr - surplus;
            [nr, free, surplus]
        };
        Vec::from_iter(rows.into_iter().map(row))
    });
    prop_oneof![Just(vec![[0; 3]; NODES.len()]), rows]
}

/// A table for all nodes, with these values for those there are.
pub(crate) fn table<T: Copy + Default>(values: &[T]) -> Vec<T> {
    let mut table = vec![T::default(); TABLE];
    for (node, value) in NODES.iter().zip(values) {
        table[*node] = *value;
    }
    table
}

fn claim() -> impl Strategy<Value = Claim> {
    prop::sample::select(&[Claim::Reserved, Claim::Unreserved])
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        2 => Just(Scope::All(NODES.to_vec())),
        1 => prop::sample::subsequence(NODES.to_vec(), 1..=NODES.len()).prop_map(Scope::All),
        2 => node().prop_map(Scope::Node),
    ]
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => Just(0),
        8 => 0..=16_usize,
        1 => (usize::MAX - 16)..=usize::MAX,
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (count(), scope()).prop_map(|(count, scope)| Act::Resize(count, scope)),
        4 => (node(), claim()).prop_map(|(node, claim)| Act::Take(node, claim)),
        2 => (nearest(), claim()).prop_map(|(nodes, claim)| Act::TakeSurplus(nodes, claim)),
        4 => node().prop_map(Act::Put),
        1 => node().prop_map(Act::Unuse),
        4 => (0..8_usize, nearest()).prop_map(|(count, nodes)| Act::Reserve(count, nodes)),
        2 => (0..8_usize).prop_map(Act::Unreserve),
        1 => prop_oneof![3 => 0..10_usize, 1 => Just(usize::MAX)].prop_map(Act::Overcommit),
        1 => (node(), 1..4_usize).prop_map(|(node, pages)| Act::Memory(node, pages)),
    ]
}

/// Failures, signals and what others do; nothing of that half of the time.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let quiet =
        prop::collection::vec(prop::bool::weighted(0.3), 0..6).prop_map(|failures| Script {
            failures,
            ..Script::default()
        });
    let eventful = (
        prop::collection::vec(prop::bool::weighted(0.3), 0..12),
        prop::collection::vec(prop::bool::weighted(0.05), 0..12),
        prop::collection::vec(prop::collection::vec(act(), 0..3), 0..24),
    )
        .prop_map(|(failures, signals, acts)| Script {
            failures,
            signals,
            acts,
        });
    prop_oneof![quiet, eventful]
}

/// How often something happened, in all cases together.
#[derive(Debug, Default)]
struct Tally {
    acts: usize,
    reserved: usize,
    refused: usize,
    refused_amid_surplus: usize,
    took_surplus: usize,
    failed_allocations: usize,
    most_pages: usize,
}

impl Tally {
    fn count(&mut self, seen: &[Seen]) {
        self.acts += 1;
        let mut held = false;
        for one in seen {
            match one {
                Seen::Reserved(count, true) => self.reserved += usize::from(*count > 0),
                Seen::Reserved(_, false) => {
                    self.refused += 1;
                    self.refused_amid_surplus += usize::from(held);
                }
                Seen::TookSurplus(Some(_)) => self.took_surplus += 1,
                Seen::Alloc { got, .. } => {
                    held |= got;
                    self.failed_allocations += usize::from(!got);
                }
                _ => {}
            }
        }
    }
}

/// One sequence of operations, on both.
fn compare(
    memory: &[usize],
    pages: &[Row],
    first: usize,
    overcommit: usize,
    ops: &[(Act, Script)],
    tally: &RefCell<Tally>,
) -> Result<(), TestCaseError> {
    let (memory, pages) = (table(memory), table(pages));
    let mut ours = Machine::new(&NODES, &memory);
    let mut theirs = Machine::new(&NODES, &memory);
    let (mut pool, mut model) = (Shell::with(&pages, first), Model::with(&pages, first));
    pool.set_overcommit(overcommit);
    model.set_overcommit(overcommit);
    let [nr, _, _] = pool.total();
    let all = nr + memory.iter().sum::<usize>();

    for (act, script) in ops {
        ours.apply(act, script, &mut pool);
        theirs.apply(act, script, &mut model);
        prop_assert_eq!(&ours.seen, &theirs.seen, "{:?}", act);
        prop_assert_eq!(&ours.memory, &theirs.memory, "{:?}", act);
        tally.borrow_mut().count(&ours.seen);
        ours.seen.clear();
        theirs.seen.clear();

        pool.check();
        prop_assert_eq!(
            pool.counters().resv,
            ours.promises,
            "promises lost or made up"
        );
        let [nr, _, _] = pool.total();
        let most = &mut tally.borrow_mut().most_pages;
        *most = nr.max(*most);
        prop_assert_eq!(
            nr + ours.memory.iter().sum::<usize>(),
            all + ours.gained,
            "pages lost or made up"
        );
    }
    Ok(())
}

/// Sequences of so many operations. What happened in them.
fn sequences(config: Config, length: Range<usize>) -> Tally {
    let sequence = (
        prop::collection::vec(0..8_usize, NODES.len()),
        pages(),
        node(),
        0..6_usize,
        prop::collection::vec((act(), script()), length),
    );
    let tally = RefCell::new(Tally::default());
    let result =
        TestRunner::new(config).run(&sequence, |(memory, pages, first, overcommit, ops)| {
            compare(&memory, &pages, first, overcommit, &ops, &tally)
        });
    println!("{:?}", tally.borrow());
    if let Err(failure) = result {
        panic!("{failure}");
    }
    tally.into_inner()
}

#[test]
fn the_pool_does_what_hugetlb_does() {
    sequences(cases(2048, file!()), 1..40);
}

/// Memory is added on the way, so that the pool gets large.
#[test]
fn the_pool_does_what_hugetlb_does_for_long() {
    let tally = sequences(long_cases(64, file!()), LONG);
    assert!(tally.most_pages > 200, "no pool was large: {tally:?}");
}
