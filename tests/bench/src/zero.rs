// SPDX-License-Identifier: GPL-2.0

//! Which of the module's free pages are known to be zero, made certain: its scrubber runs when a case
//! asks for it and at no other time, and its counters must say of each first touch what it found.

use std::time::Duration;
use std::{fs, thread};

use guest::pool::Pool;
use guest::{same, Check};

/// How often to look how far the scrubber is.
const LOOK: Duration = Duration::from_millis(5);

/// The module's scrubber, stopped until this is dropped; of hugetlb's pool: nothing.
#[must_use]
pub struct Scrubber {
    /// Its file, and what was in there.
    knob: Option<(String, String)>,
}

impl Scrubber {
    pub fn stopped(pool: Pool) -> Check<Self> {
        if !pool.is_ours() {
            return Ok(Self { knob: None });
        }
        let path = pool.file("scrub_percent");
        let before = fs::read_to_string(&path)?;
        fs::write(&path, "0")?;
        Ok(Self {
            knob: Some((path, before)),
        })
    }

    /// Lets it clear all `pages` pages of `pool`, which are free, and stops it again. However many
    /// there are, it must get on.
    pub fn clean(pool: Pool, pages: usize) -> Check {
        if !pool.is_ours() {
            return Ok(());
        }
        let path = pool.file("scrub_percent");
        fs::write(&path, "100")?;
        let zeroed = || {
            // To look all the time would take the processor away from it.
            thread::sleep(LOOK);
            pool.read(None, "zeroed_hugepages")
        };
        let all = pages as u64;
        let mut before = pool.read(None, "zeroed_hugepages")?;
        while before < all {
            before = guest::poll::until("zeroed_hugepages", zeroed, |now| *now > before)?;
        }
        fs::write(&path, "0")?;
        Ok(())
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        if let Some((path, before)) = &self.knob {
            let _ = fs::write(path, before);
        }
    }
}

/// What the module says that its faults found, before some of them; nothing of hugetlb's pool.
pub struct Faults {
    pool: Pool,
    before: Option<(u64, u64)>,
}

impl Faults {
    pub fn of(pool: Pool) -> Check<Self> {
        let before = pool.is_ours().then(|| found(pool)).transpose()?;
        Ok(Self { pool, before })
    }

    /// Fails unless `pages` faults came since, each with a page that is known to be zero.
    pub fn found_zero(self, pages: usize) -> Check {
        self.expect(0, pages)
    }

    /// The same of faults that cleared their page.
    pub fn cleared(self, pages: usize) -> Check {
        self.expect(pages, 0)
    }

    fn expect(self, cleared: usize, found_zero: usize) -> Check {
        let Some(before) = self.before else {
            return Ok(());
        };
        let want = (before.0 + cleared as u64, before.1 + found_zero as u64);
        same!(
            found(self.pool)?,
            want,
            "faults_cleared and faults_found_zero"
        );
        Ok(())
    }
}

fn found(pool: Pool) -> Check<(u64, u64)> {
    Ok((
        pool.read(None, "faults_cleared")?,
        pool.read(None, "faults_found_zero")?,
    ))
}
