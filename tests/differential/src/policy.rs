// SPDX-License-Identifier: GPL-2.0

//! Memory policies of the task and of mappings.

use std::fmt;

use crate::op::NodeList;
use crate::sys::{call, Returned};

/// The modes tried, as in include/uapi/linux/mempolicy.h. (Weighted interleave is not: its weights
/// are out of a module's reach.)
const MODES: [(&str, i32); 6] = [
    ("default", 0),
    ("preferred", 1),
    ("bind", 2),
    ("interleave", 3),
    ("local", 4),
    ("preferred-many", 5),
];

/// The bits of the mask that the kernel is told to look at: it counts one less.
const MASK_BITS: usize = u64::BITS as usize + 1;

/// A memory policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    mode: usize,
    pub nodes: NodeList,
}

impl Policy {
    /// No policy.
    pub fn none() -> Self {
        Self::of(0, NodeList::default())
    }

    /// The policy of mode number `mode`, less than [`Self::COUNT`].
    pub fn of(mode: usize, nodes: NodeList) -> Self {
        Self { mode, nodes }
    }

    /// How many modes there are.
    pub const COUNT: usize = MODES.len();

    /// Whether mode number `mode` needs nodes; the others take none.
    pub fn takes_nodes(mode: usize) -> bool {
        !matches!(MODES[mode].0, "default" | "local")
    }

    /// Makes it the task's (set_mempolicy).
    pub fn set(&self) -> Returned {
        let mask = self.nodes.mask();
        // SAFETY: The mask is there.
        call(unsafe {
            libc::syscall(
                libc::SYS_set_mempolicy,
                MODES[self.mode].1,
                &mask as *const u64,
                MASK_BITS,
            )
        })
    }

    /// Makes it the one of a range of addresses (mbind).
    pub fn bind(&self, start: usize, length: usize) -> Returned {
        let mask = self.nodes.mask();
        // SAFETY: The mask is there; a policy changes no content.
        call(unsafe {
            libc::syscall(
                libc::SYS_mbind,
                start,
                length,
                MODES[self.mode].1,
                &mask as *const u64,
                MASK_BITS,
                0,
            )
        })
    }
}

/// Gives the policies of a range of addresses a home node.
pub fn set_home(start: usize, length: usize, node: usize) -> Returned {
    // SAFETY: The call takes numbers; a policy changes no content.
    call(unsafe { libc::syscall(libc::SYS_set_mempolicy_home_node, start, length, node, 0) })
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", MODES[self.mode].0, self.nodes)
    }
}

/// The number of the mode of that name.
pub fn mode_named(name: &str) -> Result<usize, String> {
    MODES
        .iter()
        .position(|(known, _)| *known == name)
        .ok_or_else(|| format!("{name}: no such policy"))
}
