// SPDX-License-Identifier: GPL-2.0

//! A machine on which somebody does one thing after the other with a pool, and on which a script
//! says what else happens meanwhile. It writes down all that can be seen of the pool.

use rust_hugetlb::policy::pool::Claim;

use crate::world::{Counters, Freed, Hugetlb, Scope, World};

/// One thing that somebody does with the pool or the machine.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Resizes the pool; not while another does.
    Resize(usize, Scope),
    /// Takes a free page; on a reservation if there is one.
    Take(usize, Claim),
    /// Takes a surplus page of the first of these nodes.
    TakeSurplus(Vec<usize>, Claim),
    /// Lets a page go.
    Put(usize),
    /// Gives an unused page back with its reservation.
    Unuse(usize),
    /// Reserves, for somebody who may use these nodes.
    Reserve(usize, Vec<usize>),
    /// Ends as many reservations, at most.
    Unreserve(usize),
    /// Changes the limit of surplus pages.
    Overcommit(usize),
    /// Some program gives memory of a node back.
    Memory(usize, usize),
}

/// What happens while something is under way, each list in the order of its occasions; once a list
/// is used up, nothing more of its kind happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Whether an allocation fails though there is memory.
    pub(crate) failures: Vec<bool>,
    /// Whether a signal is pending.
    pub(crate) signals: Vec<bool>,
    /// What others do.
    pub(crate) acts: Vec<Vec<Act>>,
}

/// What was seen of a pool, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Alloc { node: usize, hard: bool, got: bool },
    GiveBack(usize),
    Took(usize, bool),
    TookSurplus(Option<usize>),
    Put(usize, Option<Freed>),
    Unused(usize, bool),
    Reserved(usize, bool),
    Counters(Counters),
}

/// A page allocator with limited memory, a script, and whoever uses the pool.
pub(crate) struct Machine {
    nodes: Vec<usize>,
    pub(crate) memory: Vec<usize>,
    failures: std::vec::IntoIter<bool>,
    signals: std::vec::IntoIter<bool>,
    acts: std::vec::IntoIter<Vec<Act>>,
    resizing: bool,
    /// The promises that somebody has and does not use just now.
    pub(crate) promises: usize,
    /// Memory that came from outside.
    pub(crate) gained: usize,
    pub(crate) seen: Vec<Seen>,
}

impl Machine {
    /// A machine with these nodes (ascending), and so much memory on each possible node.
    pub(crate) fn new(nodes: &[usize], memory: &[usize]) -> Self {
        Self {
            nodes: nodes.to_vec(),
            memory: memory.to_vec(),
            failures: Vec::new().into_iter(),
            signals: Vec::new().into_iter(),
            acts: Vec::new().into_iter(),
            resizing: false,
            promises: 0,
            gained: 0,
            seen: Vec::new(),
        }
    }

    /// Somebody does something while the script runs.
    pub(crate) fn apply(&mut self, act: &Act, script: &Script, pool: &mut dyn Hugetlb) {
        self.play(script);
        self.perform(act, pool);
        self.play(&Script::default());
        self.seen.push(Seen::Counters(pool.counters()));
    }

    /// The script begins.
    pub(crate) fn play(&mut self, script: &Script) {
        self.failures = script.failures.clone().into_iter();
        self.signals = script.signals.clone().into_iter();
        self.acts = script.acts.clone().into_iter();
    }

    /// Somebody has a promise to use, if it is needed.
    fn begin(&mut self, claim: Claim) -> bool {
        match claim {
            Claim::Unreserved => true,
            Claim::Reserved if self.promises == 0 => false,
            Claim::Reserved => {
                self.promises -= 1;
                true
            }
        }
    }

    /// It was not used, unless there is a page.
    fn end(&mut self, claim: Claim, got: bool) {
        if claim == Claim::Reserved && !got {
            self.promises += 1;
        }
    }

    fn perform(&mut self, act: &Act, pool: &mut dyn Hugetlb) {
        match *act {
            Act::Resize(count, ref scope) => {
                if !self.resizing {
                    self.resizing = true;
                    pool.resize(count, scope, self);
                    self.resizing = false;
                }
            }
            Act::Take(node, claim) => {
                if self.begin(claim) {
                    let got = pool.take(node, claim);
                    self.end(claim, got);
                    self.seen.push(Seen::Took(node, got));
                }
            }
            Act::TakeSurplus(ref nodes, claim) => {
                if self.begin(claim) {
                    let got = pool.take_surplus(nodes, claim, self);
                    self.end(claim, got.is_some());
                    self.seen.push(Seen::TookSurplus(got));
                }
            }
            Act::Put(node) => {
                let freed = pool.put(node);
                self.memory[node] += usize::from(freed == Some(Freed::GivenBack));
                self.seen.push(Seen::Put(node, freed));
            }
            Act::Unuse(node) => {
                let unused = pool.unuse(node);
                self.promises += usize::from(unused);
                self.seen.push(Seen::Unused(node, unused));
            }
            Act::Reserve(count, ref nodes) => {
                let granted = pool.reserve(count, nodes, self);
                self.promises += if granted { count } else { 0 };
                self.seen.push(Seen::Reserved(count, granted));
            }
            Act::Unreserve(count) => {
                let count = count.min(self.promises);
                self.promises -= count;
                pool.unreserve(count, self);
            }
            Act::Overcommit(limit) => pool.set_overcommit(limit),
            Act::Memory(node, pages) => {
                self.memory[node] += pages;
                self.gained += pages;
            }
        }
    }
}

impl World for Machine {
    fn memory_nodes(&self) -> Vec<usize> {
        self.nodes.clone()
    }

    fn alloc(&mut self, node: usize, hard: bool) -> bool {
        let unlucky = self.failures.next().unwrap_or(false);
        let got = self.memory[node] > 0 && !unlucky;
        self.memory[node] -= usize::from(got);
        self.seen.push(Seen::Alloc { node, hard, got });
        got
    }

    fn give_back(&mut self, node: usize) {
        self.memory[node] += 1;
        self.seen.push(Seen::GiveBack(node));
    }

    fn interrupted(&mut self) -> bool {
        self.signals.next().unwrap_or(false)
    }

    fn meanwhile(&mut self, pool: &mut dyn Hugetlb) {
        self.seen.push(Seen::Counters(pool.counters()));
        for act in self.acts.next().unwrap_or_default() {
            self.perform(&act, pool);
        }
    }
}
