// SPDX-License-Identifier: GPL-2.0

//! Memory that is soon used up, and how much of a pool may go then.

use guest::memory::huge_pages;
use guest::pool::{write_once, Counts, Pool, Resized, HUGETLB};
use guest::{same, Check};

use crate::hog::{takes, End};

/// Huge pages that processes can have beside the pools.
const SPARE: usize = 100;

/// A pool's floor, and none again in the end.
pub struct Floor(Pool);

impl Floor {
    pub fn of(pool: Pool, count: u64) -> Check<Self> {
        write_once(&path(pool), count.to_string().as_bytes())?;
        Ok(Self(pool))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = write_once(&path(self.0), b"max");
    }
}

/// The file of a pool's floor.
pub fn path(pool: Pool) -> String {
    pool.file("oom_floor")
}

/// hugetlb's pool, with all but a little of the memory in it that no other pool has, so that the rest
/// is soon used up.
pub fn scarce() -> Check<Resized> {
    let hugetlbs = Resized::of(HUGETLB, 0)?;
    HUGETLB.set(huge_pages("MemAvailable")?.saturating_sub(SPARE) as u64)?;
    Ok(hugetlbs)
}

/// The counters of a pool after somebody wanted all memory, also what the pools and the kernel have.
pub fn after_taking_all(pool: Pool) -> Check<Counts> {
    same!(
        takes(huge_pages("MemTotal")?)?,
        End::Killed,
        "who takes all there is"
    );
    pool.counts()
}
