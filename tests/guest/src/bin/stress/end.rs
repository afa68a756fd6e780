// SPDX-License-Identifier: GPL-2.0

//! The end of a run: every page is back in the pool, and from there in the page allocator.

use std::fs;

use guest::memory::{free_kib, meminfo};
use guest::pool::{write_once, Pool, OURS};
use guest::{check, poll, same, Check};

/// Less than one huge page may be missing.
const SLACK: i64 = 2048;

/// Fails unless all pages are free and unpromised, and none is surplus once there is room.
pub fn everything_is_back(pool: Pool) -> Check {
    poll::until(
        "nr - free, resv and pages pinned with all processes gone",
        || {
            let pinned = if pool == OURS { pool.pinned()? } else { 0 };
            let counts = pool.counts()?;
            Ok((counts.nr.wrapping_sub(counts.free), counts.resv, pinned))
        },
        |seen| *seen == (0, 0, 0),
    )?;
    // A node may be left with surplus that is free; a pool of that size has none.
    pool.set_overcommit(0)?;
    let nr = pool.nr()?;
    pool.set(nr)?;
    let counts = pool.counts()?;
    same!(
        (counts.nr, counts.free, counts.resv, counts.surplus),
        (nr, nr, 0, 0),
        "nr, free, resv, surplus after writing {nr}"
    );
    if pool.is_ours() {
        write_once(&pool.file("scrub_percent"), b"10")?;
        write_once(&pool.file("oom_floor"), b"max")?;
    }
    pool.set(0)?;
    let counts = pool.counts()?;
    same!(
        (counts.nr, counts.free, counts.resv, counts.surplus),
        (0, 0, 0, 0),
        "nr, free, resv, surplus after writing 0"
    );
    Ok(())
}

/// What was there before a run, with an empty pool.
pub struct Memory {
    nr: u64,
    overcommit: u64,
    /// KiB that nothing accounts for.
    gone: i64,
}

impl Memory {
    pub fn before(pool: Pool) -> Check<Self> {
        let (nr, overcommit) = (pool.nr()?, pool.overcommit()?);
        pool.set(0)?;
        same!(pool.nr()?, 0, "nr_hugepages of a pool that nobody uses");
        Ok(Self {
            nr,
            overcommit,
            gone: gone()?,
        })
    }

    /// Fails if less is back; gives the pool its size again.
    pub fn after(self, pool: Pool) -> Check {
        let missing = gone()? - self.gone;
        println!("# KiB that are not back: {missing}");
        pool.set(self.nr)?;
        pool.set_overcommit(self.overcommit)?;
        check!(missing < SLACK, "{missing} KiB are not back");
        Ok(())
    }
}

/// KiB that are neither free nor named in /proc/meminfo.
fn gone() -> Check<i64> {
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let mut known = free_kib()?;
    for name in [
        "Buffers",
        "Cached",
        "SwapCached",
        "AnonPages",
        "Slab",
        "KernelStack",
        "PageTables",
        "SecPageTables",
        "Percpu",
        "Hugetlb",
    ] {
        known += meminfo(name)?;
    }
    Ok(meminfo("MemTotal")? as i64 - known as i64)
}
