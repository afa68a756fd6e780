// SPDX-License-Identifier: GPL-2.0

//! How much the scrubber may do, for the time of a test; and what it did.

use guest::pool::{write_once, OURS};
use guest::{poll, Check};

/// `scrub_percent` as a test needs it, and put back when that is over.
#[must_use]
pub struct Share(u64);

impl Share {
    pub fn of(percent: u64) -> Check<Self> {
        let share = Self(OURS.read(None, "scrub_percent")?);
        set(percent)?;
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = set(self.0);
    }
}

/// Writes `percent`.
pub fn set(percent: u64) -> Check {
    write_once(&OURS.file("scrub_percent"), percent.to_string().as_bytes())?;
    Ok(())
}

/// Waits until so many pages are known to be zero.
pub fn settles(zeroed: u64) -> Check {
    poll::until("zeroed_hugepages", || OURS.zeroed(), |seen| *seen == zeroed).map(drop)
}

/// How many faults cleared, and how many found zeros.
pub fn faults() -> Check<(u64, u64)> {
    Ok((
        OURS.read(None, "faults_cleared")?,
        OURS.read(None, "faults_found_zero")?,
    ))
}
