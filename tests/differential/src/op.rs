// SPDX-License-Identifier: GPL-2.0

//! The operations, and how they are written down: one a line, as [`crate::parse`] reads them.

use std::fmt;

use crate::backend::Knob;
use crate::policy::Policy;
use crate::text::Text;
use crate::touch::Access;

/// Slots for files and for mappings.
pub const FILES: usize = 5;
/// See [`FILES`].
pub const MAPS: usize = 8;

/// Some nodes, numbered less than 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeList(u64);

impl NodeList {
    /// The nodes whose bits are set.
    pub const fn from_mask(mask: u64) -> Self {
        Self(mask)
    }

    /// A bit for each node.
    pub const fn mask(self) -> u64 {
        self.0
    }
}

/// What a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prot {
    Read,
    ReadWrite,
}

/// Some pages of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    pub map: usize,
    pub first: usize,
    pub count: usize,
}

/// A new mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMap {
    pub map: usize,
    pub file: usize,
    /// The file's page that it begins at.
    pub first: u64,
    pub pages: usize,
    pub prot: Prot,
    /// Without MAP_NORESERVE.
    pub reserve: bool,
    /// Whether the offset is 4 KiB more than a multiple of the page size.
    pub skewed: bool,
}

/// How a child ends once it has done its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exit,
    Kill,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes to a file of the pool.
    Write {
        knob: Knob,
        text: Text,
    },
    /// Opens a new file of huge pages.
    Open {
        file: usize,
    },
    Close {
        file: usize,
    },
    Map(NewMap),
    /// Touches one page after the other.
    Touch {
        at: Pages,
        access: Access,
    },
    Unmap {
        at: Pages,
    },
    /// An munmap of whole pages, but 4 KiB beside them.
    UnmapSkewed {
        map: usize,
    },
    Protect {
        at: Pages,
        prot: Prot,
    },
    /// MADV_POPULATE_READ or MADV_POPULATE_WRITE.
    Populate {
        at: Pages,
        access: Access,
    },
    /// Gives pages of a mapping a policy of their own.
    Bind {
        at: Pages,
        policy: Policy,
    },
    /// Gives the policy of some pages a home node (set_mempolicy_home_node).
    Home {
        at: Pages,
        node: usize,
    },
    /// Moves a whole mapping to another address.
    Move {
        map: usize,
    },
    /// The task's policy.
    Policy(Policy),
    /// The task's CPU.
    Cpu(usize),
    /// The task's cpuset; only in a child, which first unmaps all there is (a task that changes its
    /// cpuset has its pages migrated, and the module's do not migrate).
    Cpuset(NodeList),
    /// A child that shares all files and mappings, does operations of its own, and ends.
    Fork {
        ops: Vec<Op>,
        end: End,
    },
}

impl Op {
    /// Whether it is about the task, which both pools share, and not about a pool.
    pub fn is_of_the_task(&self) -> bool {
        matches!(self, Self::Policy(_) | Self::Cpu(_) | Self::Cpuset(_))
    }
}

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let nodes: Vec<String> = (0..u64::BITS)
            .filter(|node| self.0 & (1 << node) != 0)
            .map(|node| node.to_string())
            .collect();
        f.write_str(&nodes.join(","))
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.map, self.first, self.count)
    }
}

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "r",
            Self::ReadWrite => "rw",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nr => f.write_str("nr"),
            Self::NrMempolicy => f.write_str("mempolicy"),
            Self::Overcommit => f.write_str("overcommit"),
            Self::Free => f.write_str("free"),
            Self::Resv => f.write_str("resv"),
            Self::Surplus => f.write_str("surplus"),
            Self::NodeNr(node) => write!(f, "node{node}/nr"),
            Self::NodeFree(node) => write!(f, "node{node}/free"),
            Self::NodeSurplus(node) => write!(f, "node{node}/surplus"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { knob, text } => write!(f, "write {knob} {text}"),
            Self::Open { file } => write!(f, "open {file}"),
            Self::Close { file } => write!(f, "close {file}"),
            Self::Map(new) => {
                let NewMap {
                    map,
                    file,
                    first,
                    pages,
                    prot,
                    ..
                } = new;
                write!(f, "map {map} {file} {first} {pages} {prot}")?;
                f.write_str(if new.reserve { "" } else { " noreserve" })?;
                f.write_str(if new.skewed { " skewed" } else { "" })
            }
            Self::Touch { at, access } => write!(f, "touch {at} {access}"),
            Self::Unmap { at } => write!(f, "unmap {at}"),
            Self::UnmapSkewed { map } => write!(f, "unmap-skewed {map}"),
            Self::Protect { at, prot } => write!(f, "protect {at} {prot}"),
            Self::Populate { at, access } => write!(f, "populate {at} {access}"),
            Self::Bind { at, policy } => write!(f, "bind {at} {policy}"),
            Self::Home { at, node } => write!(f, "home {at} {node}"),
            Self::Move { map } => write!(f, "move {map}"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
            Self::Cpu(cpu) => write!(f, "cpu {cpu}"),
            Self::Cpuset(nodes) => write!(f, "cpuset {nodes}"),
            Self::Fork { ops, end } => {
                f.write_str(match end {
                    End::Exit => "fork exit",
                    End::Kill => "fork kill",
                })?;
                for op in ops {
                    write!(f, " ; {op}")?;
                }
                Ok(())
            }
        }
    }
}
