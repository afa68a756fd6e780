// SPDX-License-Identifier: GPL-2.0

//! The operations. [`crate::print`] writes them down, one a line, and [`crate::parse`] reads them.

use crate::advice::Advice;
use crate::backend::Knob;
use crate::policy::Policy;
use crate::text::Text;
use crate::touch::Access;

/// Slots for files, in each process.
pub const FILES: usize = 5;
/// Slots for mappings, in each process: parts of the address space of [`SLOT_PAGES`] pages, side by
/// side.
pub const MAPS: usize = 7;
/// Pages of a slot, and the most that one mapping may have.
pub const SLOT_PAGES: usize = 64;
/// Processes: the program itself, which is number 0, and children.
pub const PROCESSES: usize = 5;
/// The child of [`Op::Fork`], which nobody else is.
pub const BRIEF: usize = PROCESSES - 1;

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
    None,
    Read,
    ReadWrite,
}

/// A page of a slot for mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub map: usize,
    pub page: usize,
}

/// Some pages of a slot for mappings, mapped or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    pub map: usize,
    pub first: usize,
    pub count: usize,
}

/// Some pages of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePages {
    pub file: usize,
    pub first: u64,
    pub count: u64,
}

/// Whose the pages of a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Private,
}

/// A new mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMap {
    pub place: Place,
    pub file: usize,
    /// The file's page that it begins at.
    pub first: u64,
    pub pages: usize,
    pub prot: Prot,
    pub sharing: Sharing,
    /// Without MAP_NORESERVE.
    pub reserve: bool,
    /// MAP_FIXED: in place of what is there. Without it, nothing may be there.
    pub fixed: bool,
    /// MAP_POPULATE.
    pub populate: bool,
    /// Whether the offset is 4 KiB more than a multiple of the page size.
    pub skewed: bool,
}

/// What of a range is 4 KiB beside a multiple of the page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    None,
    /// The address.
    Start,
    /// The length.
    Length,
    /// The address to go to, of mremap.
    Target,
}

/// An mremap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub from: Pages,
    /// Where to (MREMAP_FIXED); none leaves that to the kernel.
    pub to: Option<Place>,
    /// How many pages there will be.
    pub count: usize,
    pub skew: Skew,
}

/// A way to another process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// process_vm_readv, process_vm_writev.
    Vm,
    /// /proc/PID/mem.
    Mem,
}

/// How a child ends.
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
    /// Makes a file so many pages long.
    SetSize {
        file: usize,
        pages: u64,
    },
    /// Takes pages out of a file.
    Punch(FilePages),
    /// Puts pages into a file.
    Preallocate(FilePages),
    /// Looks at a file's size and pages.
    Info {
        file: usize,
    },
    Map(NewMap),
    /// Touches one page after the other.
    Touch {
        at: Pages,
        access: Access,
    },
    /// Reads or writes memory of a process, this one or another, one page after the other.
    Remote {
        who: usize,
        way: Way,
        at: Pages,
        access: Access,
    },
    Unmap {
        at: Pages,
        skew: Skew,
    },
    Protect {
        at: Pages,
        prot: Prot,
        skew: Skew,
    },
    /// MADV_POPULATE_READ or MADV_POPULATE_WRITE.
    Populate {
        at: Pages,
        access: Access,
    },
    /// madvise with an advice that does not touch.
    Advise {
        at: Pages,
        advice: Advice,
    },
    /// mlock or munlock.
    Lock {
        at: Pages,
        on: bool,
    },
    Mincore {
        at: Pages,
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
    Move(Move),
    /// The task's policy.
    Policy(Policy),
    /// The task's CPU.
    Cpu(usize),
    /// Whether the process may have transparent huge pages (PR_SET_THP_DISABLE).
    Thp(bool),
    /// The task's cpuset; only in a child, which first unmaps all there is (a task that changes its
    /// cpuset has its pages migrated, and the module's do not migrate).
    Cpuset(NodeList),
    /// A child that shares all files and mappings, does operations of its own, and ends.
    Fork {
        ops: Vec<Op>,
        end: End,
    },
    /// A child that stays.
    Spawn {
        who: usize,
    },
    /// Something that a child does.
    In {
        who: usize,
        op: Box<Op>,
    },
    /// The end of a child.
    End {
        who: usize,
        end: End,
    },
}

impl Op {
    /// Whether it is about the task, which both pools share, and not about a pool.
    pub fn is_of_the_task(&self) -> bool {
        matches!(
            self,
            Self::Policy(_) | Self::Cpu(_) | Self::Cpuset(_) | Self::Thp(_)
        )
    }

    /// The process that does it, and what that does.
    pub fn actor(&self) -> (usize, &Self) {
        match self {
            Self::In { who, op } => (*who, op),
            op => (0, op),
        }
    }
}

impl Pages {
    /// The first of them.
    pub fn place(self) -> Place {
        Place {
            map: self.map,
            page: self.first,
        }
    }

    /// Their numbers among the pages of all slots.
    pub fn span(self) -> std::ops::Range<usize> {
        let first = self.place().number();
        first..first + self.count
    }
}

impl Place {
    /// Its number among the pages of all slots.
    pub fn number(self) -> usize {
        self.map * SLOT_PAGES + self.page
    }

    /// So many pages from here on.
    pub fn pages(self, count: usize) -> Pages {
        Pages {
            map: self.map,
            first: self.page,
            count,
        }
    }
}
