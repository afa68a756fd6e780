// SPDX-License-Identifier: GPL-2.0

//! Growing and shrinking a pool, one step at a time.
//!
//! Mirrors `set_max_huge_pages`, `alloc_pool_huge_folio` and `alloc_buddy_frozen_folio`
//! (mm/hugetlb.c). The shell drives it:
//!
//! 1. under the pool's lock: [`Resize::next`];
//! 2. [`Step::Alloc`]: drop the lock, ask the page allocator, take the lock, report with
//!    [`Resize::allocated`] or [`Resize::failed`]; [`Step::GiveBack`]: take a page of that node
//!    off the free list, drop the lock, give it back; [`Step::Done`]: stop;
//! 3. again from 1.
//!
//! Others may take and free pages between two steps: each step decides from the counters as they
//! are then. One difference to hugetlb: a page counts as soon as it is there, not at the end.

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet};
use super::pool::{Counts, Pool};

/// What the shell has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Ask the page allocator for a page on this node and no other.
    Alloc {
        /// The node.
        node: NodeId,
        /// Whether to try hard (reclaim and compact at length): not on a node that has failed.
        hard: bool,
    },
    /// Take a free page of this node off its list and give it back to the page allocator; the
    /// counters know already.
    GiveBack {
        /// The node.
        node: NodeId,
    },
    /// There is nothing left to do.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Grow,
    Shrink,
    Done,
}

/// A resize under way.
#[derive(Debug)]
pub struct Resize {
    /// The persistent pages to end with, over all nodes.
    target: PageCount,
    allowed: NodeSet,
    phase: Phase,
    /// Nodes still to ask for the page at hand before giving up.
    nodes_left: usize,
    /// Nodes on which trying hard has failed.
    failed: NodeSet,
}

impl Resize {
    /// A resize of the whole pool to `count` persistent pages, by pages of the nodes in `allowed`.
    pub fn to_total(count: PageCount, allowed: NodeSet) -> Self {
        Self {
            target: count,
            nodes_left: allowed.len(),
            allowed,
            phase: Phase::Grow,
            failed: NodeSet::EMPTY,
        }
    }

    /// A resize of one node to `count` persistent pages; the other nodes keep theirs.
    pub fn to_node<N>(count: PageCount, node: NodeId, pool: &Pool<N>) -> Self
    where
        N: DerefMut<Target = [Counts]>,
    {
        // A node can have more surplus pages than pages, so neither is to be taken away first.
        let on = pool.on(node);
        let total = count
            .plus(pool.total().persistent())
            .plus(on.surplus)
            .minus(on.nr);
        Self::to_total(total, NodeSet::only(node))
    }

    /// Decides the next step from the counters as they are now.
    pub fn next<N>(&mut self, pool: &mut Pool<N>) -> Step
    where
        N: DerefMut<Target = [Counts]>,
    {
        if self.phase == Phase::Grow {
            while self.target > pool.total().persistent()
                && !pool.total().surplus.is_zero()
                && pool.surplus_to_persistent(&self.allowed)
            {}
            if self.target > pool.total().persistent() {
                if let Some(node) = self.next_to_ask(pool) {
                    return Step::Alloc {
                        node,
                        hard: !self.failed.contains(node),
                    };
                }
                self.phase = Phase::Done;
            } else {
                self.phase = Phase::Shrink;
            }
        }
        if self.phase == Phase::Shrink {
            if self.lowest(pool) < pool.total().persistent() {
                if let Some(node) = pool.remove_free(&self.allowed) {
                    return Step::GiveBack { node };
                }
            }
            while self.target < pool.total().persistent()
                && pool.persistent_to_surplus(&self.allowed)
            {}
            self.phase = Phase::Done;
        }
        Step::Done
    }

    /// The page allocator gave a page of `node`: it is a free page of the pool now. False if the
    /// pool has no such node; then the caller keeps the page.
    #[must_use]
    pub fn allocated<N>(&mut self, node: NodeId, pool: &mut Pool<N>) -> bool
    where
        N: DerefMut<Target = [Counts]>,
    {
        let added = pool.add(node);
        if added {
            self.failed.remove(node);
            self.nodes_left = self.allowed.len();
        }
        added
    }

    /// The page allocator had no page on `node`.
    pub fn failed(&mut self, node: NodeId) {
        self.failed.insert(node);
    }

    /// Somebody wants the caller to stop (a signal): no further step, what was got stays.
    pub fn interrupt(&mut self) {
        self.phase = Phase::Done;
    }

    /// The next node to ask for the page at hand; none once each was asked in vain.
    fn next_to_ask<N>(&mut self, pool: &mut Pool<N>) -> Option<NodeId> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        pool.to_alloc.turn(&self.allowed)
    }

    /// How far free pages may be given back: `min_count` of set_max_huge_pages.
    fn lowest<N>(&self, pool: &Pool<N>) -> PageCount
    where
        N: DerefMut<Target = [Counts]>,
    {
        let total = pool.total();
        // Free surplus pages are not persistent ones; do not subtract them twice.
        let persistent_free = if total.free > total.persistent() {
            total.free.minus(total.surplus)
        } else {
            total.free
        };
        let busy = total.persistent().minus(persistent_free);
        self.target.max(busy.plus(pool.resv()))
    }
}
