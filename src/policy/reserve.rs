// SPDX-License-Identifier: GPL-2.0

//! Reserving pages, with surplus pages where the free ones do not suffice, and taking that back.
//!
//! Mirrors `gather_surplus_pages`, `hugetlb_acct_memory` and `return_unused_surplus_pages`
//! (mm/hugetlb.c). The shell drives [`Reserve`]:
//!
//! 1. under the pool's lock: [`Reserve::next`];
//! 2. [`Step::Allocate`]: drop the lock, ask the page allocator for a page on one of the allowed
//!    nodes, take the lock, report with [`Reserve::allocated`] or [`Reserve::failed`], and hold the
//!    page. [`Step::Enlist`], [`Step::Drop`]: do that with one of the pages held and report with
//!    [`Reserve::enlisted`] or [`Reserve::dropped`]. [`Step::Done`]: stop;
//! 3. again from 1.
//!
//! and [`Unreserve`] likewise, with [`Unreserve::next`] alone. Each step leaves the invariants of
//! [`pool`](super::pool) true, and from the first [`Step::Enlist`] on nothing can fail.

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet};
use super::pool::{Counts, Fate, Pool};
use super::refusal::Refusal;

/// What the shell has to do next for a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Ask the page allocator for a page, on the nearest of the allowed nodes that has one.
    Allocate,
    /// Put a held page on the free list of its node.
    Enlist,
    /// Get rid of a held page.
    Drop,
    /// There is nothing left to do.
    Done(Result<(), Refusal>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gather,
    /// The page allocator, or the overcommit limit, has no more pages.
    Exhausted,
    /// So many held pages join the pool, each with its reservation.
    Enlist(PageCount),
    Settled,
    Refused,
}

/// A reservation under way.
#[derive(Debug)]
pub struct Reserve {
    wanted: PageCount,
    /// Surplus pages that the shell holds: in `nr` and `surplus`, not in `free`.
    held: PageCount,
    phase: Phase,
}

impl Reserve {
    /// A reservation of `wanted` pages.
    pub fn new(wanted: PageCount) -> Self {
        Self {
            wanted,
            held: PageCount::ZERO,
            phase: Phase::Gather,
        }
    }

    /// Decides the next step.
    pub fn next<N>(&mut self, pool: &mut Pool<N>) -> Step
    where
        N: DerefMut<Target = [Counts]>,
    {
        loop {
            match self.phase {
                Phase::Gather | Phase::Exhausted => {
                    let available = pool.available();
                    if self.wanted > available.plus(self.held) {
                        if self.phase == Phase::Gather && pool.may_overcommit() {
                            return Step::Allocate;
                        }
                        self.phase = Phase::Refused;
                        continue;
                    }
                    let enlist = self.wanted.minus(available);
                    pool.reserve(self.wanted.minus(enlist));
                    self.phase = Phase::Enlist(enlist);
                }
                Phase::Enlist(left) if left.is_zero() => self.phase = Phase::Settled,
                Phase::Enlist(_) => return Step::Enlist,
                Phase::Settled | Phase::Refused if !self.held.is_zero() => return Step::Drop,
                Phase::Settled => return Step::Done(Ok(())),
                Phase::Refused => return Step::Done(Err(Refusal::NoPages)),
            }
        }
    }

    /// The page allocator gave a page of `node`. True: the shell holds it. False: the limit was
    /// reached meanwhile, and the shell gets rid of it.
    #[must_use]
    pub fn allocated<N>(&mut self, node: NodeId, pool: &mut Pool<N>) -> bool
    where
        N: DerefMut<Target = [Counts]>,
    {
        if pool.add_surplus(node) {
            self.held = self.held.plus(PageCount::ONE);
            true
        } else {
            self.failed();
            false
        }
    }

    /// The page allocator has no page for us.
    pub fn failed(&mut self) {
        if self.phase == Phase::Gather {
            self.phase = Phase::Exhausted;
        }
    }

    /// A held page of `node` was put on the free list: it is reserved.
    pub fn enlisted<N>(&mut self, node: NodeId, pool: &mut Pool<N>)
    where
        N: DerefMut<Target = [Counts]>,
    {
        if let Phase::Enlist(left) = self.phase {
            self.phase = Phase::Enlist(left.minus(PageCount::ONE));
        }
        self.held = self.held.minus(PageCount::ONE);
        pool.unuse_reserved(node);
    }

    /// A held page of `node` is to go: to the page allocator, or to the free list if its node has
    /// no surplus any more.
    pub fn dropped<N>(&mut self, node: NodeId, pool: &mut Pool<N>) -> Fate
    where
        N: DerefMut<Target = [Counts]>,
    {
        self.held = self.held.minus(PageCount::ONE);
        pool.put(node)
    }
}

/// Whether `wanted` pages, just reserved, can come from nodes in `allowed` (the end of
/// `hugetlb_acct_memory`). If not, they are to be unreserved again.
pub fn is_placeable<N>(wanted: PageCount, allowed: &NodeSet, pool: &Pool<N>) -> bool
where
    N: DerefMut<Target = [Counts]>,
{
    let free = allowed
        .iter()
        .fold(PageCount::ZERO, |sum, node| sum.plus(pool.on(node).free));
    wanted <= free
}

/// The end of some reservations.
#[derive(Debug)]
pub struct Unreserve {
    left: PageCount,
    nodes: NodeSet,
}

impl Unreserve {
    /// The end of `count` reservations that were not used. `nodes`: those with memory.
    pub fn new(count: PageCount, nodes: NodeSet) -> Self {
        Self { left: count, nodes }
    }

    /// Decides the next step: some node, to take a free page off its list and give that back; the
    /// counters know already. None: there is nothing left to do.
    pub fn next<N>(&mut self, pool: &mut Pool<N>) -> Option<NodeId>
    where
        N: DerefMut<Target = [Counts]>,
    {
        if !self.left.is_zero() && !pool.total().surplus.is_zero() {
            // Each page goes together with its reservation, so nobody can reserve it in between.
            pool.unreserve(PageCount::ONE);
            self.left = self.left.minus(PageCount::ONE);
            if let Some(node) = pool.remove_free_surplus(&self.nodes) {
                return Some(node);
            }
        }
        pool.unreserve(self.left);
        self.left = PageCount::ZERO;
        None
    }
}
