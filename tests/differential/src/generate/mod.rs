// SPDX-License-Identifier: GPL-2.0

//! Random operations, which keep the pools small and nearly used up.
//!
//! Every file has at most [`FILE_PAGES`](crate::size::FILE_PAGES) pages, sizes are at most
//! [`MOST`](crate::size::MOST) and a process has at most [`AREAS`] mappings, so both pools together never have more than a part of the guest's memory:
//! near its end two runs of hugetlb itself would differ.

mod family;
mod files;
mod focus;
mod maps;
mod pool;

use fastrand::Rng;

use crate::generate::focus::Focus;
use crate::machine::Machine;
use crate::op::{NodeList, Op, FILES};
use crate::pair::Pair;
use crate::policy::Policy;
use crate::size::HAS_PRIVATE;
use crate::touch::Access;

/// The mappings of a process from which on it makes no more.
const AREAS: usize = 9;

/// In how many of a hundred operations a child acts, if there is one.
const BY_CHILDREN: u32 = 35;

/// In how many of a hundred operations it matters that there is a [`Focus`].
const FOCUSED: u32 = 75;

/// A source of operations.
pub struct Generator {
    random: Rng,
    machine: Machine,
    /// Whether there are private mappings, too.
    private: bool,
    focus: Option<Focus>,
}

/// Makes an operation for process number `who`; none if there is nothing that it could be about.
type Make = fn(&mut Generator, &Pair, usize) -> Option<Op>;

/// What is made how often: for every process.
const FOR_ALL: &[(u32, Make)] = &[
    (60, Generator::touch),
    (20, Generator::map),
    (10, Generator::unmap),
    (5, Generator::open),
    (4, Generator::close),
    (4, Generator::protect),
    (4, Generator::populate),
    (3, Generator::bind),
    (1, Generator::home),
    (6, Generator::relocate),
    (5, Generator::advise),
    (1, Generator::lock),
    (2, Generator::mincore),
    (3, Generator::set_size),
    (3, Generator::punch),
    (3, Generator::preallocate),
    (2, Generator::info),
    (6, Generator::remote),
    (1, |g, _, _| Some(Op::Policy(g.policy()))),
    (1, |g, _, _| Some(Op::Thp(g.chance(50)))),
];

/// The same, for this process only.
const FOR_ONE: &[(u32, Make)] = &[
    (6, |g, pair, _| Some(g.resize(pair))),
    (4, |g, pair, _| Some(g.resize_node(pair))),
    (3, |g, pair, _| Some(g.resize_by_policy(pair))),
    (5, |g, _, _| Some(g.overcommit())),
    (3, |g, pair, _| Some(g.exhaust(pair))),
    (7, |g, pair, _| Some(g.more(pair))),
    (3, |g, _, _| Some(g.junk())),
    (3, |g, _, _| Some(Op::Policy(g.policy()))),
    (3, |g, _, _| Some(Op::Cpu(g.random.usize(..g.machine.cpus)))),
    (6, |g, pair, _| g.turn(pair)),
    (4, Generator::spawn),
    (3, Generator::end),
    (2, |g, pair, _| g.brief_on_shared(pair)),
    (3, |g, pair, _| g.brief_on_own(pair, false)),
    (2, |g, pair, _| g.brief_on_own(pair, true)),
];

/// The same, for children only.
const FOR_CHILDREN: &[(u32, Make)] = &[(1, Generator::spawn)];

impl Generator {
    /// A source whose operations depend on `seed` and on what it is shown.
    pub fn new(seed: u64, machine: Machine, private: bool) -> Self {
        Self {
            random: Rng::with_seed(seed),
            machine,
            private: private && HAS_PRIVATE,
            focus: None,
        }
    }

    /// The next operation.
    pub fn op(&mut self, pair: &Pair) -> Op {
        if self.chance(FOCUSED) {
            if let Some(op) = self.focused(pair) {
                return op;
            }
        }
        let children = children(pair);
        let who = match self.random.choice(children) {
            Some(child) if self.chance(BY_CHILDREN) => child,
            _ => 0,
        };
        let own = if who == 0 { FOR_ONE } else { FOR_CHILDREN };
        let total: u32 = FOR_ALL.iter().chain(own).map(|(weight, _)| weight).sum();
        loop {
            let mut left = self.random.u32(..total);
            let chosen = FOR_ALL.iter().chain(own).find(|(weight, _)| {
                let this = left < *weight;
                left = left.wrapping_sub(*weight);
                this
            });
            // Some always make one.
            match chosen.and_then(|(_, make)| make(self, pair, who)) {
                Some(op) if who == 0 => return op,
                Some(op) => {
                    let op = Box::new(op);
                    return Op::In { who, op };
                }
                None => {}
            }
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(..100) < percent
    }

    fn one_of<T>(&mut self, some: impl IntoIterator<Item = T>) -> Option<T> {
        let some: Vec<T> = some.into_iter().collect();
        self.random.choice(some)
    }

    fn file(&mut self, pair: &Pair, who: usize, open: bool) -> Option<usize> {
        self.one_of((0..FILES).filter(|file| pair.has_file(who, *file) == open))
    }

    fn access(&mut self) -> Access {
        match self.chance(60) {
            true => Access::Write,
            false => Access::Read,
        }
    }

    fn nodes(&mut self) -> NodeList {
        let mut mask = 0;
        while mask == 0 {
            let picked = self.machine.nodes.iter().filter(|_| self.random.bool());
            mask = picked.fold(0, |mask, node| mask | (1 << node));
        }
        NodeList::from_mask(mask)
    }

    fn node(&mut self) -> usize {
        let nodes = self.machine.nodes.clone();
        self.one_of(nodes).unwrap_or_default()
    }

    fn policy(&mut self) -> Policy {
        if self.chance(25) {
            return Policy::none();
        }
        let mode = self.random.usize(..Policy::COUNT);
        let nodes = match Policy::takes_nodes(mode) {
            true => self.nodes(),
            false => NodeList::default(),
        };
        Policy::of(mode, nodes)
    }
}

/// The children there are.
fn children(pair: &Pair) -> Vec<usize> {
    (1..crate::op::PROCESSES)
        .filter(|who| pair.has(*who))
        .collect()
}
