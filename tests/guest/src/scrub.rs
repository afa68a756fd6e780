// SPDX-License-Identifier: GPL-2.0

//! How much a pool's scrubber may do, for the time of a test; and what it did.

use crate::pool::{write_once, Pool};
use crate::{poll, Check};

/// `scrub_percent` of a pool as a test needs it, and put back when that is over.
#[must_use]
pub struct Share {
    pool: Pool,
    before: u64,
}

impl Share {
    pub fn of(pool: Pool, percent: u64) -> Check<Self> {
        let before = pool.read(None, "scrub_percent")?;
        set(pool, percent)?;
        Ok(Self { pool, before })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = set(self.pool, self.before);
    }
}

/// Writes `percent`.
pub fn set(pool: Pool, percent: u64) -> Check {
    write_once(&pool.file("scrub_percent"), percent.to_string().as_bytes())?;
    Ok(())
}

/// Waits until so many pages are known to be zero.
pub fn settles(pool: Pool, zeroed: u64) -> Check {
    poll::until("zeroed_hugepages", || pool.zeroed(), |seen| *seen == zeroed).map(drop)
}

/// How many faults cleared, and how many found zeros.
pub fn faults(pool: Pool) -> Check<(u64, u64)> {
    Ok((
        pool.read(None, "faults_cleared")?,
        pool.read(None, "faults_found_zero")?,
    ))
}
