// SPDX-License-Identifier: GPL-2.0

//! What lies outside a pool, and what a pool shows to it.
//!
//! The module's policy and the model of hugetlb are put into the same worlds and must do the same.

/// The counters of one node: nr, free, surplus.
pub(crate) type Row = [usize; 3];

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

/// A pool as its users see it.
pub(crate) trait Users {
    /// A free page of `node` gets a user. False if there is none.
    fn take(&mut self, node: usize) -> bool;
    /// A page of `node` loses its last user. None if no page of it has one.
    fn put(&mut self, node: usize) -> Option<Freed>;
    /// The counters of each node.
    fn rows(&self) -> Vec<Row>;
}

/// A pool as its administrator sees it.
pub(crate) trait Resizable: Users {
    /// Grows or shrinks to `count` persistent pages, as far as the world lets it.
    fn resize(&mut self, count: usize, scope: &Scope, world: &mut dyn World);
}

/// The page allocator, the signals of whoever resizes, and the other users.
pub(crate) trait World {
    /// A page of this node is wanted; whether there is one.
    fn alloc(&mut self, node: usize, hard: bool) -> bool;
    /// A page of this node comes back.
    fn give_back(&mut self, node: usize);
    /// Whether a signal is pending, after a page was asked for.
    fn interrupted(&mut self) -> bool;
    /// The lock is free: the others' turn.
    fn meanwhile(&mut self, pool: &mut dyn Users);
}
