// SPDX-License-Identifier: GPL-2.0

//! Making one large page of many adjacent free ones: the way back from a demotion.
//!
//! hugetlb has no such thing. The shell says of each node how many large pages lie there whole, that
//! is, with each of their pieces free; what may be done with them is decided here. It drives this as
//! it does [`demote`](super::demote): [`Promote::next`] under the small pool's lock, then
//! [`Promote::merged`] under both, or [`Promote::failed`], and [`Promote::put_back`] at the end.

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet, Rotation};
use super::pool::{Counts, Pool};
use super::refusal::Refusal;

/// What the shell has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Take all pieces of a whole large page of this node off the free list and merge them.
    Merge {
        /// The node.
        node: NodeId,
    },
    /// There is nothing left to do. [`Refusal::Busy`]: some pages could not be merged, and so fewer
    /// were than could have been.
    Done(Result<(), Refusal>),
}

/// How many large pages, each of so many `pieces`, can be made of a pool's free pages: those that
/// lie there whole (`whole`), unless they are promised. Surplus stays what it is.
pub fn promotable<N>(
    small: &Pool<N>,
    only: Option<NodeId>,
    whole: PageCount,
    pieces: PageCount,
) -> PageCount
where
    N: DerefMut<Target = [Counts]>,
{
    whole.min(small.spare(only).over(pieces))
}

/// A promotion under way.
#[derive(Debug)]
pub struct Promote {
    /// Large pages still to be made.
    left: PageCount,
    /// The pieces of one.
    pieces: PageCount,
    /// The node it is about, if it is one.
    only: Option<NodeId>,
    allowed: NodeSet,
    turns: Rotation,
    /// Whether some pages could not be merged.
    failed: bool,
}

impl Promote {
    /// A promotion to `count` large pages of these nodes, each of so many `pieces`; the nodes take
    /// turns.
    pub fn to_total(count: PageCount, pieces: PageCount, allowed: NodeSet) -> Self {
        Self {
            left: count,
            pieces,
            only: None,
            allowed,
            turns: Rotation::starting_at(NodeId::FIRST),
            failed: false,
        }
    }

    /// A promotion to `count` large pages of one node.
    pub fn to_node(count: PageCount, pieces: PageCount, node: NodeId) -> Self {
        Self {
            only: Some(node),
            ..Self::to_total(count, pieces, NodeSet::only(node))
        }
    }

    /// Decides the next step from the counters of the small pool as they are now, and from how many
    /// large pages lie whole on a node (`whole_on`).
    pub fn next<N>(&mut self, small: &mut Pool<N>, whole_on: impl Fn(NodeId) -> PageCount) -> Step
    where
        N: DerefMut<Target = [Counts]>,
    {
        if !self.left.is_zero() && small.spare(self.only) >= self.pieces {
            let whole = |node| !whole_on(node).is_zero();
            if let Some(node) = self.turns.find(&self.allowed, whole) {
                small.set_apart(node, self.pieces);
                return Step::Merge { node };
            }
        }
        if self.failed && !self.left.is_zero() {
            return Step::Done(Err(Refusal::Busy));
        }
        Step::Done(Ok(()))
    }

    /// The pieces on `node` were merged: they are one free page of the large pool now.
    pub fn merged<L, S>(&mut self, node: NodeId, large: &mut Pool<L>, small: &mut Pool<S>)
    where
        L: DerefMut<Target = [Counts]>,
        S: DerefMut<Target = [Counts]>,
    {
        small.leave(node, self.pieces);
        large.join(node, PageCount::ONE);
        self.left = self.left.minus(PageCount::ONE);
    }

    /// The pieces could not be merged.
    pub fn failed(&mut self) {
        self.failed = true;
    }

    /// Pieces on `node` that could not be merged are free again.
    pub fn put_back<N>(&mut self, node: NodeId, small: &mut Pool<N>)
    where
        N: DerefMut<Target = [Counts]>,
    {
        small.put_back(node, self.pieces);
    }

    /// Somebody wants the caller to stop (a signal): no further step, what was merged stays so.
    pub fn interrupt(&mut self) {
        self.left = PageCount::ZERO;
    }
}
