// SPDX-License-Identifier: GPL-2.0

//! Making many pages of one large page, one large page at a time.
//!
//! Mirrors `demote_store` (mm/hugetlb_sysfs.c) and `demote_pool_huge_page` (mm/hugetlb.c): a node
//! gives all that it has to give, then it is the next one's turn. Unlike there, no reserved page is
//! given: how many may go is asked before each page. The shell drives it:
//!
//! 1. under the large pool's lock: [`Demote::next`];
//! 2. [`Step::Split`]: take a page of that node off the free list, which the counters know already;
//!    drop the lock and split it. Then, under both pools' locks, [`Demote::split`] and list the
//!    pieces; or keep the page apart until the end if it cannot be split, and say so
//!    ([`Demote::failed`]). [`Step::Done`]: stop;
//! 3. again from 1.
//!
//! At the end what was kept apart is free again ([`Demote::put_back`]).

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet};
use super::pool::{Counts, Pool};
use super::refusal::Refusal;

/// What the shell has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Take a free page of this node off its list and split it.
    Split {
        /// The node.
        node: NodeId,
    },
    /// There is nothing left to do. [`Refusal::Busy`]: a page could not be split, and so fewer were
    /// than could have been.
    Done(Result<(), Refusal>),
}

/// A demotion under way.
#[derive(Debug)]
pub struct Demote {
    /// Large pages still to be split.
    left: PageCount,
    /// The pieces of one.
    pieces: PageCount,
    /// The node it is about, if it is one.
    only: Option<NodeId>,
    allowed: NodeSet,
    /// The node whose turn it is.
    here: Option<NodeId>,
    /// How many nodes have their turn still to come in this round.
    nodes_left: usize,
    /// Whether a page was split in this round.
    moved: bool,
    /// Whether a page could not be split.
    failed: bool,
}

impl Demote {
    /// A demotion of `count` pages of these nodes, each of which is so many `pieces`.
    pub fn of_total(count: PageCount, pieces: PageCount, allowed: NodeSet) -> Self {
        Self {
            left: count,
            pieces,
            only: None,
            nodes_left: allowed.len(),
            allowed,
            here: None,
            moved: false,
            failed: false,
        }
    }

    /// A demotion of `count` pages of one node.
    pub fn of_node(count: PageCount, pieces: PageCount, node: NodeId) -> Self {
        Self {
            only: Some(node),
            ..Self::of_total(count, pieces, NodeSet::only(node))
        }
    }

    /// Decides the next step from the counters of the large pool as they are now.
    pub fn next<N>(&mut self, large: &mut Pool<N>) -> Step
    where
        N: DerefMut<Target = [Counts]>,
    {
        while !self.left.is_zero() && !large.spare(self.only).is_zero() {
            if let Some(node) = self.here {
                if !large.on(node).free.is_zero() {
                    large.set_apart(node, PageCount::ONE);
                    return Step::Split { node };
                }
            }
            self.here = None;
            if self.nodes_left == 0 {
                if !self.moved {
                    return Step::Done(Err(Refusal::Busy));
                }
                // Pages that were freed behind us.
                self.moved = false;
                self.nodes_left = self.allowed.len();
            }
            self.nodes_left -= 1;
            self.here = large.to_free.turn(&self.allowed);
        }
        if self.failed && !self.left.is_zero() {
            return Step::Done(Err(Refusal::Busy));
        }
        Step::Done(Ok(()))
    }

    /// The page of `node` was split: its pieces are free pages of the small pool now.
    pub fn split<L, S>(&mut self, node: NodeId, large: &mut Pool<L>, small: &mut Pool<S>)
    where
        L: DerefMut<Target = [Counts]>,
        S: DerefMut<Target = [Counts]>,
    {
        large.leave(node, PageCount::ONE);
        small.join(node, self.pieces);
        self.left = self.left.minus(PageCount::ONE);
        self.moved = true;
    }

    /// The page could not be split.
    pub fn failed(&mut self) {
        self.failed = true;
    }

    /// A page of `node` that could not be split is free again.
    pub fn put_back<N>(&mut self, node: NodeId, large: &mut Pool<N>)
    where
        N: DerefMut<Target = [Counts]>,
    {
        large.put_back(node, PageCount::ONE);
    }

    /// Somebody wants the caller to stop (a signal): no further step, what was split stays so.
    pub fn interrupt(&mut self) {
        self.left = PageCount::ZERO;
    }
}
