// SPDX-License-Identifier: GPL-2.0

//! Random sequences of operations: the module's pool and the model of hugetlb must do the same, in
//! the same order, with the same counters after each step.

use proptest::prelude::*;

use crate::config::cases;
use crate::model::Model;
use crate::shell::Shell;
use crate::world::{Freed, Resizable, Row, Scope, Users, World};

/// The nodes there are: with gaps, and on both sides of a word's border.
const NODES: [usize; 4] = [0, 2, 63, 64];
const TABLE: usize = NODES[NODES.len() - 1] + 1;

/// What a user does, on which node.
#[derive(Clone, Copy, Debug)]
enum Use {
    Take(usize),
    Put(usize),
}

/// What happens while a resize is under way, each list in the order of its occasions; once a list
/// is used up, nothing more of its kind happens.
#[derive(Clone, Debug)]
struct Script {
    /// Whether an allocation fails though there is memory.
    failures: Vec<bool>,
    /// Whether a signal is pending.
    signals: Vec<bool>,
    /// What other users do.
    uses: Vec<Vec<Use>>,
}

/// One thing that somebody does with the pool or the machine.
#[derive(Clone, Debug)]
enum Op {
    /// Somebody resizes the pool.
    Resize {
        count: usize,
        scope: Scope,
        script: Script,
    },
    /// A user comes or goes.
    Use(Use),
    /// Some program gives memory of a node back.
    Memory(usize, usize),
}

/// What a world sees of a pool, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Alloc { node: usize, hard: bool, got: bool },
    GiveBack { node: usize },
    Took(usize, bool),
    Put(usize, Option<Freed>),
    Rows(Vec<Row>),
}

/// A page allocator with limited memory, and a script of what else happens.
struct Machine {
    memory: Vec<usize>,
    failures: std::vec::IntoIter<bool>,
    signals: std::vec::IntoIter<bool>,
    uses: std::vec::IntoIter<Vec<Use>>,
    seen: Vec<Seen>,
}

impl Machine {
    fn new(memory: &[usize]) -> Self {
        Self {
            memory: memory.to_vec(),
            failures: Vec::new().into_iter(),
            signals: Vec::new().into_iter(),
            uses: Vec::new().into_iter(),
            seen: Vec::new(),
        }
    }

    fn perform(&mut self, act: Use, pool: &mut dyn Users) {
        self.seen.push(match act {
            Use::Take(node) => Seen::Took(node, pool.take(node)),
            Use::Put(node) => {
                let freed = pool.put(node);
                self.memory[node] += usize::from(freed == Some(Freed::GivenBack));
                Seen::Put(node, freed)
            }
        });
    }

    fn apply<P: Resizable>(&mut self, op: &Op, pool: &mut P) {
        match op {
            Op::Resize {
                count,
                scope,
                script,
            } => {
                self.failures = script.failures.clone().into_iter();
                self.signals = script.signals.clone().into_iter();
                self.uses = script.uses.clone().into_iter();
                pool.resize(*count, scope, self);
            }
            Op::Use(act) => self.perform(*act, pool),
            Op::Memory(node, pages) => self.memory[*node] += pages,
        }
        self.seen.push(Seen::Rows(pool.rows()));
    }
}

impl World for Machine {
    fn alloc(&mut self, node: usize, hard: bool) -> bool {
        let unlucky = self.failures.next().unwrap_or(false);
        let got = self.memory[node] > 0 && !unlucky;
        self.memory[node] -= usize::from(got);
        self.seen.push(Seen::Alloc { node, hard, got });
        got
    }

    fn give_back(&mut self, node: usize) {
        self.memory[node] += 1;
        self.seen.push(Seen::GiveBack { node });
    }

    fn interrupted(&mut self) -> bool {
        self.signals.next().unwrap_or(false)
    }

    fn meanwhile(&mut self, pool: &mut dyn Users) {
        self.seen.push(Seen::Rows(pool.rows()));
        for act in self.uses.next().unwrap_or_default() {
            self.perform(act, pool);
        }
    }
}

fn node() -> impl Strategy<Value = usize> {
    prop::sample::select(&NODES)
}

/// The pages of each node before the first operation: none, or any, with no more surplus ones than
/// are in use. (Else `remove_pool_hugetlb_folio` may take a free page of a node that has surplus
/// ones only, and leave more surplus there than pages. `resize` has such pools of one node.)
fn pages() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_usize, 0..4_usize)
        .prop_flat_map(|(free, used)| (Just(free + used), Just(free), 0..=used))
        .prop_map(|(nr, free, surplus)| [nr, free, surplus]);
    prop_oneof![
        Just(vec![[0; 3]; NODES.len()]),
        prop::collection::vec(row, NODES.len()),
    ]
}

/// A table for all nodes, with these values for those there are.
fn table<T: Copy + Default>(values: &[T]) -> Vec<T> {
    let mut table = vec![T::default(); TABLE];
    for (node, value) in NODES.iter().zip(values) {
        table[*node] = *value;
    }
    table
}

fn act() -> impl Strategy<Value = Use> {
    prop_oneof![node().prop_map(Use::Take), node().prop_map(Use::Put)]
}

fn script() -> impl Strategy<Value = Script> {
    let quiet = Just(Script {
        failures: Vec::new(),
        signals: Vec::new(),
        uses: Vec::new(),
    });
    let eventful = (
        prop::collection::vec(prop::bool::weighted(0.3), 0..12),
        prop::collection::vec(prop::bool::weighted(0.05), 0..12),
        prop::collection::vec(prop::collection::vec(act(), 0..3), 0..24),
    )
        .prop_map(|(failures, signals, uses)| Script {
            failures,
            signals,
            uses,
        });
    prop_oneof![quiet, eventful]
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

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (count(), scope(), script())
            .prop_map(|(count, scope, script)| Op::Resize { count, scope, script }),
        5 => act().prop_map(Op::Use),
        1 => (node(), 1..4_usize).prop_map(|(node, pages)| Op::Memory(node, pages)),
    ]
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn the_pool_does_what_hugetlb_does(
        memory in prop::collection::vec(0..8_usize, NODES.len()),
        pages in pages(),
        first in node(),
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let (memory, pages) = (table(&memory), table(&pages));
        let (mut ours, mut theirs) = (Machine::new(&memory), Machine::new(&memory));
        let (mut pool, mut model) = (Shell::with(&pages, first), Model::with(&pages, first));
        let [nr, _, _] = pool.total();
        let mut all = nr + memory.iter().sum::<usize>();

        for op in &ops {
            ours.apply(op, &mut pool);
            theirs.apply(op, &mut model);
            prop_assert_eq!(&ours.seen, &theirs.seen, "{:?}", op);
            prop_assert_eq!(&ours.memory, &theirs.memory, "{:?}", op);
            ours.seen.clear();
            theirs.seen.clear();

            pool.check();
            if let Op::Memory(_, more) = op {
                all += more;
            }
            let [nr, _, _] = pool.total();
            prop_assert_eq!(nr + ours.memory.iter().sum::<usize>(), all, "pages lost or made up");
        }
    }
}
