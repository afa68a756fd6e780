// SPDX-License-Identifier: GPL-2.0

//! What the shell does in several steps (`src/pool.rs`), each of which takes the lock once: here
//! they can be mixed with the steps of others in any order.

use std::collections::VecDeque;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::NodeSet;
use rust_hugetlb::policy::pool::Fate;
use rust_hugetlb::policy::reserve::{self, Reserve, Unreserve};
use rust_hugetlb::policy::resize::{self, Ask, Resize};

use crate::shell::{id, set, Page, Shell};
use crate::world::{Scope, World};

/// Something under way.
pub(crate) trait Job {
    /// Does what can be done until the lock is dropped. At the end: whether it was granted.
    fn step(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool>;
}

/// `Pool::resize`.
#[derive(Debug)]
pub(crate) struct Resizing {
    resize: Resize,
    /// Where a page is to be asked for next, and how hard.
    ask: Option<Ask>,
}

impl Resizing {
    pub(crate) fn new(count: usize, scope: &Scope, pool: &Shell) -> Self {
        let count = PageCount::new(count);
        Self {
            resize: match scope {
                Scope::All(nodes) => Resize::to_total(count, set(nodes)),
                Scope::Node(node) => Resize::to_node(count, id(*node), &pool.counts),
            },
            ask: None,
        }
    }
}

impl Job for Resizing {
    fn step(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool> {
        if let Some(Ask { node, hard }) = self.ask.take() {
            if !world.alloc(node.index(), hard) {
                self.resize.failed(node);
                return None;
            }
            assert!(self.resize.allocated(node, &mut pool.counts), "{pool:?}");
            let page = pool.make(node);
            pool.list(page);
            if world.interrupted() {
                self.resize.interrupt();
            }
            return None;
        }
        match self.resize.next(&mut pool.counts) {
            resize::Step::Alloc(ask) => self.ask = Some(ask),
            resize::Step::GiveBack { node } => world.give_back(pool.pop_removed(node).node.index()),
            resize::Step::Wait => unreachable!("nobody helps"),
            resize::Step::Done => return Some(true),
        }
        None
    }
}

#[derive(Debug)]
enum Stage {
    Decide,
    Ask,
    /// Whether the task's nodes have so many pages.
    Place,
    GoBack(Unreservation),
}

/// `Pool::reserve`.
#[derive(Debug)]
pub(crate) struct Reservation {
    count: usize,
    /// The nodes that may be used, in the order in which they are tried.
    nodes: Vec<usize>,
    reserve: Reserve,
    held: VecDeque<Page>,
    stage: Stage,
}

impl Reservation {
    pub(crate) fn new(count: usize, nodes: &[usize]) -> Self {
        Self {
            count,
            nodes: nodes.to_vec(),
            reserve: Reserve::new(PageCount::new(count)),
            held: VecDeque::new(),
            stage: Stage::Decide,
        }
    }

    fn next_of_held(&mut self) -> Page {
        let page = self.held.pop_front();
        page.expect("policy enlists and drops no more pages than it has seen held")
    }

    fn ask(&mut self, pool: &mut Shell, world: &mut dyn World) {
        match world.alloc_near(&self.nodes) {
            Some(node) if self.reserve.allocated(id(node), &mut pool.counts) => {
                self.held.push_back(pool.hold(id(node)));
            }
            Some(node) => world.give_back(node),
            None => self.reserve.failed(),
        }
    }

    fn decide(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool> {
        match self.reserve.next(&mut pool.counts) {
            reserve::Step::Allocate => self.stage = Stage::Ask,
            reserve::Step::Enlist => {
                let page = self.next_of_held();
                self.reserve.enlisted(page.node, &mut pool.counts);
                pool.let_go(&page);
                pool.list(page);
            }
            reserve::Step::Drop => {
                let page = self.next_of_held();
                pool.let_go(&page);
                match self.reserve.dropped(page.node, &mut pool.counts) {
                    Fate::Keep => pool.list(page),
                    Fate::GiveBack => world.give_back(page.node.index()),
                }
            }
            reserve::Step::Done(result) => {
                assert!(self.held.is_empty(), "held for ever: {self:?}");
                if result.is_err() {
                    return Some(false);
                }
                self.stage = Stage::Place;
            }
        }
        None
    }
}

impl Job for Reservation {
    fn step(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool> {
        match &mut self.stage {
            Stage::Decide => self.decide(pool, world),
            Stage::Ask => {
                self.stage = Stage::Decide;
                self.ask(pool, world);
                None
            }
            Stage::Place => {
                let count = PageCount::new(self.count);
                if reserve::is_placeable(count, &set(&self.nodes), &pool.counts) {
                    return Some(true);
                }
                let memory = world.memory_nodes();
                self.stage = Stage::GoBack(Unreservation::new(self.count, &memory));
                None
            }
            Stage::GoBack(unreservation) => unreservation.step(pool, world).and(Some(false)),
        }
    }
}

/// `Pool::unreserve`.
#[derive(Debug)]
pub(crate) struct Unreservation(Unreserve);

impl Unreservation {
    pub(crate) fn new(count: usize, memory: &[usize]) -> Self {
        let nodes: NodeSet = set(memory);
        Self(Unreserve::new(PageCount::new(count), nodes))
    }
}

impl Job for Unreservation {
    fn step(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool> {
        match self.0.next(&mut pool.counts) {
            Some(node) => {
                world.give_back(pool.pop_removed(node).node.index());
                None
            }
            None => Some(true),
        }
    }
}
