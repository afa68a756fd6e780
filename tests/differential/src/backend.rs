// SPDX-License-Identifier: GPL-2.0

//! The two pools under test, and where each has its files.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::size::{DEVICE, FOLDER, MEMFD};
use crate::sys::{self, Returned};

/// One of the two pools of pages of that [`crate::size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The kernel's own: what it does is right.
    Hugetlb,
    /// The module's.
    Ours,
}

/// A file of a pool in sysfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knob {
    Nr,
    NrMempolicy,
    Overcommit,
    Free,
    Resv,
    Surplus,
    NodeNr(usize),
    NodeFree(usize),
    NodeSurplus(usize),
}

impl Knob {
    /// All of them on a machine with these nodes.
    pub fn all(nodes: &[usize]) -> Vec<Self> {
        let global = [
            Self::Nr,
            Self::NrMempolicy,
            Self::Overcommit,
            Self::Free,
            Self::Resv,
            Self::Surplus,
        ];
        let per_node = nodes.iter().flat_map(|&node| {
            [
                Self::NodeNr(node),
                Self::NodeFree(node),
                Self::NodeSurplus(node),
            ]
        });
        global.into_iter().chain(per_node).collect()
    }

    /// Whether it takes a count.
    pub fn is_writable(self) -> bool {
        matches!(
            self,
            Self::Nr | Self::NrMempolicy | Self::Overcommit | Self::NodeNr(_)
        )
    }

    fn node(self) -> Option<usize> {
        match self {
            Self::NodeNr(node) | Self::NodeFree(node) | Self::NodeSurplus(node) => Some(node),
            _ => None,
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Nr | Self::NodeNr(_) => "nr_hugepages",
            Self::NrMempolicy => "nr_hugepages_mempolicy",
            Self::Overcommit => "nr_overcommit_hugepages",
            Self::Free | Self::NodeFree(_) => "free_hugepages",
            Self::Resv => "resv_hugepages",
            Self::Surplus | Self::NodeSurplus(_) => "surplus_hugepages",
        }
    }
}

impl Backend {
    /// Both, the oracle first.
    pub const BOTH: [Self; 2] = [Self::Hugetlb, Self::Ours];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hugetlb => "hugetlb",
            Self::Ours => "rust_hugetlb",
        }
    }

    /// The path of a file.
    pub fn path(self, knob: Knob) -> String {
        let file = knob.file_name();
        match (self, knob.node()) {
            (Self::Hugetlb, None) => format!("/sys/kernel/mm/hugepages/{FOLDER}/{file}"),
            (Self::Hugetlb, Some(node)) => {
                format!("/sys/devices/system/node/node{node}/hugepages/{FOLDER}/{file}")
            }
            (Self::Ours, None) => format!("/sys/kernel/rust_hugetlb/{FOLDER}/{file}"),
            (Self::Ours, Some(node)) => {
                format!("/sys/kernel/rust_hugetlb/node{node}/{FOLDER}/{file}")
            }
        }
    }

    /// Opens a new, empty file of huge pages. It grows with the writable mappings.
    pub fn open(self) -> Result<OwnedFd, i32> {
        match self {
            // SAFETY: The name is a C string.
            Self::Hugetlb => sys::descriptor(unsafe {
                libc::memfd_create(
                    c"differential".as_ptr(),
                    libc::MFD_HUGETLB | MEMFD | libc::MFD_CLOEXEC,
                )
            }),
            Self::Ours => OpenOptions::new()
                .read(true)
                .write(true)
                .open(DEVICE)
                .map(OwnedFd::from)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)),
        }
    }

    /// Opens a file of the pool for writing, and writes once: what open or write returned.
    pub fn write(self, knob: Knob, bytes: &[u8]) -> Returned {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(self.path(knob))
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))?;
        sys::write(&file, bytes)
    }
}
