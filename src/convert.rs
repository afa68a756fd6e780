// SPDX-License-Identifier: GPL-2.0

//! The files that turn free pages of one size into those of another.
//!
//! `demote` and `demote_size` stand with the larger size, as hugetlb's do (mm/hugetlb_sysfs.c);
//! `promote` and `promotable_hugepages`, which it has not, with the smaller one. `docs/abi/`
//! describes each.

use core::fmt::{self, Write};

use kernel::{c_str, prelude::*, str::CStr, sync::Arc};

use crate::{
    demote::demote,
    errno::errno,
    hstate::Hstate,
    mm::sysfs::{Attribute, Directory, File, Input, Output},
    policy::{count::PageCount, node::NodeId},
    promote::{promotable, promote},
    resizing::Extent,
    task,
};

/// What a file is about.
#[derive(Clone, Copy)]
enum Act {
    Demote,
    DemoteSize,
    Promote,
    Promotable,
}

/// A file's name, mode and meaning.
type Row = (&'static CStr, u16, Act);

/// The files of the larger size.
const OF_LARGE: [Row; 2] = [
    (c_str!("demote"), 0o200, Act::Demote),
    (c_str!("demote_size"), 0o644, Act::DemoteSize),
];

/// The files of the smaller size.
const OF_SMALL: [Row; 2] = [
    (c_str!("promote"), 0o200, Act::Promote),
    (c_str!("promotable_hugepages"), 0o444, Act::Promotable),
];

/// A file of two sizes.
struct Conversion {
    large: Arc<Hstate>,
    small: Arc<Hstate>,
    node: Option<NodeId>,
    act: Act,
}

impl Conversion {
    fn extent(&self) -> Extent {
        match self.node {
            Some(node) => Extent::Node(node),
            None => Extent::Total(task::memory_nodes()),
        }
    }
}

impl Attribute for Conversion {
    fn show(&self, out: &mut Output<'_>) -> fmt::Result {
        match self.act {
            Act::DemoteSize => writeln!(out, "{}kB", self.small.size().kib()),
            Act::Promotable => {
                let count = promotable(self.large.pool(), self.small.pool(), self.extent());
                writeln!(out, "{}", count.get())
            }
            // Without a read bit sysfs lets nobody come here.
            Act::Demote | Act::Promote => Err(fmt::Error),
        }
    }

    fn store(&self, input: &Input<'_>) -> Result {
        let convert = match self.act {
            Act::Demote => demote,
            Act::Promote => promote,
            // There is one smaller size, and it is chosen already.
            Act::DemoteSize if input.parse_bytes() == self.small.size().bytes() => return Ok(()),
            Act::DemoteSize => return Err(EINVAL),
            // Without a write bit sysfs lets nobody come here.
            Act::Promotable => return Err(EACCES),
        };
        let count = PageCount::new(input.parse(10)?);
        convert(self.large.pool(), self.small.pool(), count, self.extent()).map_err(errno)
    }
}

/// All these files, for as long as this lives.
pub(crate) struct Conversions(KVec<Pin<KBox<File<Conversion>>>>);

impl Conversions {
    /// No file yet.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Adds those of `hstate` to its folder, for each of `all` that its pages can be turned into.
    /// Sleeps.
    pub(crate) fn add(
        &mut self,
        folder: &Arc<Directory>,
        hstate: &Arc<Hstate>,
        all: &[Arc<Hstate>],
        node: Option<NodeId>,
    ) -> Result {
        for other in all {
            let (large, small, rows) = if hstate.size().smaller() == Some(other.size()) {
                (hstate, other, &OF_LARGE)
            } else if hstate.size().larger() == Some(other.size()) {
                (other, hstate, &OF_SMALL)
            } else {
                continue;
            };
            for &(name, mode, act) in rows {
                let attribute = Conversion {
                    large: large.clone(),
                    small: small.clone(),
                    node,
                    act,
                };
                let file = File::create(folder.clone(), name, mode, attribute)?;
                self.0.push(file, GFP_KERNEL)?;
            }
        }
        Ok(())
    }
}
