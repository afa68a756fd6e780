// SPDX-License-Identifier: GPL-2.0

//! On which nodes a page may come to lie, and in which order they are tried.
//!
//! Mirrors `huge_node` and `policy_nodemask` (mm/mempolicy.c), `dequeue_hugetlb_folio` and
//! `policy_mbind_nodemask` (mm/hugetlb.c).

use super::node::{NodeId, NodeSet};

/// The mode of a memory policy (`MPOL_…`, include/uapi/linux/mempolicy.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The node of the CPU (also `MPOL_DEFAULT`).
    Local,
    /// One node, then others.
    Preferred,
    /// Some nodes, then others.
    PreferredMany,
    /// Some nodes and no others.
    Bind,
    /// Each page on the next node. (`MPOL_WEIGHTED_INTERLEAVE`, too: a module cannot see the
    /// weights, so each counts one.)
    Interleave,
}

/// A memory policy: of a mapping, or of the task.
#[derive(Clone, Debug)]
pub struct MemPolicy {
    /// The mode.
    pub mode: Mode,
    /// Its nodes; empty for [`Mode::Local`].
    pub nodes: NodeSet,
    /// `set_mempolicy_home_node`.
    pub home: Option<NodeId>,
}

/// What a task may and would like to use.
#[derive(Clone, Debug)]
pub struct Task {
    /// The policy that applies: the mapping's, else the task's; none for the default.
    pub policy: Option<MemPolicy>,
    /// The node of the CPU it runs on.
    pub local: NodeId,
    /// What its cpuset lets it use.
    pub mems_allowed: NodeSet,
}

/// An order of nodes: those of a set by distance from one node, perhaps others after them.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Nodes are tried by their distance from this one.
    pub near: NodeId,
    first: NodeSet,
    then: Option<NodeSet>,
}

impl Placement {
    /// The sets to try, one after the other; nodes of each by distance from [`Self::near`].
    pub fn passes(&self) -> impl Iterator<Item = &NodeSet> {
        core::iter::once(&self.first).chain(self.then.as_ref())
    }
}

impl Task {
    /// Where a page for the fault at `interleave_index` goes: the index, in huge pages, that
    /// interleaving counts by.
    pub fn place(&self, interleave_index: usize) -> Placement {
        let anywhere = |near| Placement {
            near,
            first: self.mems_allowed,
            then: None,
        };
        let Some(policy) = &self.policy else {
            return anywhere(self.local);
        };
        let near = policy.home.unwrap_or(self.local);
        match policy.mode {
            Mode::Local => anywhere(self.local),
            Mode::Preferred => anywhere(policy.nodes.iter().next().unwrap_or(self.local)),
            Mode::Interleave => anywhere(
                interleave_index
                    .checked_rem(policy.nodes.len())
                    .and_then(|nth| policy.nodes.iter().nth(nth))
                    .unwrap_or(self.local),
            ),
            Mode::PreferredMany => Placement {
                near,
                first: policy.nodes.and(&self.mems_allowed),
                then: Some(self.mems_allowed),
            },
            Mode::Bind => Placement {
                near,
                first: self.bound().unwrap_or(self.mems_allowed),
                then: None,
            },
        }
    }

    /// Where a surplus page for a reservation goes, and what a reservation is checked against: the
    /// cpuset, and a bind policy that it leaves something of.
    pub fn place_reservation(&self) -> Placement {
        Placement {
            near: self.local,
            first: self.bound().unwrap_or(self.mems_allowed),
            then: None,
        }
    }

    /// The nodes whose pages a resize through `nr_hugepages_mempolicy` is about
    /// (`init_nodemask_of_mempolicy`); none without a policy: all nodes.
    pub fn resize_nodes(&self) -> Option<NodeSet> {
        let policy = self.policy.as_ref()?;
        Some(match policy.mode {
            Mode::Local => NodeSet::only(self.local),
            _ => policy.nodes,
        })
    }

    fn bound(&self) -> Option<NodeSet> {
        let policy = self.policy.as_ref()?;
        let nodes = policy.nodes.and(&self.mems_allowed);
        (policy.mode == Mode::Bind && !nodes.is_empty()).then_some(nodes)
    }
}
