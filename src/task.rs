// SPDX-License-Identifier: GPL-2.0

//! The current task, as policy wants to see it.

use crate::{
    mm::{node, task, vma::Mapping},
    policy::{
        node::{NodeId, NodeSet},
        placement::{MemPolicy, Mode, Task},
    },
};

/// The current task, with `mapping`'s policy before its own.
pub(crate) fn current(mapping: Option<task::MemPolicy>) -> Task {
    let current = task::current();
    Task {
        policy: mapping.or(current.policy).map(convert),
        local: NodeId::new(node::local()).unwrap_or(NodeId::FIRST),
        mems_allowed: set(current.mems_allowed),
    }
}

/// The node of the CPU, where a page for a fault in `mapping` comes from before any other: if neither
/// the mapping nor the task has a policy, and the cpuset has the node. None: [`current`] tells. What
/// nearly all faults need to know, for less than it takes to copy sets of nodes.
pub(crate) fn home(mapping: Mapping<'_>) -> Option<NodeId> {
    let local = node::local();
    if mapping.has_policy() || !task::is_plain(local) {
        return None;
    }
    NodeId::new(local)
}

/// Whether the current task's cpuset has all of these nodes.
pub(crate) fn may_use(nodes: &NodeSet) -> bool {
    nodes.and(&set(task::current().mems_allowed)) == *nodes
}

/// The nodes that the current task may have memory from: its cpuset's, and of these its memory policy's
/// if it binds it.
pub(crate) fn usable_nodes() -> NodeSet {
    let task = current(None);
    let bound = task.policy.filter(|policy| policy.mode == Mode::Bind);
    let nodes = bound.map(|policy| policy.nodes.and(&task.mems_allowed));
    // As the page allocator: a policy without any such node is none.
    nodes
        .filter(|nodes| !nodes.is_empty())
        .unwrap_or(task.mems_allowed)
        .and(&memory_nodes())
}

/// The nodes that have memory.
pub(crate) fn memory_nodes() -> NodeSet {
    let mut set = NodeSet::EMPTY;
    for node in node::with_memory().filter_map(NodeId::new) {
        set.insert(node);
    }
    set
}

fn convert(policy: task::MemPolicy) -> MemPolicy {
    MemPolicy {
        mode: match policy.mode {
            task::MPOL_PREFERRED => Mode::Preferred,
            task::MPOL_BIND => Mode::Bind,
            task::MPOL_INTERLEAVE | task::MPOL_WEIGHTED_INTERLEAVE => Mode::Interleave,
            task::MPOL_PREFERRED_MANY => Mode::PreferredMany,
            _ => Mode::Local,
        },
        nodes: set(policy.nodes),
        home: policy.home.and_then(NodeId::new),
    }
}

fn set(mask: task::NodeMask) -> NodeSet {
    NodeSet::from_words(mask.into_iter().map(|word| word as u64))
}
