// SPDX-License-Identifier: GPL-2.0

//! A naive hugetlb pool: each page is an object in a list, nothing is counted that can be looked
//! up.
//!
//! Follows `set_max_huge_pages`, `adjust_pool_surplus`, `alloc_pool_huge_folio`,
//! `remove_pool_hugetlb_folio` and `free_huge_folio` of mm/hugetlb.c line by line, never the code
//! under test, but for what the module does otherwise on purpose:
//!
//! - a page that a resize got joins the pool at once, not when all are there;
//! - the lock is dropped after each page given back, not after all of them, so how many may go is
//!   found out again for each;
//! - a signal counts after each page asked for, also after one that was not to be had.

use std::collections::BTreeSet;

use crate::world::{Freed, Resizable, Row, Scope, Users, World};

/// A page, told apart by a number that is never used again.
#[derive(Debug, PartialEq, Eq)]
struct Page(usize);

#[derive(Debug, Default)]
struct Node {
    free: Vec<Page>,
    used: Vec<Page>,
    surplus: usize,
}

impl Node {
    fn nr(&self) -> usize {
        self.free.len() + self.used.len()
    }
}

/// The pool of an hstate.
#[derive(Debug)]
pub(crate) struct Model {
    nodes: Vec<Node>,
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
            surplus: *surplus,
        };
        Self {
            nodes: rows.iter().map(&mut node).collect(),
            next_nid_to_alloc: first,
            next_nid_to_free: first,
            pages_made,
        }
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

    fn surplus(&self) -> usize {
        self.nodes.iter().map(|node| node.surplus).sum()
    }

    /// `persistent_huge_pages`.
    fn persistent(&self) -> usize {
        let nr: usize = self.nodes.iter().map(Node::nr).sum();
        nr - self.surplus()
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

    /// `remove_pool_hugetlb_folio`, without `acct_surplus`.
    fn remove(&mut self, allowed: &[usize]) -> Option<usize> {
        for _ in allowed {
            let node = self.node_to_free(allowed);
            if self.nodes[node].free.pop().is_some() {
                return Some(node);
            }
        }
        None
    }

    /// `alloc_pool_huge_folio`: false once each node was asked in vain, or on a signal.
    fn grow_by_one(
        &mut self,
        allowed: &[usize],
        noretry: &mut BTreeSet<usize>,
        world: &mut dyn World,
    ) -> bool {
        for _ in allowed {
            let node = self.node_to_alloc(allowed);
            let hard = !noretry.contains(&node);
            world.meanwhile(self);
            let got = world.alloc(node, hard);
            if got {
                self.pages_made += 1;
                self.nodes[node].free.push(Page(self.pages_made));
            }
            if got && !hard {
                noretry.remove(&node);
            }
            if !got && hard {
                noretry.insert(node);
            }
            let stop = world.interrupted();
            world.meanwhile(self);
            if stop {
                return false;
            }
            if got {
                return true;
            }
        }
        false
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
        count.max(self.persistent() - persistent_free)
    }
}

impl Users for Model {
    fn take(&mut self, node: usize) -> bool {
        let node = &mut self.nodes[node];
        match node.free.pop() {
            Some(page) => {
                node.used.push(page);
                true
            }
            None => false,
        }
    }

    /// `free_huge_folio`.
    fn put(&mut self, node: usize) -> Option<Freed> {
        let node = &mut self.nodes[node];
        let page = node.used.pop()?;
        if node.surplus > 0 {
            node.surplus -= 1;
            return Some(Freed::GivenBack);
        }
        node.free.push(page);
        Some(Freed::Kept)
    }

    fn rows(&self) -> Vec<Row> {
        let row = |node: &Node| [node.nr(), node.free.len(), node.surplus];
        self.nodes.iter().map(row).collect()
    }
}

impl Resizable for Model {
    /// `set_max_huge_pages`.
    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World) {
        let allowed = scope.nodes();
        let mut target = count;
        if let Scope::Node(node) = scope {
            let here = self.nodes[*node].nr() - self.nodes[*node].surplus;
            target = count.saturating_add(self.persistent() - here);
        }
        world.meanwhile(self);

        while self.surplus() > 0 && target > self.persistent() {
            if !self.lower_surplus(&allowed) {
                break;
            }
        }
        let mut noretry = BTreeSet::new();
        while target > self.persistent() {
            if !self.grow_by_one(&allowed, &mut noretry, world) {
                return;
            }
        }
        while self.min_count(target) < self.persistent() {
            let Some(node) = self.remove(&allowed) else {
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
}
