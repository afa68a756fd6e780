// SPDX-License-Identifier: GPL-2.0

//! What lies outside a pool, and what a pool shows to it.
//!
//! The module's policy and the model of hugetlb are put into the same worlds and must do the same.

use rust_hugetlb::policy::pool::Claim;

/// The counters of one node: nr, free, surplus.
pub(crate) type Row = [usize; 3];

/// All counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) rows: Vec<Row>,
    pub(crate) resv: usize,
    pub(crate) overcommit: usize,
}

/// What a resize is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole pool, by pages of these nodes (ascending).
    All(Vec<usize>),
    /// One node; the others keep theirs.
    Node(usize),
}

impl Scope {
    /// The nodes whose pages may come and go.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        match self {
            Self::All(nodes) => nodes.clone(),
            Self::Node(node) => vec![*node],
        }
    }
}

/// What became of a page that its last user let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// The pool has it.
    Kept,
    /// The page allocator has it.
    GivenBack,
}

/// A pool, of the module or of the model.
pub(crate) trait Hugetlb {
    /// A free page of `node` gets a user. False if there is none to be had.
    fn take(&mut self, node: usize, claim: Claim) -> bool;
    /// A surplus page gets a user, of the first of `nodes` that has memory; says which. None if
    /// the limit or the memory is used up.
    fn take_surplus(
        &mut self,
        nodes: &[usize],
        claim: Claim,
        world: &mut dyn World,
    ) -> Option<usize>;
    /// A page of `node` loses its last user. None if no page of it has one.
    fn put(&mut self, node: usize) -> Option<Freed>;
    /// A page of `node` was not used after all, and is promised again. False if no page of it has
    /// a user.
    fn unuse(&mut self, node: usize) -> bool;
    /// Sets how many surplus pages may be made.
    fn set_overcommit(&mut self, limit: usize);
    /// Promises `count` pages to somebody who may use `nodes` (in this order). False: refused.
    fn reserve(&mut self, count: usize, nodes: &[usize], world: &mut dyn World) -> bool;
    /// Ends `count` promises.
    fn unreserve(&mut self, count: usize, world: &mut dyn World);
    /// Grows or shrinks to `count` persistent pages, as far as the world lets it.
    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World);
    /// All counters.
    fn counters(&self) -> Counters;
}

/// The page allocator, the signals of whoever resizes, and the other users.
pub(crate) trait World {
    /// The nodes that have memory (ascending).
    fn memory_nodes(&self) -> Vec<usize>;
    /// A page of this node is wanted; whether there is one.
    fn alloc(&mut self, node: usize, hard: bool) -> bool;
    /// A page of this node comes back.
    fn give_back(&mut self, node: usize);
    /// Whether a signal is pending, after a page was had.
    fn interrupted(&mut self) -> bool;
    /// The lock is free: the others' turn.
    fn meanwhile(&mut self, pool: &mut dyn Hugetlb);

    /// A page of the first of these nodes that has one; which.
    fn alloc_near(&mut self, nodes: &[usize]) -> Option<usize> {
        nodes.iter().copied().find(|node| self.alloc(*node, true))
    }
}

/// A world where nothing happens and nothing is scarce.
pub(crate) struct Plenty {
    /// The nodes there are.
    pub(crate) nodes: usize,
}

impl World for Plenty {
    fn memory_nodes(&self) -> Vec<usize> {
        Vec::from_iter(0..self.nodes)
    }

    fn alloc(&mut self, _: usize, _: bool) -> bool {
        true
    }

    fn give_back(&mut self, _: usize) {}

    fn interrupted(&mut self) -> bool {
        false
    }

    fn meanwhile(&mut self, _: &mut dyn Hugetlb) {}
}
