// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the module's shell (`src/pool.rs`): keeps the lists of pages that policy's
//! counters speak of, and does what policy says (see `job`).

use std::fmt;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::pool::{Claim, Counts, Fate, Pool};

use crate::forged::{self, Forged};
use crate::job::{Job, Reservation, Resizing, Unreservation};
use crate::world::{Counters, Freed, Hugetlb, Row, Scope, World};

/// More steps than a job takes in any world here.
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
pub(crate) fn sum(rows: &[Row]) -> Row {
    rows.iter().fold([0; 3], |[nr, free, surplus], row| {
        [nr + row[0], free + row[1], surplus + row[2]]
    })
}

/// A page, told apart by a number that is never used again.
#[derive(Debug)]
pub(crate) struct Page {
    #[expect(dead_code, reason = "for whoever reads a failure")]
    number: usize,
    pub(crate) node: NodeId,
}

/// The module's pool, without a kernel.
pub(crate) struct Shell {
    pub(crate) counts: Pool<Forged>,
    free: Vec<Vec<Page>>,
    used: Vec<Vec<Page>>,
    /// How many pages reservations under way hold.
    held: Vec<usize>,
    pages_made: usize,
}

impl Shell {
    /// An empty pool with `nodes` possible nodes.
    pub(crate) fn new(nodes: usize, first: usize) -> Self {
        Self::with(&vec![[0; 3]; nodes], first)
    }

    /// A pool with these pages.
    pub(crate) fn with(rows: &[Row], first: usize) -> Self {
        let mut shell = Self {
            counts: forged::pool(sum(rows), rows, id(first)),
            free: Vec::new(),
            used: Vec::new(),
            held: vec![0; rows.len()],
            pages_made: 0,
        };
        for (node, [nr, free, _]) in rows.iter().enumerate() {
            let mut list = |pages| Vec::from_iter((0..pages).map(|_| shell.make(id(node))));
            let (free, used) = (list(*free), list(nr - free));
            shell.free.push(free);
            shell.used.push(used);
        }
        shell
    }

    /// What must hold whenever the lock is free.
    pub(crate) fn check(&self) {
        assert!(self.counts.check(), "{self:?}");
        for node in 0..self.free.len() {
            let [nr_here, free_here, _] = row(self.counts.on(id(node)));
            let (free, used) = (self.free[node].len(), self.used[node].len());
            assert_eq!(free_here, free, "free pages of node {node}: {self:?}");
            assert_eq!(
                nr_here,
                free + used + self.held[node],
                "pages of node {node}: {self:?}"
            );
        }
        let Counters { rows, resv, .. } = self.counters();
        assert_eq!(self.total(), sum(&rows), "{self:?}");
        let [nr, free, surplus] = self.total();
        assert!(resv <= free && surplus <= nr, "{self:?}");
    }

    /// All persistent pages.
    pub(crate) fn persistent(&self) -> usize {
        self.counts.total().persistent().get()
    }

    /// The persistent pages of these nodes: below zero if there is more surplus than pages.
    pub(crate) fn persistent_on(&self, nodes: &[usize]) -> isize {
        let rows = nodes.iter().map(|node| row(self.counts.on(id(*node))));
        let here = |[nr, _, surplus]: Row| nr as isize - surplus as isize;
        rows.map(here).sum()
    }

    /// The totals.
    pub(crate) fn total(&self) -> Row {
        row(self.counts.total())
    }

    /// The counters of each node.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let nodes = 0..self.free.len();
        nodes.map(|node| row(self.counts.on(id(node)))).collect()
    }

    /// How many pages of `node` have users.
    pub(crate) fn used(&self, node: usize) -> usize {
        self.used[node].len()
    }

    /// A page of `node`, fresh from the page allocator.
    pub(crate) fn make(&mut self, node: NodeId) -> Page {
        self.pages_made += 1;
        Page {
            number: self.pages_made,
            node,
        }
    }

    /// Puts a page on its free list.
    pub(crate) fn list(&mut self, page: Page) {
        self.free[page.node.index()].push(page);
    }

    /// Takes a page off its free list that the counters no longer have.
    pub(crate) fn pop_removed(&mut self, node: NodeId) -> Page {
        let page = self.free[node.index()].pop();
        page.expect("a free page where policy says there is one")
    }

    /// A page of `node`, fresh from the page allocator, gets a user as a surplus page. If it may not,
    /// it goes back.
    pub(crate) fn join_surplus(
        &mut self,
        node: usize,
        claim: Claim,
        world: &mut dyn World,
    ) -> bool {
        let joined = self.counts.take_surplus(id(node), claim);
        if joined {
            let page = self.make(id(node));
            self.used[node].push(page);
        } else {
            world.give_back(node);
        }
        joined
    }

    /// A reservation under way begins to hold a page of `node`.
    pub(crate) fn hold(&mut self, node: NodeId) -> Page {
        self.held[node.index()] += 1;
        self.make(node)
    }

    /// A reservation under way no longer holds the page.
    pub(crate) fn let_go(&mut self, page: &Page) {
        self.held[page.node.index()] -= 1;
    }

    /// Promises `count` of the available pages.
    pub(crate) fn promise(&mut self, count: usize) {
        let nodes = self.free.len();
        let all = Vec::from_iter(0..nodes);
        assert!(self.reserve(count, &all, &mut crate::world::Plenty { nodes }));
    }

    /// Another user's turn.
    fn meanwhile(&mut self, world: &mut dyn World) {
        self.check();
        world.meanwhile(self);
        self.check();
    }

    /// Does one step after the other, and lets others in before each.
    fn run<J: Job>(&mut self, job: &mut J, world: &mut dyn World) -> bool {
        for _ in 0..MANY {
            self.meanwhile(world);
            if let Some(result) = job.step(self, world) {
                self.check();
                return result;
            }
        }
        panic!("no end of steps: {self:?}");
    }
}

impl Hugetlb for Shell {
    fn take(&mut self, node: usize, claim: Claim) -> bool {
        let taken = self.counts.take(id(node), claim);
        if taken {
            let page = self.free[node].pop().expect("a counted page on its list");
            self.used[node].push(page);
        }
        taken
    }

    fn take_surplus(
        &mut self,
        nodes: &[usize],
        claim: Claim,
        world: &mut dyn World,
    ) -> Option<usize> {
        if !self.counts.may_overcommit() {
            return None;
        }
        self.meanwhile(world);
        let node = world.alloc_near(nodes)?;
        self.meanwhile(world);
        self.join_surplus(node, claim, world).then_some(node)
    }

    fn put(&mut self, node: usize) -> Option<Freed> {
        let page = self.used[node].pop()?;
        match self.counts.put(id(node)) {
            Fate::Keep => {
                self.list(page);
                Some(Freed::Kept)
            }
            Fate::GiveBack => Some(Freed::GivenBack),
        }
    }

    fn unuse(&mut self, node: usize) -> bool {
        let Some(page) = self.used[node].pop() else {
            return false;
        };
        self.counts.unuse_reserved(id(node));
        self.list(page);
        true
    }

    fn set_overcommit(&mut self, limit: usize) {
        self.counts.set_overcommit(PageCount::new(limit));
    }

    fn reserve(&mut self, count: usize, nodes: &[usize], world: &mut dyn World) -> bool {
        self.run(&mut Reservation::new(count, nodes), world)
    }

    fn unreserve(&mut self, count: usize, world: &mut dyn World) {
        let memory = world.memory_nodes();
        self.run(&mut Unreservation::new(count, &memory), world);
    }

    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World) {
        let mut job = Resizing::new(count, scope, self);
        self.run(&mut job, world);
        // Done is for good.
        let counters = self.counters();
        assert!(job.step(self, world).is_some());
        assert_eq!(self.counters(), counters);
    }

    fn counters(&self) -> Counters {
        Counters {
            rows: self.rows(),
            resv: self.counts.resv().get(),
            overcommit: self.counts.overcommit().get(),
        }
    }
}

/// The nodes that have anything.
impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters {
            rows,
            resv,
            overcommit,
        } = self.counters();
        let total = self.total();
        write!(f, "total {total:?} resv {resv} overcommit {overcommit}")?;
        for (node, row) in rows.iter().enumerate() {
            let (free, used, held) = (&self.free[node], &self.used[node], self.held[node]);
            if *row != [0; 3] || !free.is_empty() || !used.is_empty() || held != 0 {
                write!(
                    f,
                    ", node {node} {row:?} free {free:?} used {used:?} held {held}"
                )?;
            }
        }
        Ok(())
    }
}
