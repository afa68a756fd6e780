// SPDX-License-Identifier: GPL-2.0

//! The files under /sys/kernel/rust_hugetlb: counters to read, sizes to write.
//!
//! Names, formats and errors are those of mm/hugetlb_sysfs.c; `docs/abi/` describes each file. The
//! tables below are the whole list.

use core::fmt::{self, Write};

use kernel::{
    c_str,
    prelude::*,
    str::{CStr, CString},
    sync::Arc,
};

use crate::{
    hstate::Hstate,
    mm::{
        node,
        sysfs::{Attribute, Directory, File, Input, Output},
    },
    policy::{count::PageCount, node::NodeId},
    pool::Scope,
};

/// What a file is about.
#[derive(Clone, Copy)]
enum Knob {
    Nr,
    Free,
    Surplus,
    Pinned,
}

/// A file's name, mode and meaning.
type Row = (&'static CStr, u16, Knob);

const READ_WRITE: u16 = 0o644;
const READ_ONLY: u16 = 0o444;

/// The files of a size.
const GLOBAL: [Row; 4] = [
    (c_str!("nr_hugepages"), READ_WRITE, Knob::Nr),
    (c_str!("free_hugepages"), READ_ONLY, Knob::Free),
    (c_str!("surplus_hugepages"), READ_ONLY, Knob::Surplus),
    (c_str!("pinned_hugepages"), READ_ONLY, Knob::Pinned),
];

/// The files of a size on one node.
const PER_NODE: [Row; 3] = [
    (c_str!("nr_hugepages"), READ_WRITE, Knob::Nr),
    (c_str!("free_hugepages"), READ_ONLY, Knob::Free),
    (c_str!("surplus_hugepages"), READ_ONLY, Knob::Surplus),
];

/// A file of one hstate.
struct HstateFile {
    hstate: Arc<Hstate>,
    scope: Scope,
    knob: Knob,
}

impl Attribute for HstateFile {
    fn show(&self, out: &mut Output<'_>) -> fmt::Result {
        let counts = self.hstate.counts(self.scope);
        let value = match self.knob {
            Knob::Nr => counts.nr,
            Knob::Free => counts.free,
            Knob::Surplus => counts.surplus,
            Knob::Pinned => self.hstate.pinned(),
        };
        writeln!(out, "{}", value.get())
    }

    fn store(&self, input: &Input<'_>) -> Result {
        match self.knob {
            Knob::Nr => {
                let count = PageCount::new(input.parse(10)?);
                self.hstate.resize(count, self.scope);
                Ok(())
            }
            // Without a write bit sysfs lets nobody come here.
            Knob::Free | Knob::Surplus | Knob::Pinned => Err(EACCES),
        }
    }
}

/// All files, for as long as this lives.
pub(crate) struct Knobs {
    _files: KVec<Pin<KBox<File<HstateFile>>>>,
}

impl Knobs {
    /// Makes the folders and files of `hstates`. Sleeps.
    pub(crate) fn create(hstates: &[Arc<Hstate>]) -> Result<Self> {
        let mut files = KVec::new();
        let root = Directory::create(None, c_str!("rust_hugetlb"))?;
        for hstate in hstates {
            add(&mut files, &root, hstate, Scope::All, &GLOBAL)?;
        }
        for node in node::online().filter_map(NodeId::new) {
            let name = CString::try_from_fmt(kernel::prelude::fmt!("node{}", node.index()))?;
            let folder = Directory::create(Some(root.clone()), &name)?;
            for hstate in hstates {
                add(&mut files, &folder, hstate, Scope::Node(node), &PER_NODE)?;
            }
        }
        Ok(Self { _files: files })
    }
}

/// Makes the folder of one size in `parent`, with its files.
fn add(
    files: &mut KVec<Pin<KBox<File<HstateFile>>>>,
    parent: &Arc<Directory>,
    hstate: &Arc<Hstate>,
    scope: Scope,
    rows: &[Row],
) -> Result {
    let name = CString::try_from_fmt(kernel::prelude::fmt!("hugepages-{}kB", hstate.size().kib()))?;
    let folder = Directory::create(Some(parent.clone()), &name)?;
    for &(name, mode, knob) in rows {
        let hstate = hstate.clone();
        let attribute = HstateFile {
            hstate,
            scope,
            knob,
        };
        files.push(
            File::create(folder.clone(), name, mode, attribute)?,
            GFP_KERNEL,
        )?;
    }
    Ok(())
}
