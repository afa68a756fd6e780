// SPDX-License-Identifier: GPL-2.0

//! NUMA nodes, sets of them, and the rotation over a set.
//!
//! Mirrors `nodemask_t` (include/linux/nodemask.h) and `hstate_next_node_to_alloc` /
//! `hstate_next_node_to_free` (mm/hugetlb_internal.h).

/// The most nodes an x86-64 kernel can be built for (`NODES_SHIFT` is at most 10).
pub const MAX_NODES: usize = 1024;

const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = MAX_NODES / WORD_BITS;

/// A NUMA node's number.
///
/// # Invariants
///
/// Less than [`MAX_NODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u16);

impl NodeId {
    /// Node 0, which always exists.
    pub const FIRST: Self = Self(0);

    /// The node of that number; none if no kernel can have it.
    pub const fn new(number: usize) -> Option<Self> {
        if number < MAX_NODES {
            // INVARIANT: Just checked; it fits as MAX_NODES does.
            Some(Self(number as u16))
        } else {
            None
        }
    }

    /// The number, as an index into per-node tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet([u64; WORDS]);

impl NodeSet {
    /// No node.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// The set whose bits are those of `words`, the lowest first; words past the end are ignored.
    pub fn from_words(words: impl IntoIterator<Item = u64>) -> Self {
        let mut set = Self::EMPTY;
        for (slot, word) in set.0.iter_mut().zip(words) {
            *slot = word;
        }
        set
    }

    /// The set of just `node`.
    pub fn only(node: NodeId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(node);
        set
    }

    /// Adds `node`.
    pub fn insert(&mut self, node: NodeId) {
        if let Some(word) = self.0.get_mut(node.index() / WORD_BITS) {
            *word |= 1 << (node.index() % WORD_BITS);
        }
    }

    /// Takes `node` out.
    pub fn remove(&mut self, node: NodeId) {
        if let Some(word) = self.0.get_mut(node.index() / WORD_BITS) {
            *word &= !(1 << (node.index() % WORD_BITS));
        }
    }

    /// Whether `node` is in the set.
    pub fn contains(&self, node: NodeId) -> bool {
        let word = self.0.get(node.index() / WORD_BITS).copied().unwrap_or(0);
        word & (1 << (node.index() % WORD_BITS)) != 0
    }

    /// How many nodes are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The nodes in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        for (word, mask) in both.0.iter_mut().zip(&other.0) {
            *word &= mask;
        }
        both
    }

    /// Whether no node is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The nodes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        let mut next = self.at_or_after(0);
        core::iter::from_fn(move || {
            let node = next?;
            next = self.at_or_after(node.index() + 1);
            Some(node)
        })
    }

    /// The next node after `node`, round the end; `node` itself if it is the only one
    /// (`next_node_in`).
    pub fn next_after(&self, node: NodeId) -> Option<NodeId> {
        self.at_or_after(node.index() + 1)
            .or_else(|| self.at_or_after(0))
    }

    fn at_or_after(&self, number: usize) -> Option<NodeId> {
        let first = number / WORD_BITS;
        let mut mask = u64::MAX << (number % WORD_BITS);
        for (i, word) in self.0.iter().enumerate().skip(first) {
            let left = word & mask;
            if left != 0 {
                return NodeId::new(i * WORD_BITS + left.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

/// Where the next turn of a rotation over nodes begins.
///
/// The set may be another one at each call; a position outside it moves on to the next inside.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    next: NodeId,
}

impl Rotation {
    /// Starts at `first`.
    pub const fn starting_at(first: NodeId) -> Self {
        Self { next: first }
    }

    /// The node whose turn it is; none if `allowed` is empty.
    pub fn turn(&mut self, allowed: &NodeSet) -> Option<NodeId> {
        let node = if allowed.contains(self.next) {
            self.next
        } else {
            allowed.next_after(self.next)?
        };
        self.next = allowed.next_after(node)?;
        Some(node)
    }

    /// The first node, over at most one round, for which `wanted` holds.
    pub fn find(&mut self, allowed: &NodeSet, wanted: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        for _ in 0..allowed.len() {
            let node = self.turn(allowed)?;
            if wanted(node) {
                return Some(node);
            }
        }
        None
    }
}
