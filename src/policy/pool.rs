// SPDX-License-Identifier: GPL-2.0

//! The counters of one hstate, and the rules by which a page changes them.
//!
//! Mirrors the counters of `struct hstate`, `remove_hugetlb_folio`, `add_hugetlb_folio`,
//! `adjust_pool_surplus` and the end of `free_huge_folio` (mm/hugetlb.c). The shell keeps one of
//! these beside the free lists, under the same lock: a list holds exactly as many pages as the
//! counter here says.
//!
//! # Invariants
//!
//! Whenever the lock is free, for the totals and for each node: `free ≤ nr`, `surplus ≤ nr`; and
//! the totals are the sums over the nodes. [`Pool::check`] says whether they hold.

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet, Rotation};

/// The pages of a pool, or of one node of it. In huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All pages, surplus ones included.
    pub nr: PageCount,
    /// Pages in no file.
    pub free: PageCount,
    /// Pages beyond the persistent size; they go back to the page allocator when they are freed.
    pub surplus: PageCount,
}

impl Counts {
    /// The pages the pool keeps (`persistent_huge_pages`).
    pub const fn persistent(&self) -> PageCount {
        self.nr.minus(self.surplus)
    }
}

/// What becomes of a page that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// It is a free page of the pool now.
    Keep,
    /// It was surplus: give it back to the page allocator.
    GiveBack,
}

/// The counters of a pool. `N` is a table of per-node counts that the shell allocates.
#[derive(Debug)]
pub struct Pool<N> {
    total: Counts,
    nodes: N,
    /// Where the next page is taken from the page allocator (`next_nid_to_alloc`).
    pub(super) to_alloc: Rotation,
    /// Where the next page is given back (`next_nid_to_free`).
    pub(super) to_free: Rotation,
}

impl<N: DerefMut<Target = [Counts]>> Pool<N> {
    /// An empty pool over `nodes`, a table with one zeroed entry for each possible node; rotations
    /// begin at `first`.
    pub fn new(nodes: N, first: NodeId) -> Self {
        Self {
            total: Counts::default(),
            nodes,
            to_alloc: Rotation::starting_at(first),
            to_free: Rotation::starting_at(first),
        }
    }

    /// The totals.
    pub fn total(&self) -> Counts {
        self.total
    }

    /// One node's counts; zero for a node that the table does not have.
    pub fn on(&self, node: NodeId) -> Counts {
        self.nodes.get(node.index()).copied().unwrap_or_default()
    }

    /// A page from the page allocator joins as a free one. False if the table has no such node.
    #[must_use]
    pub fn add(&mut self, node: NodeId) -> bool {
        self.update(node, |counts| {
            counts.nr = counts.nr.plus(PageCount::ONE);
            counts.free = counts.free.plus(PageCount::ONE);
        })
    }

    /// A free page of `node` gets a user. False if there is none.
    #[must_use]
    pub fn take(&mut self, node: NodeId) -> bool {
        !self.on(node).free.is_zero()
            && self.update(node, |counts| {
                counts.free = counts.free.minus(PageCount::ONE);
            })
    }

    /// A page of `node` lost its last user.
    pub fn put(&mut self, node: NodeId) -> Fate {
        if self.on(node).surplus.is_zero() {
            self.update(node, |counts| {
                counts.free = counts.free.plus(PageCount::ONE);
            });
            return Fate::Keep;
        }
        self.update(node, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.surplus = counts.surplus.minus(PageCount::ONE);
        });
        Fate::GiveBack
    }

    /// Takes one free page out of the pool, from the next of `allowed` that has any, and says
    /// where.
    pub(super) fn remove_free(&mut self, allowed: &NodeSet) -> Option<NodeId> {
        let mut rotation = self.to_free;
        let node = rotation.find(allowed, |node| !self.on(node).free.is_zero());
        self.to_free = rotation;
        let node = node?;
        self.update(node, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.free = counts.free.minus(PageCount::ONE);
        })
        .then_some(node)
    }

    /// Makes a surplus page of `allowed` a persistent one. False if there is none.
    pub(super) fn surplus_to_persistent(&mut self, allowed: &NodeSet) -> bool {
        let mut rotation = self.to_alloc;
        let node = rotation.find(allowed, |node| !self.on(node).surplus.is_zero());
        self.to_alloc = rotation;
        node.is_some_and(|node| {
            self.update(node, |counts| {
                counts.surplus = counts.surplus.minus(PageCount::ONE);
            })
        })
    }

    /// Makes a persistent page of `allowed` a surplus one. False if there is none.
    pub(super) fn persistent_to_surplus(&mut self, allowed: &NodeSet) -> bool {
        let mut rotation = self.to_free;
        let node = rotation.find(allowed, |node| !self.on(node).persistent().is_zero());
        self.to_free = rotation;
        node.is_some_and(|node| {
            self.update(node, |counts| {
                counts.surplus = counts.surplus.plus(PageCount::ONE);
            })
        })
    }

    /// Whether the invariants hold.
    pub fn check(&self) -> bool {
        let mut sum = Counts::default();
        for counts in self.nodes.iter() {
            if counts.free > counts.nr || counts.surplus > counts.nr {
                return false;
            }
            sum.nr = sum.nr.plus(counts.nr);
            sum.free = sum.free.plus(counts.free);
            sum.surplus = sum.surplus.plus(counts.surplus);
        }
        sum == self.total
    }

    /// Changes a node's counts and the totals alike.
    fn update(&mut self, node: NodeId, change: impl Fn(&mut Counts)) -> bool {
        let Some(counts) = self.nodes.get_mut(node.index()) else {
            return false;
        };
        change(counts);
        change(&mut self.total);
        true
    }
}
