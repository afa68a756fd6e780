// SPDX-License-Identifier: GPL-2.0

//! Both sizes of both systems: their files, their counters, mappings of their pages.

use guest::device::open_of;
use guest::map::{Map, Request};
use guest::pool::{memory_nodes, Counts, Pool, HUGETLB, HUGETLB_1G, OURS, OURS_1G};
use guest::{check, same, Check, Errno, GIGANTIC, HUGE};

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

impl System {
    fn pool(self, size: Size) -> Pool {
        match (self, size) {
            (Self::Hugetlb, Size::Large) => HUGETLB_1G,
            (Self::Hugetlb, Size::Small) => HUGETLB,
            (Self::Ours, Size::Large) => OURS_1G,
            (Self::Ours, Size::Small) => OURS,
        }
    }

    /// A file of a size: of one node, or of all.
    pub fn file(self, size: Size, node: Option<usize>, name: &str) -> String {
        self.pool(size).file_of(node, name)
    }

    pub fn read(self, size: Size, node: Option<usize>, name: &str) -> Check<u64> {
        self.pool(size).read(node, name)
    }

    /// What write(2) returned, as an error or not.
    pub fn write(
        self,
        size: Size,
        node: Option<usize>,
        name: &str,
        value: u64,
    ) -> Result<(), Errno> {
        self.pool(size).write(node, name, value)
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
        self.pool(size).counts()
    }

    /// Both sizes.
    pub fn both(self) -> Check<[Counts; 2]> {
        Ok([self.counts(Size::Large)?, self.counts(Size::Small)?])
    }

    /// nr and free of the large size, then of the small one.
    pub fn totals(self) -> Check<[(u64, u64); 2]> {
        Ok(self.both()?.map(|counts| (counts.nr, counts.free)))
    }

    /// `pages` pages of a new huge file, reserved and mapped.
    pub fn map(self, size: Size, pages: usize) -> Result<Map, Errno> {
        let pool = self.pool(size);
        Request::of(pool, pages).map(&open_of(pool)?)
    }

    /// The same with MAP_NORESERVE.
    pub fn map_unreserved(self, size: Size, pages: usize) -> Result<Map, Errno> {
        let pool = self.pool(size);
        Request::of(pool, pages).unreserved().map(&open_of(pool)?)
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
            same!((counts.row(), counts.resv), ((0, 0, 0), 0), "{size:?} pool");
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
