// SPDX-License-Identifier: GPL-2.0

//! Growing with help: every order in which the steps of the one who resizes and of those who help can
//! mix leads to what it comes to alone.

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::NodeId;
use rust_hugetlb::policy::pool::{Claim, Counts, Pool};
use rust_hugetlb::policy::resize::{Ask, Resize, Step};
use rust_hugetlb::policy::size::HugeSize;

use crate::explore::{explore, Choices};
use crate::shell::{id, row, set};
use crate::world::Row;

/// A pool and a page allocator with so many pages on each node.
#[derive(Debug)]
struct Machine {
    pool: Pool<Vec<Counts>>,
    memory: Vec<usize>,
    /// How many pages it got back.
    given_back: usize,
    /// The most that was asked for at once.
    at_once: usize,
    /// Somebody makes a surplus page at some moment, on the first node.
    surplus_to_come: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Idle,
    Asking(Ask),
    /// Waits for those who help; then it is over, or goes on.
    Waiting {
        over: bool,
    },
    Gone,
}

impl Machine {
    /// With so many free persistent pages, and a surplus page on each of these nodes.
    fn new(memory: &[usize], pages: usize, surplus: &[usize]) -> Self {
        let mut pool = Pool::new(vec![Counts::default(); memory.len()], NodeId::FIRST);
        for page in 0..pages {
            assert!(pool.add(id(page % memory.len())));
        }
        pool.set_overcommit(PageCount::MAX);
        for node in surplus {
            assert!(pool.take_surplus(id(node % memory.len()), Claim::Unreserved));
        }
        Self {
            pool,
            memory: memory.to_vec(),
            given_back: 0,
            at_once: 0,
            surplus_to_come: false,
        }
    }

    fn rows(&self) -> Vec<Row> {
        (0..self.memory.len())
            .map(|node| row(self.pool.on(id(node))))
            .collect()
    }

    fn resize(&self, target: usize) -> Resize {
        let nodes = Vec::from_iter(0..self.memory.len());
        Resize::to_total(PageCount::new(target), set(&nodes))
    }

    fn answer(&mut self, resize: &mut Resize, ask: Ask) {
        let left = &mut self.memory[ask.node.index()];
        if *left == 0 {
            resize.failed(ask.node);
        } else {
            *left -= 1;
            assert!(resize.allocated(ask.node, &mut self.pool));
        }
    }

    /// One step of the first of `all`, who resizes, or of another, who helps.
    fn step(&mut self, resize: &mut Resize, all: &mut [Who], turn: usize) {
        let others_gone = all.iter().skip(1).all(|who| *who == Who::Gone);
        all[turn] = match all[turn] {
            Who::Asking(ask) => {
                self.answer(resize, ask);
                Who::Idle
            }
            Who::Idle if turn > 0 => {
                let ask = resize.ask(&mut self.pool);
                let is_awaited = matches!(all[0], Who::Waiting { .. });
                assert!(ask.is_none() || !is_awaited, "{self:?}");
                ask.map_or(Who::Gone, Who::Asking)
            }
            Who::Idle => match resize.next(&mut self.pool) {
                Step::Alloc(ask) => Who::Asking(ask),
                Step::GiveBack { node } => {
                    self.memory[node.index()] += 1;
                    self.given_back += 1;
                    Who::Idle
                }
                Step::Wait => {
                    assert!(!others_gone, "there is nobody to wait for: {self:?}");
                    Who::Waiting { over: false }
                }
                Step::Done => Who::Waiting { over: true },
            },
            Who::Waiting { over } if others_gone => {
                if over {
                    Who::Gone
                } else {
                    Who::Idle
                }
            }
            who => who,
        };
        let asking = all.iter().filter(|who| matches!(who, Who::Asking(_)));
        self.at_once = self.at_once.max(asking.count());
    }

    /// Resizes with so many helpers. After so many steps a signal comes.
    fn run(&mut self, target: usize, helpers: usize, signal: usize, choices: &mut Choices) {
        let mut resize = self.resize(target);
        let mut all = vec![Who::Idle; helpers + 1];
        let mut steps = 0;
        while all[0] != Who::Gone {
            if steps == signal {
                resize.interrupt();
            }
            steps += 1;
            let others_gone = all.iter().skip(1).all(|who| *who == Who::Gone);
            let able = Vec::from_iter((0..all.len()).filter(|who| match all[*who] {
                Who::Gone => false,
                Who::Waiting { .. } => others_gone,
                _ => true,
            }));
            let surplus = usize::from(self.surplus_to_come);
            let turn = choices.pick(able.len() + surplus);
            match able.get(turn) {
                Some(turn) => self.step(&mut resize, &mut all, *turn),
                None => {
                    self.surplus_to_come = false;
                    assert!(self.pool.take_surplus(NodeId::FIRST, Claim::Unreserved));
                }
            }
            assert!(self.pool.check(), "{self:?}");
        }
    }
}

/// Each memory of up to so many pages on each of two nodes, and on one.
fn memories(most: usize) -> Vec<Vec<usize>> {
    let one = (0..=most).map(|pages| vec![pages]);
    let two = (0..=most).flat_map(|first| (0..=most).map(move |second| vec![first, second]));
    one.chain(two).collect()
}

#[test]
fn with_help_it_is_as_alone() {
    let (mut ways, mut at_once) = (0, 0);
    for memory in memories(2) {
        // free pages before, surplus pages on these nodes, target, helpers
        let table: [(usize, &[usize], usize, usize); 8] = [
            (0, &[], 1, 1),
            (0, &[], 2, 2),
            (1, &[], 4, 1),
            (0, &[], 3, 2),
            (2, &[], 0, 1),
            (0, &[1], 2, 1),
            (1, &[0, 1], 4, 1),
            (0, &[1, 1], 3, 2),
        ];
        for (pages, surplus, target, helpers) in table {
            let mut alone = Machine::new(&memory, pages, surplus);
            explore(|choices| alone.run(target, 0, usize::MAX, choices));
            let (rows, left) = (alone.rows(), alone.memory.clone());
            let reached = alone.pool.total().persistent() == PageCount::new(target);
            // Where the next page comes from.
            let next = |machine: &mut Machine| machine.resize(target + 1).next(&mut machine.pool);
            let next_alone = next(&mut alone);
            ways += explore(|choices| {
                let mut helped = Machine::new(&memory, pages, surplus);
                helped.run(target, helpers, usize::MAX, choices);
                let what =
                    format!("{memory:?}: {pages}, {surplus:?} to {target}, {helpers} helpers");
                assert_eq!(helped.rows(), rows, "{what}");
                assert_eq!(helped.memory, left, "{what}");
                at_once = at_once.max(helped.at_once);
                if reached {
                    assert_eq!(next(&mut helped), next_alone, "{what}");
                }
            });
        }
    }
    println!("{ways} orders");
    assert_eq!(at_once, 3, "nobody helped");
}

#[test]
fn a_signal_keeps_what_there_is() {
    let mut early = 0;
    for signal in 0..8 {
        explore(|choices| {
            let mut machine = Machine::new(&[2, 2], 0, &[]);
            machine.run(4, 1, signal, choices);
            let total = machine.pool.total();
            let left: usize = machine.memory.iter().sum();
            assert_eq!(total.nr, PageCount::new(4 - left));
            early += usize::from(left > 0);
        });
    }
    assert!(early > 0);
}

#[test]
fn a_surplus_page_is_taken_into_account_with_those_that_are_asked_for() {
    let mut ways = 0;
    for target in 1..=3 {
        ways += explore(|choices| {
            let mut machine = Machine::new(&[3, 3], 0, &[]);
            machine.surplus_to_come = true;
            machine.run(target, 1, usize::MAX, choices);
            let total = machine.pool.total();
            assert_eq!(total.persistent(), PageCount::new(target), "{machine:?}");
            assert_eq!(machine.given_back, 0, "asked for too many: {machine:?}");
        });
    }
    println!("{ways} orders");
    assert!(ways > 100);
}

#[test]
fn few_help_with_few_pages() {
    // pages before, target, CPUs, helpers
    let table = [
        (0, 15, 8, 0),
        (0, 16, 8, 1),
        (0, 47, 8, 2),
        (0, 48, 8, 3),
        (0, usize::MAX, 64, 3),
        (0, 100, 1, 0),
        (0, 100, 0, 0),
        (0, 100, 2, 1),
        (90, 100, 8, 0),
        (100, 20, 8, 0),
    ];
    for (pages, target, cpus, helpers) in table {
        let machine = Machine::new(&[0], pages, &[]);
        let resize = machine.resize(target);
        let number = |size| resize.helpers(&machine.pool, size, cpus);
        assert_eq!(
            number(HugeSize::Size2M),
            helpers,
            "{pages} to {target}, {cpus} CPUs"
        );
        assert_eq!(number(HugeSize::Size1G), 0);
    }
}
