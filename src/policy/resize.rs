// SPDX-License-Identifier: GPL-2.0

//! Growing and shrinking a pool, one step at a time.
//!
//! Mirrors `set_max_huge_pages`, `alloc_pool_huge_folio` and `alloc_buddy_frozen_folio`
//! (mm/hugetlb.c). The shell drives it:
//!
//! 1. under the pool's lock: [`Resize::next`];
//! 2. [`Step::Alloc`]: drop the lock, ask the page allocator, take the lock, report with
//!    [`Resize::allocated`] or [`Resize::failed`]; [`Step::GiveBack`]: take a page of that node
//!    off the free list, drop the lock, give it back; [`Step::Wait`]: drop the lock, wait for those
//!    who help; [`Step::Done`]: stop;
//! 3. again from 1.
//!
//! Others may help to grow: they do the same with [`Resize::ask`] in the place of `next`, for as long
//! as there is something to ask for. Nodes are asked in the same order as by one alone, and no more
//! often.
//!
//! Others may take and free pages between two steps: each step decides from the counters as they
//! are then. One difference to hugetlb: a page counts as soon as it is there, not at the end.

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet};
use super::pool::{Counts, Pool};
use super::size::HugeSize;

/// How many CPUs help to grow, at most: a few are as fast as memory is.
const HELPERS: usize = 3;
/// Pages for each of them, at least: one who helps has to be woken, and waited for.
const SHARE: usize = 16;

/// What the shell has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Ask the page allocator for a page.
    Alloc(Ask),
    /// Take a free page of this node off its list and give it back to the page allocator; the
    /// counters know already.
    GiveBack {
        /// The node.
        node: NodeId,
    },
    /// Wait until those who help have reported what they got: whether it suffices is not known before.
    /// They are told that there is nothing more to ask for, until the next step.
    Wait,
    /// There is nothing left to do.
    Done,
}

/// A page to ask the page allocator for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ask {
    /// On this node and no other.
    pub node: NodeId,
    /// Whether to try hard (reclaim and compact at length): not on a node that has failed.
    pub hard: bool,
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
    /// Nodes that were asked in vain since there was a page: with all of them it is given up.
    in_vain: NodeSet,
    /// Nodes on which trying hard has failed.
    failed: NodeSet,
    /// Pages that somebody asks for at the moment.
    asked: PageCount,
    /// Those who help are waited for: they begin nothing new, so that it does not take long.
    draining: bool,
}

impl Resize {
    /// A resize of the whole pool to `count` persistent pages, by pages of the nodes in `allowed`.
    pub fn to_total(count: PageCount, allowed: NodeSet) -> Self {
        Self {
            target: count,
            allowed,
            in_vain: NodeSet::EMPTY,
            phase: Phase::Grow,
            failed: NodeSet::EMPTY,
            asked: PageCount::ZERO,
            draining: false,
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
        self.draining = false;
        if self.phase == Phase::Grow {
            if let Some(ask) = self.ask(pool) {
                return Step::Alloc(ask);
            }
            if !self.asked.is_zero() {
                self.draining = true;
                return Step::Wait;
            }
            self.phase = if self.is_short(pool) {
                Phase::Done
            } else {
                Phase::Shrink
            };
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

    /// A page to ask the page allocator for, beside those that are being asked for, once no surplus
    /// page can be made persistent instead. None: there is none to ask for now.
    pub fn ask<N>(&mut self, pool: &mut Pool<N>) -> Option<Ask>
    where
        N: DerefMut<Target = [Counts]>,
    {
        if self.phase != Phase::Grow || self.draining {
            return None;
        }
        // Whoever comes first, so that the nodes' turns are as they are for one alone.
        while self.is_short(pool)
            && !pool.total().surplus.is_zero()
            && pool.surplus_to_persistent(&self.allowed)
        {}
        if !self.is_short(pool) || self.in_vain == self.allowed {
            return None;
        }
        let node = pool.to_alloc.turn(&self.allowed)?;
        self.asked = self.asked.plus(PageCount::ONE);
        Some(Ask {
            node,
            hard: !self.failed.contains(node),
        })
    }

    /// How many CPUs of `cpus` are to help, beside the one that runs.
    pub fn helpers<N>(&self, pool: &Pool<N>, size: HugeSize, cpus: usize) -> usize
    where
        N: DerefMut<Target = [Counts]>,
    {
        match size {
            HugeSize::Size2M => {
                let missing = self.target.minus(pool.total().persistent()).get();
                (missing / SHARE).min(HELPERS).min(cpus.saturating_sub(1))
            }
            // Two who look for contiguous memory at once are in each other's way.
            HugeSize::Size1G => 0,
        }
    }

    /// The page allocator gave a page of `node`: it is a free page of the pool now. False if the
    /// pool has no such node; then the caller keeps the page.
    #[must_use]
    pub fn allocated<N>(&mut self, node: NodeId, pool: &mut Pool<N>) -> bool
    where
        N: DerefMut<Target = [Counts]>,
    {
        self.asked = self.asked.minus(PageCount::ONE);
        let added = pool.add(node);
        if added {
            self.failed.remove(node);
            self.in_vain = NodeSet::EMPTY;
        } else {
            self.in_vain.insert(node);
        }
        added
    }

    /// The page allocator had no page on `node`.
    pub fn failed(&mut self, node: NodeId) {
        self.asked = self.asked.minus(PageCount::ONE);
        self.failed.insert(node);
        self.in_vain.insert(node);
    }

    /// Somebody wants the caller to stop (a signal): no further step, what was got stays.
    pub fn interrupt(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether all that is being asked for would not suffice.
    fn is_short<N>(&self, pool: &Pool<N>) -> bool
    where
        N: DerefMut<Target = [Counts]>,
    {
        self.target > pool.total().persistent().plus(self.asked)
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
