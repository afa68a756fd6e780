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
    convert::Conversions,
    hstate::Hstate,
    mm::{
        node,
        sysfs::{Attribute, Directory, File, Input, Output},
    },
    policy::{count::PageCount, node::NodeId, scrub::Percent},
    resizing::Extent,
    task,
};

/// What a file is about.
#[derive(Clone, Copy)]
enum Knob {
    Nr,
    NrMempolicy,
    Overcommit,
    Resv,
    Free,
    Surplus,
    Pinned,
    Poisoned,
    Explain,
    CanGrow,
    Zeroed,
    FaultsCleared,
    FaultsFoundZero,
    ScrubPercent,
    OomFloor,
}

/// A file's name, mode and meaning.
type Row = (&'static CStr, u16, Knob);

const READ_WRITE: u16 = 0o644;
const READ_ONLY: u16 = 0o444;
/// As /proc/pagetypeinfo: a walk over all memory is nothing for everybody.
const ROOT_ONLY: u16 = 0o400;

/// The files of a size.
const GLOBAL: [Row; 15] = [
    (c_str!("nr_hugepages"), READ_WRITE, Knob::Nr),
    (
        c_str!("nr_hugepages_mempolicy"),
        READ_WRITE,
        Knob::NrMempolicy,
    ),
    (
        c_str!("nr_overcommit_hugepages"),
        READ_WRITE,
        Knob::Overcommit,
    ),
    (c_str!("free_hugepages"), READ_ONLY, Knob::Free),
    (c_str!("resv_hugepages"), READ_ONLY, Knob::Resv),
    (c_str!("surplus_hugepages"), READ_ONLY, Knob::Surplus),
    (c_str!("pinned_hugepages"), READ_ONLY, Knob::Pinned),
    (c_str!("poisoned_hugepages"), READ_ONLY, Knob::Poisoned),
    (c_str!("zeroed_hugepages"), READ_ONLY, Knob::Zeroed),
    (c_str!("faults_cleared"), READ_ONLY, Knob::FaultsCleared),
    (
        c_str!("faults_found_zero"),
        READ_ONLY,
        Knob::FaultsFoundZero,
    ),
    (c_str!("scrub_percent"), READ_WRITE, Knob::ScrubPercent),
    (c_str!("oom_floor"), READ_WRITE, Knob::OomFloor),
    (c_str!("explain"), ROOT_ONLY, Knob::Explain),
    (c_str!("can_grow"), ROOT_ONLY, Knob::CanGrow),
];

/// The files of a size on one node.
const PER_NODE: [Row; 7] = [
    (c_str!("nr_hugepages"), READ_WRITE, Knob::Nr),
    (c_str!("free_hugepages"), READ_ONLY, Knob::Free),
    (c_str!("surplus_hugepages"), READ_ONLY, Knob::Surplus),
    (c_str!("poisoned_hugepages"), READ_ONLY, Knob::Poisoned),
    (c_str!("zeroed_hugepages"), READ_ONLY, Knob::Zeroed),
    (c_str!("explain"), ROOT_ONLY, Knob::Explain),
    (c_str!("can_grow"), ROOT_ONLY, Knob::CanGrow),
];

/// A file of one hstate.
struct HstateFile {
    hstate: Arc<Hstate>,
    node: Option<NodeId>,
    knob: Knob,
}

impl HstateFile {
    /// What a write to a size is about.
    fn extent(&self) -> Extent {
        match self.node {
            Some(node) => Extent::Node(node),
            None => Extent::Total(
                matches!(self.knob, Knob::NrMempolicy)
                    .then(|| task::current(None).resize_nodes())
                    .flatten()
                    .unwrap_or_else(task::memory_nodes),
            ),
        }
    }
}

impl Attribute for HstateFile {
    fn show(&self, out: &mut Output<'_>) -> fmt::Result {
        let pool = self.hstate.pool();
        let value = match self.knob {
            Knob::Nr | Knob::NrMempolicy => pool.counts(self.node).nr,
            Knob::Overcommit => pool.overcommit(),
            Knob::Free => pool.counts(self.node).free,
            Knob::Resv => pool.resv(),
            Knob::Surplus => pool.counts(self.node).surplus,
            Knob::Pinned => self.hstate.pinned(),
            Knob::Poisoned => self.hstate.broken(self.node),
            Knob::Zeroed => pool.zeroed(self.node),
            Knob::FaultsCleared => PageCount::new(pool.touches().cleared()),
            Knob::FaultsFoundZero => PageCount::new(pool.touches().found_zero()),
            Knob::ScrubPercent => PageCount::new(pool.scrub_share().get()),
            Knob::OomFloor => match pool.oom_floor() {
                PageCount::MAX => return writeln!(out, "max"),
                floor => floor,
            },
            Knob::Explain => return self.hstate.explain().explain(self.node, out),
            Knob::CanGrow => return self.hstate.explain().can_grow(self.node, out),
        };
        writeln!(out, "{}", value.get())
    }

    fn store(&self, input: &Input<'_>) -> Result {
        let number = if matches!(self.knob, Knob::OomFloor) && input.is(c_str!("max")) {
            usize::MAX
        } else {
            input.parse(10)?
        };
        let count = PageCount::new(number);
        match self.knob {
            Knob::Nr | Knob::NrMempolicy => {
                let growth = self.hstate.resize(count, self.extent());
                self.hstate.explain().complain(&growth);
            }
            Knob::Overcommit => self.hstate.pool().set_overcommit(count),
            Knob::OomFloor => self.hstate.pool().set_oom_floor(count),
            Knob::ScrubPercent => {
                let share = Percent::new(number).ok_or(EINVAL)?;
                self.hstate.pool().set_scrub_share(share);
            }
            // Without a write bit sysfs lets nobody come here.
            Knob::Free
            | Knob::Resv
            | Knob::Surplus
            | Knob::Pinned
            | Knob::Poisoned
            | Knob::Zeroed
            | Knob::FaultsCleared
            | Knob::FaultsFoundZero
            | Knob::Explain
            | Knob::CanGrow => return Err(EACCES),
        }
        Ok(())
    }
}

/// All files, for as long as this lives.
pub(crate) struct Knobs {
    _files: KVec<Pin<KBox<File<HstateFile>>>>,
    _conversions: Conversions,
}

impl Knobs {
    /// Makes the folders and files of `hstates`. Sleeps.
    pub(crate) fn create(hstates: &[Arc<Hstate>]) -> Result<Self> {
        let mut files = KVec::new();
        let mut conversions = Conversions::new();
        let root = Directory::create(None, c_str!("rust_hugetlb"))?;
        for hstate in hstates {
            let folder = add(&mut files, &root, hstate, None, &GLOBAL)?;
            conversions.add(&folder, hstate, hstates, None)?;
        }
        for node in node::online().filter_map(NodeId::new) {
            let name = CString::try_from_fmt(kernel::prelude::fmt!("node{}", node.index()))?;
            let folder = Directory::create(Some(root.clone()), &name)?;
            for hstate in hstates {
                let folder = add(&mut files, &folder, hstate, Some(node), &PER_NODE)?;
                conversions.add(&folder, hstate, hstates, Some(node))?;
            }
        }
        Ok(Self {
            _files: files,
            _conversions: conversions,
        })
    }
}

/// Makes the folder of one size in `parent`, with its files.
fn add(
    files: &mut KVec<Pin<KBox<File<HstateFile>>>>,
    parent: &Arc<Directory>,
    hstate: &Arc<Hstate>,
    node: Option<NodeId>,
    rows: &[Row],
) -> Result<Arc<Directory>> {
    let folder = Directory::create(Some(parent.clone()), &hstate.folder()?)?;
    for &(name, mode, knob) in rows {
        let hstate = hstate.clone();
        let attribute = HstateFile { hstate, node, knob };
        files.push(
            File::create(folder.clone(), name, mode, attribute)?,
            GFP_KERNEL,
        )?;
    }
    Ok(folder)
}
