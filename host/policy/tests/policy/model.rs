// SPDX-License-Identifier: GPL-2.0

//! A naive hugetlb pool: each page is an object in a list, nothing is counted that can be looked
//! up.
//!
//! Follows mm/hugetlb.c line by line, never the code under test, but for what the module does
//! otherwise on purpose (see the `DEVIATIONS.md` of the project for what of it users can see):
//!
//! - a count for a node is a number: hugetlb's wraps if that node has more surplus than pages, or the
//!   others together do;
//! - a page that goes back unused with its reservation stays even if its node has surplus (hugetlb
//!   gives it to the page allocator, and more is promised than is free);
//! - the lock is dropped after each page, and all is decided anew: a page that a resize got joins
//!   the pool at once, how many may go is found out again for each, a growing pool makes use of
//!   surplus that appears meanwhile (which can make it ask a node twice before it has asked all, and
//!   then it asks on), a reservation asks for no more than is missing by now; its
//!   surplus pages join one by one, the oldest first, each with its promise; and promises that end
//!   do so one by one, as long as there is surplus.

use std::collections::{BTreeSet, VecDeque};

use rust_hugetlb::policy::pool::Claim;

use crate::world::{Counters, Freed, Hugetlb, Row, Scope, World};

/// A page, told apart by a number that is never used again.
#[derive(Debug, PartialEq, Eq)]
struct Page(usize);

#[derive(Debug, Default)]
struct Node {
    free: Vec<Page>,
    used: Vec<Page>,
    /// Of reservations under way: in neither list.
    held: VecDeque<Page>,
    surplus: usize,
}

impl Node {
    fn nr(&self) -> usize {
        self.free.len() + self.used.len() + self.held.len()
    }

    /// Below zero if free pages went while all were surplus.
    fn persistent(&self) -> i128 {
        self.nr() as i128 - self.surplus as i128
    }
}

/// The pool of an hstate.
#[derive(Debug)]
pub(crate) struct Model {
    nodes: Vec<Node>,
    resv_huge_pages: usize,
    nr_overcommit_huge_pages: usize,
    next_nid_to_alloc: usize,
    next_nid_to_free: usize,
    pages_made: usize,
}

/// `next_node_in`.
fn next_node_in(nid: usize, allowed: &[usize]) -> usize {
    let above = allowed.iter().find(|node| **node > nid);
    *above.unwrap_or(&allowed[0])
}

/// `hstate_next_node_to_alloc` and `hstate_next_node_to_free`: the node and the one after it.
fn this_and_next(next: usize, allowed: &[usize]) -> (usize, usize) {
    let this = if allowed.contains(&next) {
        next
    } else {
        next_node_in(next, allowed)
    };
    (this, next_node_in(this, allowed))
}

impl Model {
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
        let mut node = |[nr, free, surplus]: &Row| Node {
            free: list(*free),
            used: list(nr - free),
            held: VecDeque::new(),
            surplus: *surplus,
        };
        Self {
            nodes: rows.iter().map(&mut node).collect(),
            resv_huge_pages: 0,
            nr_overcommit_huge_pages: 0,
            next_nid_to_alloc: first,
            next_nid_to_free: first,
            pages_made,
        }
    }

    fn page(&mut self) -> Page {
        self.pages_made += 1;
        Page(self.pages_made)
    }

    fn node_to_alloc(&mut self, allowed: &[usize]) -> usize {
        let (this, next) = this_and_next(self.next_nid_to_alloc, allowed);
        self.next_nid_to_alloc = next;
        this
    }

    fn node_to_free(&mut self, allowed: &[usize]) -> usize {
        let (this, next) = this_and_next(self.next_nid_to_free, allowed);
        self.next_nid_to_free = next;
        this
    }

    fn free(&self) -> usize {
        self.nodes.iter().map(|node| node.free.len()).sum()
    }

    /// `surplus_huge_pages`.
    pub(crate) fn surplus(&self) -> usize {
        self.nodes.iter().map(|node| node.surplus).sum()
    }

    /// `persistent_huge_pages`.
    fn persistent(&self) -> usize {
        let nr: usize = self.nodes.iter().map(Node::nr).sum();
        nr - self.surplus()
    }

    /// `available_huge_pages`.
    fn available(&self) -> usize {
        self.free() - self.resv_huge_pages
    }

    /// `adjust_pool_surplus` with delta -1.
    fn lower_surplus(&mut self, allowed: &[usize]) -> bool {
        for _ in allowed {
            let node = self.node_to_alloc(allowed);
            if self.nodes[node].surplus > 0 {
                self.nodes[node].surplus -= 1;
                return true;
            }
        }
        false
    }

    /// `adjust_pool_surplus` with delta 1.
    fn raise_surplus(&mut self, allowed: &[usize]) -> bool {
        for _ in allowed {
            let node = self.node_to_free(allowed);
            if self.nodes[node].surplus < self.nodes[node].nr() {
                self.nodes[node].surplus += 1;
                return true;
            }
        }
        false
    }

    /// `remove_pool_hugetlb_folio`.
    fn remove(&mut self, allowed: &[usize], acct_surplus: bool) -> Option<usize> {
        for _ in allowed {
            let nid = self.node_to_free(allowed);
            let node = &mut self.nodes[nid];
            if (!acct_surplus || node.surplus > 0) && node.free.pop().is_some() {
                node.surplus -= usize::from(acct_surplus);
                return Some(nid);
            }
        }
        None
    }

    /// `set_max_huge_pages` as far as the pool grows. False: it ends there.
    fn grow(&mut self, target: usize, allowed: &[usize], world: &mut dyn World) -> bool {
        let mut noretry = BTreeSet::new();
        let mut asked_in_vain = BTreeSet::new();
        loop {
            while self.surplus() > 0 && target > self.persistent() {
                if !self.lower_surplus(allowed) {
                    break;
                }
            }
            if target <= self.persistent() {
                return true;
            }
            // `alloc_pool_huge_folio`.
            if asked_in_vain.len() == allowed.len() {
                return false;
            }
            let node = self.node_to_alloc(allowed);
            let hard = !noretry.contains(&node);
            world.meanwhile(self);
            let got = world.alloc(node, hard);
            if got {
                asked_in_vain.clear();
                let page = self.page();
                self.nodes[node].free.push(page);
            }
            if got && !hard {
                noretry.remove(&node);
            }
            if !got {
                asked_in_vain.insert(node);
            }
            if !got && hard {
                noretry.insert(node);
            }
            let stop = got && world.interrupted();
            world.meanwhile(self);
            if stop {
                return false;
            }
        }
    }

    /// `min_count` of set_max_huge_pages.
    fn min_count(&self, count: usize) -> usize {
        let mut persistent_free = self.free();
        if self.free() > self.persistent() {
            if self.free() > self.surplus() {
                persistent_free -= self.surplus();
            } else {
                persistent_free = 0;
            }
        }
        count.max(self.resv_huge_pages + self.persistent() - persistent_free)
    }

    /// `gather_surplus_pages`: nodes of the pages held, how many of them are needed. None: too few.
    fn gather(
        &mut self,
        delta: usize,
        nodes: &[usize],
        held: &mut VecDeque<usize>,
        world: &mut dyn World,
    ) -> Option<usize> {
        let mut alloc_ok = true;
        while self.resv_huge_pages + delta > self.free() + held.len() {
            // The first check of `alloc_surplus_hugetlb_folio`.
            if !alloc_ok || self.surplus() >= self.nr_overcommit_huge_pages {
                return None;
            }
            world.meanwhile(self);
            let node = world.alloc_near(nodes);
            // "We could have raced with the pool size change."
            let too_many = self.surplus() >= self.nr_overcommit_huge_pages;
            match node {
                None => alloc_ok = false,
                Some(node) if too_many => {
                    world.give_back(node);
                    alloc_ok = false;
                }
                Some(node) => {
                    let page = self.page();
                    self.nodes[node].held.push_back(page);
                    self.nodes[node].surplus += 1;
                    held.push_back(node);
                }
            }
            world.meanwhile(self);
        }
        Some((self.resv_huge_pages + delta).saturating_sub(self.free()))
    }

    /// `free_huge_folio`.
    fn free_page(&mut self, node: usize, page: Page) -> Freed {
        let node = &mut self.nodes[node];
        if node.surplus > 0 {
            node.surplus -= 1;
            return Freed::GivenBack;
        }
        node.free.push(page);
        Freed::Kept
    }
}

impl Hugetlb for Model {
    /// `dequeue_hugetlb_folio_node_exact`, where `hugetlb_alloc_folio` calls it.
    fn take(&mut self, node: usize, claim: Claim) -> bool {
        if claim == Claim::Unreserved && self.available() == 0 {
            return false;
        }
        let node = &mut self.nodes[node];
        let Some(page) = node.free.pop() else {
            return false;
        };
        node.used.push(page);
        if claim == Claim::Reserved {
            self.resv_huge_pages -= 1;
        }
        true
    }

    /// `alloc_surplus_hugetlb_folio` and the rest of `hugetlb_alloc_folio`.
    fn take_surplus(
        &mut self,
        nodes: &[usize],
        claim: Claim,
        world: &mut dyn World,
    ) -> Option<usize> {
        if self.surplus() >= self.nr_overcommit_huge_pages {
            return None;
        }
        world.meanwhile(self);
        let node = world.alloc_near(nodes)?;
        world.meanwhile(self);
        if self.surplus() >= self.nr_overcommit_huge_pages {
            world.give_back(node);
            return None;
        }
        let page = self.page();
        self.nodes[node].used.push(page);
        self.nodes[node].surplus += 1;
        if claim == Claim::Reserved {
            self.resv_huge_pages -= 1;
        }
        Some(node)
    }

    fn put(&mut self, node: usize) -> Option<Freed> {
        let page = self.nodes[node].used.pop()?;
        Some(self.free_page(node, page))
    }

    fn unuse(&mut self, node: usize) -> bool {
        let node = &mut self.nodes[node];
        let Some(page) = node.used.pop() else {
            return false;
        };
        node.free.push(page);
        self.resv_huge_pages += 1;
        true
    }

    fn set_overcommit(&mut self, limit: usize) {
        self.nr_overcommit_huge_pages = limit;
    }

    /// `hugetlb_acct_memory` with delta > 0.
    fn reserve(&mut self, delta: usize, nodes: &[usize], world: &mut dyn World) -> bool {
        world.meanwhile(self);
        let mut held = VecDeque::new();
        let needed = self.gather(delta, nodes, &mut held, world);
        if let Some(needed) = needed {
            self.resv_huge_pages += delta - needed;
        }
        for _ in 0..needed.unwrap_or(0) {
            let node = held.pop_front().expect("as many as needed");
            let page = self.nodes[node].held.pop_front().expect("of this node");
            self.nodes[node].free.push(page);
            self.resv_huge_pages += 1;
            world.meanwhile(self);
        }
        for node in held {
            let page = self.nodes[node].held.pop_front().expect("of this node");
            if self.free_page(node, page) == Freed::GivenBack {
                world.give_back(node);
            }
            world.meanwhile(self);
        }
        if needed.is_none() {
            return false;
        }
        world.meanwhile(self);
        // `allowed_mems_nr`.
        let allowed: usize = nodes.iter().map(|node| self.nodes[*node].free.len()).sum();
        if delta > allowed {
            self.unreserve(delta, world);
            return false;
        }
        true
    }

    /// `return_unused_surplus_pages`.
    fn unreserve(&mut self, unused_resv_pages: usize, world: &mut dyn World) {
        let mut left = unused_resv_pages;
        world.meanwhile(self);
        while left > 0 && self.surplus() > 0 {
            self.resv_huge_pages -= 1;
            left -= 1;
            let Some(node) = self.remove(&world.memory_nodes(), true) else {
                break;
            };
            world.give_back(node);
            world.meanwhile(self);
        }
        self.resv_huge_pages -= left;
    }

    /// `set_max_huge_pages`.
    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World) {
        let allowed = scope.nodes();
        let mut target = count;
        if let Scope::Node(node) = scope {
            let elsewhere = self.persistent() as i128 - self.nodes[*node].persistent();
            let total = (count as i128 + elsewhere).max(0);
            target = usize::try_from(total).unwrap_or(usize::MAX);
        }
        world.meanwhile(self);
        if !self.grow(target, &allowed, world) {
            return;
        }
        while self.min_count(target) < self.persistent() {
            let Some(node) = self.remove(&allowed, false) else {
                break;
            };
            world.give_back(node);
            world.meanwhile(self);
        }
        while target < self.persistent() {
            if !self.raise_surplus(&allowed) {
                break;
            }
        }
    }

    fn counters(&self) -> Counters {
        let row = |node: &Node| [node.nr(), node.free.len(), node.surplus];
        Counters {
            rows: self.nodes.iter().map(row).collect(),
            resv: self.resv_huge_pages,
            overcommit: self.nr_overcommit_huge_pages,
        }
    }
}
