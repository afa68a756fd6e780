// SPDX-License-Identifier: GPL-2.0

//! How much memory the page allocator has.

use std::fs;

use crate::{Check, Fail};

/// Free KiB: MemFree, and the pages that wait in the allocator's per-CPU lists, which MemFree
/// leaves out although a freed huge page may lie there.
pub fn free_kib() -> Check<u64> {
    // MemFree is a sum that each CPU adds to now and then; this makes them all do it.
    fs::write("/proc/sys/vm/stat_refresh", "1")?;
    let mut waiting = 0;
    for line in fs::read_to_string("/proc/zoneinfo")?.lines() {
        if let Some(count) = line.trim_start().strip_prefix("count:") {
            waiting += count.trim().parse::<u64>()?;
        }
    }
    Ok(meminfo("MemFree")? + waiting * 4)
}

/// A line of /proc/meminfo, in KiB.
pub fn meminfo(name: &str) -> Check<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .ok_or_else(|| Fail(format!("no {name} in /proc/meminfo")))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
