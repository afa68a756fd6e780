// SPDX-License-Identifier: GPL-2.0

//! How much memory the page allocator has.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::{check, Check, Fail, HUGE};

/// Bytes of a base page.
pub const BASE_PAGE: u64 = 4096;

/// Slab pages come and go all the time; that is less than a huge page.
pub const NOISE_KIB: u64 = 1536;

/// Free KiB: what the zones have, and the pages that wait in the allocator's per-CPU lists, which
/// MemFree leaves out although a freed huge page may lie there. Both from one file, which shows a zone
/// under its lock: a page that goes from a list to the zone meanwhile would count twice.
pub fn free_kib() -> Check<u64> {
    // A zone's count is a sum that each CPU adds to now and then; this makes them all do it.
    fs::write("/proc/sys/vm/stat_refresh", "1")?;
    let mut pages = 0;
    for line in fs::read_to_string("/proc/zoneinfo")?.lines() {
        let line = line.trim_start();
        let count = line
            .strip_prefix("pages free")
            .or(line.strip_prefix("count:"));
        if let Some(count) = count {
            pages += count.trim().parse::<u64>()?;
        }
    }
    Ok(pages * BASE_PAGE / 1024)
}

/// Makes what the slab caches keep for later free memory. With KASAN that includes its quarantine,
/// where freed objects wait, as much as a 32nd of all memory, so that a late use is seen.
pub fn shrink_caches() -> Check {
    for cache in fs::read_dir("/sys/kernel/slab")? {
        let cache = cache?;
        // The names of caches that share one are links to it.
        if !cache.file_type()?.is_symlink() {
            fs::write(cache.path().join("shrink"), "1")?;
        }
    }
    Ok(())
}

/// [`free_kib`] once the slab caches keep nothing back: without that each operation seems to lose some
/// memory on a kernel with KASAN, until its quarantine is full.
pub fn settled_free_kib() -> Check<u64> {
    shrink_caches()?;
    free_kib()
}

/// Fails unless as much memory is free now as was before, both read in the same way.
pub fn all_is_back(before: u64, now: u64) -> Check {
    check!(
        now.abs_diff(before) < NOISE_KIB,
        "{before} KiB were free before, {now} KiB are now"
    );
    Ok(())
}

/// A line of /proc/meminfo, in KiB.
pub fn meminfo(name: &str) -> Check<u64> {
    named("/proc/meminfo", name)
}

/// The same in units of a huge page.
pub fn huge_pages(name: &str) -> Check<usize> {
    Ok(meminfo(name)? as usize * 1024 / HUGE)
}

/// A node's free memory in units of a huge page.
pub fn free_pages_on(node: usize) -> Check<u64> {
    let path = format!("/sys/devices/system/node/node{node}/meminfo");
    let text = fs::read_to_string(&path)?;
    let line = text.lines().find(|line| line.contains(" MemFree:"));
    let words = line.unwrap_or_default().split_whitespace();
    let kib: u64 = words.rev().nth(1).unwrap_or_default().parse()?;
    Ok(kib * 1024 / HUGE as u64)
}

/// A line of /proc/vmstat: how often something happened since the boot.
pub fn vmstat(name: &str) -> Check<u64> {
    named("/proc/vmstat", name)
}

/// The number after a name in a file that has one of each in a line.
fn named(path: &str, name: &str) -> Check<u64> {
    let text = fs::read_to_string(path)?;
    let number = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_it = words.next()?.trim_end_matches(':') == name;
        words.next().filter(|_| is_it)
    });
    Ok(number
        .ok_or_else(|| Fail(format!("no {name} in {path}")))?
        .parse()?)
}

/// The number of the page frame at an address of this process, which must be mapped.
pub fn frame_of(address: *const u8) -> Check<u64> {
    let entry = entry("/proc/self/pagemap", address as u64 / BASE_PAGE)?;
    check!(entry >> 63 != 0, "nothing is mapped at {address:?}");
    Ok(entry & ((1 << 55) - 1))
}

/// Whether a page frame is one of a compound page, as each huge page is until the page allocator has
/// it back.
pub fn is_compound(frame: u64) -> Check<bool> {
    const KPF_COMPOUND_HEAD: u64 = 15;
    const KPF_COMPOUND_TAIL: u64 = 16;
    let either = (1 << KPF_COMPOUND_HEAD) | (1 << KPF_COMPOUND_TAIL);
    Ok(entry("/proc/kpageflags", frame)? & either != 0)
}

/// Whether a page frame is a process's or a file's, or may become so.
pub fn is_users(frame: u64) -> Check<bool> {
    const KPF_LRU: u64 = 5;
    const KPF_MMAP: u64 = 11;
    const KPF_ANON: u64 = 12;
    let any = (1 << KPF_LRU) | (1 << KPF_MMAP) | (1 << KPF_ANON);
    Ok(entry("/proc/kpageflags", frame)? & any != 0)
}

/// Whether a page frame lies in a free block of the page allocator's, or may do so.
pub fn is_free(frame: u64) -> Check<bool> {
    const KPF_BUDDY: u64 = 10;
    Ok(entry("/proc/kpageflags", frame)? & (1 << KPF_BUDDY) != 0)
}

/// What /proc/kpageflags has of each of `count` page frames from `first` on; less where it ends.
pub fn flags(first: u64, count: usize) -> Check<Vec<u64>> {
    let file = File::open("/proc/kpageflags")?;
    let mut bytes = vec![0; count * 8];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], first * 8 + filled as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    let words = bytes[..filled].chunks_exact(8);
    let word = |bytes: &[u8]| Ok(u64::from_ne_bytes(bytes.try_into()?));
    words.map(word).collect()
}

/// Whether the kernel takes a page frame for broken.
pub fn is_poisoned(frame: u64) -> Check<bool> {
    const KPF_HWPOISON: u64 = 19;
    Ok(entry("/proc/kpageflags", frame)? & (1 << KPF_HWPOISON) != 0)
}

/// The kernel learns that a page frame is broken. Of some pages it says that it could do nothing.
pub fn poison(frame: u64) -> Check {
    let address = format!("{:#x}", frame * BASE_PAGE);
    let said = fs::write("/sys/devices/system/memory/hard_offline_page", address);
    check!(
        is_poisoned(frame)?,
        "frame {frame:#x} is not poisoned: {said:?}"
    );
    Ok(())
}

/// The word of that number in a file of words.
fn entry(path: &str, number: u64) -> Check<u64> {
    let mut word = [0; 8];
    File::open(path)?.read_exact_at(&mut word, number * 8)?;
    Ok(u64::from_ne_bytes(word))
}
