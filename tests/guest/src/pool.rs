// SPDX-License-Identifier: GPL-2.0

//! The counters of a pool: the module's, and hugetlb's of the same guest to compare with.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;

use crate::{call, check, poll, same, Check, Errno, Fail, GIGANTIC, HUGE};

/// A pool of the module or of hugetlb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    directory: &'static str,
    nodes: &'static str,
    in_node: &'static str,
    page_bytes: usize,
}

/// The module's pool of 2 MiB pages.
pub const OURS: Pool = Pool {
    directory: "/sys/kernel/rust_hugetlb/hugepages-2048kB",
    nodes: "/sys/kernel/rust_hugetlb",
    in_node: "hugepages-2048kB",
    page_bytes: HUGE,
};

/// hugetlb's pool of them, the oracle.
pub const HUGETLB: Pool = Pool {
    directory: "/sys/kernel/mm/hugepages/hugepages-2048kB",
    nodes: "/sys/devices/system/node",
    in_node: "hugepages/hugepages-2048kB",
    page_bytes: HUGE,
};

/// The module's pool of 1 GiB pages.
pub const OURS_1G: Pool = Pool {
    directory: "/sys/kernel/rust_hugetlb/hugepages-1048576kB",
    in_node: "hugepages-1048576kB",
    page_bytes: GIGANTIC,
    ..OURS
};

/// hugetlb's pool of them.
pub const HUGETLB_1G: Pool = Pool {
    directory: "/sys/kernel/mm/hugepages/hugepages-1048576kB",
    in_node: "hugepages/hugepages-1048576kB",
    page_bytes: GIGANTIC,
    ..HUGETLB
};

/// One node's counters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NodeCounts {
    pub nr: u64,
    pub free: u64,
    pub surplus: u64,
}

/// Short, so that the reason of a failure has room for all nodes of two pools.
impl fmt::Debug for NodeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.nr, self.free, self.surplus).fmt(f)
    }
}

/// All counters that both pools have, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub nr: u64,
    pub free: u64,
    pub resv: u64,
    pub surplus: u64,
    pub overcommit: u64,
    pub nodes: Vec<NodeCounts>,
}

impl Counts {
    /// nr, free and surplus.
    pub fn row(&self) -> (u64, u64, u64) {
        (self.nr, self.free, self.surplus)
    }
}

impl Pool {
    /// Bytes of one of its pages.
    pub fn page_bytes(self) -> usize {
        self.page_bytes
    }

    /// Whether it is the module's.
    pub fn is_ours(self) -> bool {
        self.nodes == OURS.nodes
    }

    /// The path of one of the pool's files.
    pub fn file(self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The path of one of a node's files.
    pub fn node_file(self, node: usize, name: &str) -> String {
        format!("{}/node{node}/{}/{name}", self.nodes, self.in_node)
    }

    /// The path of one of a node's files, or of the whole pool's.
    pub fn file_of(self, node: Option<usize>, name: &str) -> String {
        match node {
            Some(node) => self.node_file(node, name),
            None => self.file(name),
        }
    }

    /// The count in one of these files.
    pub fn read(self, node: Option<usize>, name: &str) -> Check<u64> {
        number(&self.file_of(node, name))
    }

    /// Writes a count to one of these files: what write(2) returned, as an error or not.
    pub fn write(self, node: Option<usize>, name: &str, count: u64) -> Result<(), Errno> {
        let text = count.to_string();
        let written = write_once(&self.file_of(node, name), text.as_bytes())?;
        assert_eq!(written, text.len(), "a write of {name} ended halfway");
        Ok(())
    }

    pub fn nr(self) -> Check<u64> {
        number(&self.file("nr_hugepages"))
    }

    pub fn free(self) -> Check<u64> {
        number(&self.file("free_hugepages"))
    }

    pub fn surplus(self) -> Check<u64> {
        number(&self.file("surplus_hugepages"))
    }

    /// Free pages that are promised to mappings.
    pub fn resv(self) -> Check<u64> {
        number(&self.file("resv_hugepages"))
    }

    /// How many surplus pages may be made.
    pub fn overcommit(self) -> Check<u64> {
        number(&self.file("nr_overcommit_hugepages"))
    }

    /// Pages that only a GUP user still holds (the module's pool alone counts them).
    pub fn pinned(self) -> Check<u64> {
        number(&self.file("pinned_hugepages"))
    }

    /// Pages that left as they broke (the module's pool alone counts them).
    pub fn poisoned(self) -> Check<u64> {
        number(&self.file("poisoned_hugepages"))
    }

    /// Those of each node, in ascending order.
    pub fn poisoned_by_node(self) -> Check<Vec<u64>> {
        let of_node = |node| number(&self.node_file(node, "poisoned_hugepages"));
        online_nodes()?.into_iter().map(of_node).collect()
    }

    /// Free pages that are known to be zero (the module's pool alone counts them).
    pub fn zeroed(self) -> Check<u64> {
        number(&self.file("zeroed_hugepages"))
    }

    pub fn counts(self) -> Check<Counts> {
        let node = |node| {
            let count = |name| number(&self.node_file(node, name));
            Ok(NodeCounts {
                nr: count("nr_hugepages")?,
                free: count("free_hugepages")?,
                surplus: count("surplus_hugepages")?,
            })
        };
        Ok(Counts {
            nr: self.nr()?,
            free: self.free()?,
            resv: self.resv()?,
            surplus: self.surplus()?,
            overcommit: self.overcommit()?,
            nodes: online_nodes()?
                .into_iter()
                .map(node)
                .collect::<Check<_>>()?,
        })
    }

    /// Writes a count to `nr_hugepages`.
    pub fn set(self, count: u64) -> Check {
        write_number(&self.file("nr_hugepages"), count)
    }

    /// Writes a count to `nr_hugepages_mempolicy`.
    pub fn set_by_policy(self, count: u64) -> Check {
        write_number(&self.file("nr_hugepages_mempolicy"), count)
    }

    /// Writes a count to `nr_overcommit_hugepages`.
    pub fn set_overcommit(self, count: u64) -> Check {
        write_number(&self.file("nr_overcommit_hugepages"), count)
    }

    /// Writes a count to a node's `nr_hugepages`.
    pub fn set_node(self, node: usize, count: u64) -> Check {
        write_number(&self.node_file(node, "nr_hugepages"), count)
    }

    /// Writes a count until the pool has so many pages: of 1 GiB one is missed where somebody uses a
    /// piece of it just then.
    pub fn reach(self, count: u64) -> Check {
        let write = || self.set(count).and_then(|()| self.nr());
        poll::until("nr_hugepages", write, |seen| *seen == count).map(drop)
    }

    /// The same for a node.
    pub fn reach_on(self, node: usize, count: u64) -> Check {
        let write = || {
            self.set_node(node, count)?;
            number(&self.node_file(node, "nr_hugepages"))
        };
        poll::until("a node's nr_hugepages", write, |seen| *seen == count).map(drop)
    }

    /// Waits until so many pages are free.
    pub fn settles_at_free(self, free: u64) -> Check {
        poll::until("free_hugepages", || self.free(), |seen| *seen == free).map(drop)
    }

    /// Waits until the pool has so many pages.
    pub fn settles_at_nr(self, nr: u64) -> Check {
        poll::until("nr_hugepages", || self.nr(), |seen| *seen == nr).map(drop)
    }
}

/// A pool resized for a test, and put back to what it was when the test is over.
#[must_use]
pub struct Resized {
    pool: Pool,
    before: u64,
    overcommit: u64,
}

impl Resized {
    /// Gives the module's pool exactly `count` pages, all free.
    pub fn ours(count: u64) -> Check<Self> {
        Self::of(OURS, count)
    }

    /// The same for its pool of 1 GiB pages.
    pub fn ours_1g(count: u64) -> Check<Self> {
        Self::of(OURS_1G, count)
    }

    /// Gives `pool` exactly `count` pages, all free, none reserved, and no overcommit.
    pub fn of(pool: Pool, count: u64) -> Check<Self> {
        let resized = Self {
            pool,
            before: pool.nr()?,
            overcommit: pool.overcommit()?,
        };
        pool.set_overcommit(0)?;
        pool.reach(count)?;
        pool.settles_at_free(count)?;
        same!(
            (pool.surplus()?, pool.resv()?),
            (0, 0),
            "surplus_hugepages and resv_hugepages of an unused pool"
        );
        Ok(resized)
    }
}

impl Drop for Resized {
    fn drop(&mut self) {
        // The test has its verdict already; the next one checks what it needs.
        let _ = self.pool.set(self.before);
        let _ = self.pool.set_overcommit(self.overcommit);
    }
}

/// The nodes that are online, ascending: those that have files.
pub fn online_nodes() -> Check<Vec<usize>> {
    node_list("online")
}

/// The nodes that have memory, ascending: those that pages come from.
pub fn memory_nodes() -> Check<Vec<usize>> {
    node_list("has_memory")
}

fn node_list(name: &str) -> Check<Vec<usize>> {
    let text = fs::read_to_string(format!("/sys/devices/system/node/{name}"))?;
    let mut nodes = Vec::new();
    for range in text.trim_end().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        nodes.extend(first.parse::<usize>()?..=last.parse()?);
    }
    check!(!nodes.is_empty(), "no node in {name}: {text:?}");
    Ok(nodes)
}

/// One write(2) of `bytes` to `path`: what it returned.
pub fn write_once(path: &str, bytes: &[u8]) -> Result<usize, Errno> {
    let file = OpenOptions::new().write(true).open(path)?;
    // SAFETY: The bytes are there.
    let written = unsafe { libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    let written = call(written as i64)?;
    Ok(written as usize)
}

fn write_number(path: &str, count: u64) -> Check {
    let text = count.to_string();
    match write_once(path, text.as_bytes()) {
        Ok(written) if written == text.len() => Ok(()),
        other => Err(Fail(format!("write {text} to {path}: {other:?}"))),
    }
}

fn number(path: &str) -> Check<u64> {
    let text = fs::read_to_string(path).map_err(|error| Fail(format!("read {path}: {error}")))?;
    // hugetlb's own format: the digits and a line feed, nothing else.
    text.strip_suffix('\n')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Fail(format!("{path} holds {text:?}")))
}
