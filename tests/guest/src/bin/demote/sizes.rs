// SPDX-License-Identifier: GPL-2.0

//! Both sizes of both systems: their files, their counters, mappings of their pages.

use std::fs::{self, File};
use std::os::fd::{FromRawFd, RawFd};

use guest::device::open_with;
use guest::map::{Map, Request};
use guest::pool::{memory_nodes, online_nodes, write_once};
use guest::{call, check, same, Check, Errno, Fail, HUGE};

/// Bytes of a large page.
pub const GIGANTIC: usize = 1 << 30;
/// How many small pages a large one is.
pub const PIECES: u64 = (GIGANTIC / HUGE) as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Hugetlb,
    Ours,
}

/// The oracle first.
pub const SYSTEMS: [System; 2] = [System::Hugetlb, System::Ours];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Large,
    Small,
}

/// nr, free, surplus.
type Row = (u64, u64, u64);

/// The counters of one size: all nodes', and each one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub total: Row,
    pub resv: u64,
    pub nodes: Vec<Row>,
}

impl Size {
    pub fn bytes(self) -> usize {
        match self {
            Self::Large => GIGANTIC,
            Self::Small => HUGE,
        }
    }
}

impl System {
    /// A file of a size: of one node, or of all.
    pub fn file(self, size: Size, node: Option<usize>, name: &str) -> String {
        let folder = format!("hugepages-{}kB/{name}", size.bytes() >> 10);
        match (self, node) {
            (Self::Hugetlb, None) => format!("/sys/kernel/mm/hugepages/{folder}"),
            (Self::Hugetlb, Some(node)) => {
                format!("/sys/devices/system/node/node{node}/hugepages/{folder}")
            }
            (Self::Ours, None) => format!("/sys/kernel/rust_hugetlb/{folder}"),
            (Self::Ours, Some(node)) => format!("/sys/kernel/rust_hugetlb/node{node}/{folder}"),
        }
    }

    pub fn read(self, size: Size, node: Option<usize>, name: &str) -> Check<u64> {
        let path = self.file(size, node, name);
        let text = fs::read_to_string(&path)?;
        match text.strip_suffix('\n').map(str::parse) {
            Some(Ok(number)) => Ok(number),
            _ => Err(Fail(format!("{path} holds {text:?}"))),
        }
    }

    /// What write(2) returned, as an error or not.
    pub fn write(
        self,
        size: Size,
        node: Option<usize>,
        name: &str,
        value: u64,
    ) -> Result<(), Errno> {
        let text = value.to_string();
        let written = write_once(&self.file(size, node, name), text.as_bytes())?;
        assert_eq!(written, text.len(), "a write of {name} ended halfway");
        Ok(())
    }

    /// Gives a size so many pages, on a node or in all, and nothing less.
    pub fn set(self, size: Size, node: Option<usize>, count: u64) -> Check {
        self.write(size, node, "nr_hugepages", count)?;
        same!(
            self.read(size, node, "nr_hugepages")?,
            count,
            "{size:?} pages of {self:?} after asking for {count}"
        );
        Ok(())
    }

    pub fn demote(self, node: Option<usize>, count: u64) -> Result<(), Errno> {
        self.write(Size::Large, node, "demote", count)
    }

    pub fn counts(self, size: Size) -> Check<Counts> {
        let row = |node| {
            let count = |name| self.read(size, node, name);
            Ok((
                count("nr_hugepages")?,
                count("free_hugepages")?,
                count("surplus_hugepages")?,
            ))
        };
        let nodes = online_nodes()?;
        Ok(Counts {
            total: row(None)?,
            resv: self.read(size, None, "resv_hugepages")?,
            nodes: nodes
                .into_iter()
                .map(|node| row(Some(node)))
                .collect::<Check<_>>()?,
        })
    }

    /// Both sizes.
    pub fn both(self) -> Check<[Counts; 2]> {
        Ok([self.counts(Size::Large)?, self.counts(Size::Small)?])
    }

    /// nr and free of the large size, then of the small one.
    pub fn totals(self) -> Check<[(u64, u64); 2]> {
        Ok(self.both()?.map(|counts| (counts.total.0, counts.total.1)))
    }

    /// A new huge file.
    pub fn open(self, size: Size) -> Result<File, Errno> {
        let encoded = match (self, size) {
            (Self::Ours, Size::Large) => {
                return open_with("/dev/rust_hugetlb-1G", libc::O_RDWR);
            }
            (Self::Ours, Size::Small) => {
                return open_with("/dev/rust_hugetlb-2M", libc::O_RDWR);
            }
            (Self::Hugetlb, Size::Large) => libc::MFD_HUGE_1GB,
            (Self::Hugetlb, Size::Small) => libc::MFD_HUGE_2MB,
        };
        let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB | encoded;
        // SAFETY: The name is a C string.
        let fd = call(unsafe { libc::memfd_create(c"pages".as_ptr(), flags) })?;
        // SAFETY: memfd_create just made it, and nobody else has it.
        Ok(unsafe { File::from_raw_fd(fd as RawFd) })
    }

    /// `pages` pages of a new huge file, reserved and mapped.
    pub fn map(self, size: Size, pages: usize) -> Result<Map, Errno> {
        request(size, pages).map(&self.open(size)?)
    }

    /// The same with MAP_NORESERVE.
    pub fn map_unreserved(self, size: Size, pages: usize) -> Result<Map, Errno> {
        request(size, pages).unreserved().map(&self.open(size)?)
    }
}

fn request(size: Size, pages: usize) -> Request {
    Request {
        bytes: pages * size.bytes(),
        ..Request::pages(0)
    }
}

/// Pools of both sizes without a page, and without one again when the test is over.
#[must_use]
pub struct Emptied(System);

impl Emptied {
    pub fn of(system: System) -> Check<Self> {
        let emptied = Self(system);
        for size in [Size::Large, Size::Small] {
            system.write(size, None, "nr_overcommit_hugepages", 0)?;
            system.set(size, None, 0)?;
            let counts = system.counts(size)?;
            same!((counts.total, counts.resv), ((0, 0, 0), 0), "{size:?} pool");
        }
        // A node's file moves both rotations there, wherever they were.
        let first = Some(memory_nodes()?[0]);
        system.set(Size::Large, first, 1)?;
        system.set(Size::Large, first, 0)?;
        Ok(emptied)
    }

    /// The same with so many large pages on each node.
    pub fn with(system: System, on_nodes: &[u64]) -> Check<Self> {
        let emptied = Self::of(system)?;
        let nodes = memory_nodes()?;
        check!(nodes.len() >= on_nodes.len(), "only {nodes:?} have memory");
        for (node, count) in nodes.into_iter().zip(on_nodes) {
            system.set(Size::Large, Some(node), *count)?;
        }
        Ok(emptied)
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        // The test has its verdict already; the next one checks what it needs.
        for size in [Size::Large, Size::Small] {
            let _ = self.0.write(size, None, "nr_hugepages", 0);
            let _ = self.0.write(size, None, "nr_overcommit_hugepages", 0);
        }
    }
}
