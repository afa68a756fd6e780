// SPDX-License-Identifier: GPL-2.0

//! What every test ends with: each page is back, this process has as much in memory as before, and
//! the kernel has nothing to say. And how the page tables are seen from here: by the faults that a
//! touch takes, and by what the kernel counts as resident. (smaps would empty the entry it looks at.)

use std::fs;
use std::mem;
use std::ptr;

use guest::kmod::Log;
use guest::map::Map;
use guest::pool::{Resized, OURS_1G};
use guest::{call, check, fail, same, Check, Errno};

/// What the program itself may map of its own file meanwhile.
const NOISE: usize = 2 << 20;

/// Runs `act` with `pages` free pages.
pub fn balanced(pages: u64, act: impl FnOnce() -> Check) -> Check {
    let mut log = Log::from_now()?;
    let _pool = Resized::of(OURS_1G, pages)?;
    let resident = Resident::now()?;
    act()?;
    OURS_1G.settles_at_free(pages)?;
    let counts = OURS_1G.counts()?;
    same!(
        (counts.nr, counts.resv, counts.surplus, OURS_1G.pinned()?),
        (pages, 0, 0, 0),
        "nr, resv, surplus and pinned in the end"
    );
    resident.grew_by(0)?;
    quiet(&mut log)
}

/// Fails if the kernel warned of anything.
pub fn quiet(log: &mut Log) -> Check {
    let mut lines = log.complaints()?;
    // Of a machine with other work: that an interrupt or a clock came late.
    lines.retain(|line| !line.contains(" hrtimer: ") && !line.contains(" clocksource: "));
    same!(lines, Vec::<String>::new(), "the kernel's log");
    Ok(())
}

/// Bytes of files in this process's page tables.
pub struct Resident(usize);

impl Resident {
    pub fn now() -> Check<Self> {
        let text = fs::read_to_string("/proc/self/statm")?;
        match text.split(' ').nth(2) {
            Some(pages) => Ok(Self(pages.parse::<usize>()? * 4096)),
            None => fail!("/proc/self/statm holds {text:?}"),
        }
    }

    /// Fails unless it is `bytes` more by now.
    pub fn grew_by(&self, bytes: usize) -> Check {
        let now = Self::now()?.0;
        check!(
            now.abs_diff(self.0 + bytes) < NOISE,
            "resident were {} bytes, now {now}, not {bytes} more",
            self.0
        );
        Ok(())
    }
}

/// Has all of this program in its page tables, so that [`faults_of`] counts what it touches only.
pub fn warm() -> Check {
    let program = fs::read_link("/proc/self/exe")?;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let known = [&*program.to_string_lossy(), "[heap]", "[stack]"];
        if !known.iter().any(|name| line.ends_with(name)) {
            continue;
        }
        let Some((start, end)) = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'))
        else {
            fail!("/proc/self/maps holds {line:?}");
        };
        let start = usize::from_str_radix(start, 16)?;
        let bytes = usize::from_str_radix(end, 16)? - start;
        let advice = if line.contains(" rw") {
            libc::MADV_POPULATE_WRITE
        } else {
            libc::MADV_POPULATE_READ
        };
        // SAFETY: It changes no memory.
        call(unsafe { libc::madvise(ptr::without_provenance_mut(start), bytes, advice) })?;
    }
    faults_of(|| Ok(()))?;
    Ok(())
}

/// The page faults of this thread in `act`.
pub fn faults_of(act: impl FnOnce() -> Check) -> Check<i64> {
    let before = faults()?;
    act()?;
    Ok(faults()? - before)
}

fn faults() -> Result<i64, Errno> {
    // SAFETY: All zeroes is a valid rusage, and there is room for one.
    unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        call(libc::getrusage(libc::RUSAGE_THREAD, &mut usage))?;
        Ok(usage.ru_minflt + usage.ru_majflt)
    }
}

/// Fails unless the page is marked, and seeing that takes at most one fault: it is one entry.
pub fn marked_in_one_entry(map: &Map, page: usize, stamp: u64) -> Check {
    // A forked process has its parent's code not mapped yet.
    warm()?;
    let faults = faults_of(|| map.marked(page, stamp))?;
    check!(faults <= 1, "{faults} faults in page {page}");
    Ok(())
}
