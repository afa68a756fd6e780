// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the module's shell (`src/pool.rs`): drives policy and keeps the lists of pages
//! that its counters speak of.

use std::fmt;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::pool::{Counts, Fate, Pool};
use rust_hugetlb::policy::resize::{Resize, Step};

use crate::forged::{self, Forged};
use crate::world::{Freed, Resizable, Row, Scope, Users, World};

/// More steps than a resize takes in any world here.
const MANY: usize = 10_000;

/// The node of that number.
pub(crate) fn id(number: usize) -> NodeId {
    NodeId::new(number).expect("no kernel has this node")
}

/// The set of these nodes.
pub(crate) fn set(numbers: &[usize]) -> NodeSet {
    let mut set = NodeSet::EMPTY;
    for number in numbers {
        set.insert(id(*number));
    }
    set
}

/// Counters as plain numbers.
pub(crate) fn row(counts: Counts) -> Row {
    [counts.nr, counts.free, counts.surplus].map(PageCount::get)
}

/// The totals of these nodes.
fn sum(rows: &[Row]) -> Row {
    rows.iter().fold([0; 3], |[nr, free, surplus], row| {
        [nr + row[0], free + row[1], surplus + row[2]]
    })
}

/// A page, told apart by a number that is never used again.
#[derive(Debug)]
struct Page(#[expect(dead_code, reason = "for whoever reads a failure")] usize);

/// The module's pool, without a kernel.
pub(crate) struct Shell {
    counts: Pool<Forged>,
    free: Vec<Vec<Page>>,
    used: Vec<Vec<Page>>,
    pages_made: usize,
}

impl Shell {
    /// An empty pool with `nodes` possible nodes.
    pub(crate) fn new(nodes: usize, first: usize) -> Self {
        Self::with(&vec![[0; 3]; nodes], first)
    }

    /// A pool with these pages.
    pub(crate) fn with(rows: &[Row], first: usize) -> Self {
        let mut pages_made = 0;
        let mut list = |pages| {
            let page = |_| {
                pages_made += 1;
                Page(pages_made)
            };
            Vec::from_iter((0..pages).map(page))
        };
        Self {
            counts: forged::pool(sum(rows), rows, id(first)),
            free: rows.iter().map(|[_, free, _]| list(*free)).collect(),
            used: rows.iter().map(|[nr, free, _]| list(nr - free)).collect(),
            pages_made,
        }
    }

    /// What must hold whenever the lock is free.
    pub(crate) fn check(&self) {
        assert!(self.counts.check(), "{self:?}");
        for (node, (free, used)) in self.free.iter().zip(&self.used).enumerate() {
            let [nr_here, free_here, surplus_here] = row(self.counts.on(id(node)));
            assert_eq!(free_here, free.len(), "free pages of node {node}: {self:?}");
            assert_eq!(
                nr_here,
                free.len() + used.len(),
                "pages of node {node}: {self:?}"
            );
            assert!(surplus_here <= nr_here, "surplus of node {node}: {self:?}");
        }
        assert_eq!(self.total(), sum(&self.rows()), "{self:?}");
    }

    /// All persistent pages.
    pub(crate) fn persistent(&self) -> usize {
        self.counts.total().persistent().get()
    }

    /// The persistent pages of one node.
    pub(crate) fn persistent_on(&self, node: usize) -> usize {
        self.counts.on(id(node)).persistent().get()
    }

    /// The totals.
    pub(crate) fn total(&self) -> Row {
        row(self.counts.total())
    }

    /// Another user's turn.
    fn meanwhile(&mut self, world: &mut dyn World) {
        self.check();
        world.meanwhile(self);
        self.check();
    }

    fn join(&mut self, node: NodeId, resize: &mut Resize) {
        assert!(resize.allocated(node, &mut self.counts), "{self:?}");
        self.pages_made += 1;
        self.free[node.index()].push(Page(self.pages_made));
    }
}

impl Users for Shell {
    fn take(&mut self, node: usize) -> bool {
        let taken = self.counts.take(id(node));
        if taken {
            let page = self.free[node].pop().expect("a counted page on its list");
            self.used[node].push(page);
        }
        taken
    }

    fn put(&mut self, node: usize) -> Option<Freed> {
        let page = self.used[node].pop()?;
        match self.counts.put(id(node)) {
            Fate::Keep => {
                self.free[node].push(page);
                Some(Freed::Kept)
            }
            Fate::GiveBack => Some(Freed::GivenBack),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let nodes = 0..self.free.len();
        nodes.map(|node| row(self.counts.on(id(node)))).collect()
    }
}

impl Resizable for Shell {
    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World) {
        let count = PageCount::new(count);
        let mut resize = match scope {
            Scope::All(nodes) => Resize::to_total(count, set(nodes)),
            Scope::Node(node) => Resize::to_node(count, id(*node), &self.counts),
        };
        self.meanwhile(world);
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < MANY, "no end of steps: {self:?}");
            match resize.next(&mut self.counts) {
                Step::Alloc { node, hard } => {
                    self.meanwhile(world);
                    if world.alloc(node.index(), hard) {
                        self.join(node, &mut resize);
                    } else {
                        resize.failed(node);
                    }
                    if world.interrupted() {
                        resize.interrupt();
                    }
                }
                Step::GiveBack { node } => {
                    let page = self.free[node.index()].pop();
                    page.expect("a free page where policy says there is one");
                    world.give_back(node.index());
                }
                Step::Done => break,
            }
            self.meanwhile(world);
        }
        self.check();
        // Done is for good.
        let rows = self.rows();
        assert_eq!(resize.next(&mut self.counts), Step::Done);
        assert_eq!(self.rows(), rows);
    }
}

/// The nodes that have anything.
impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "total {:?}", self.total())?;
        for (node, row) in self.rows().iter().enumerate() {
            let (free, used) = (&self.free[node], &self.used[node]);
            if *row != [0; 3] || !free.is_empty() || !used.is_empty() {
                write!(f, ", node {node} {row:?} free {free:?} used {used:?}")?;
            }
        }
        Ok(())
    }
}
