// SPDX-License-Identifier: GPL-2.0

//! The ranges and what is in them, beside what the kernel says of its zones and pages.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use guest::{call, check, debugfs, poll, same, Check, Errno};

use crate::text::{drain, Range, Size, GIGANTIC, LARGE, VERDICTS};

/// A zone of /proc/zoneinfo, in base pages.
#[derive(Debug, Default)]
pub struct Zone {
    pub node: usize,
    pub name: String,
    start: u64,
    spanned: u64,
    present: u64,
    managed: u64,
}

/// The zones that pages of the kernel may come from.
pub fn zones() -> Check<Vec<Zone>> {
    let mut zones: Vec<Zone> = Vec::new();
    for line in fs::read_to_string("/proc/zoneinfo")?.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["Node", node, "zone", name] = words[..] {
            zones.push(Zone {
                node: node.trim_end_matches(',').parse()?,
                name: name.to_string(),
                ..Zone::default()
            });
            continue;
        }
        let (Some(zone), [name, number]) = (zones.last_mut(), &words[..]) else {
            continue;
        };
        match *name {
            "start_pfn:" => zone.start = number.parse()?,
            "spanned" => zone.spanned = number.parse()?,
            "present" => zone.present = number.parse()?,
            "managed" => zone.managed = number.parse()?,
            _ => {}
        }
    }
    zones.retain(|zone| zone.managed != 0 && ["DMA", "DMA32", "Normal"].contains(&&*zone.name));
    check!(!zones.is_empty(), "no zone in /proc/zoneinfo");
    Ok(zones)
}

impl Zone {
    fn ranges(&self, size: Size) -> u64 {
        let first = self.start.next_multiple_of(size.pages);
        (self.start + self.spanned).saturating_sub(first) / size.pages
    }
}

pub fn ranges_are_those_of_zoneinfo() -> Check {
    for size in [LARGE, GIGANTIC] {
        let explain = size.explain()?;
        let map = size.map()?;
        let mut lines = 0;
        for zone in zones()? {
            let Zone { node, name, .. } = &zone;
            let ranges = explain.number(*node, name, "ranges");
            same!(ranges, Some(zone.ranges(size)), "ranges in {zone:?}");
            let of_zone: Vec<_> = map
                .iter()
                .filter(|range| range.node == *node && range.zone == *name)
                .collect();
            same!(of_zone.len() as u64, zone.ranges(size), "lines of {zone:?}");
            lines += of_zone.len();
            let (mut total, mut holes) = (0, 0);
            for range in of_zone {
                check!(
                    range.first >= zone.start && range.last < zone.start + zone.spanned,
                    "{range:?} is not in {zone:?}"
                );
                total += size.pages;
                holes += range.count("hole");
            }
            check!(
                total - holes <= zone.present,
                "{total} pages without {holes} in {zone:?}"
            );
            if zone.present == zone.spanned {
                same!(holes, 0, "holes in {zone:?}");
            }
        }
        same!(map.len(), lines, "lines of no zone");
        let facts = explain.facts.iter();
        let mut named: Vec<_> = facts.map(|fact| (fact.node, &fact.zone)).collect();
        named.dedup();
        same!(named.len(), zones()?.len(), "zones that are named");
    }
    Ok(())
}

pub fn maps_add_up() -> Check {
    for size in [LARGE, GIGANTIC] {
        for range in size.map()? {
            same!(range.pages.iter().sum::<u64>(), size.pages, "{range:?}");
            let worst = (0..VERDICTS.len()).rev().find(|&i| range.pages[i] != 0);
            let worst = worst.map(|i| VERDICTS[i]).unwrap_or_default();
            same!(range.verdict, worst, "{range:?}");
        }
        // The files are read one after the other, so now and then something moves in between.
        poll::until(
            "explain and the map",
            || {
                let explain = size.explain()?;
                let map = size.map()?;
                let counts = |of: &dyn Fn(&str) -> u64| VERDICTS.map(of);
                let told = counts(&|name| explain.sum(name, None));
                let seen = counts(&|name| map.iter().filter(|r| r.verdict == name).count() as u64);
                Ok((told, seen))
            },
            |(told, seen)| told == seen,
        )?;
    }
    Ok(())
}

const KPF_LRU: u64 = 1 << 5;
const KPF_SLAB: u64 = 1 << 7;
const KPF_BUDDY: u64 = 1 << 10;
const KPF_RESERVED: u64 = 1 << 32;

/// How many pages of a range have that flag, as /proc/kpageflags has it.
fn flagged(range: &Range, flag: u64) -> Check<u64> {
    let pages = range.last - range.first + 1;
    let mut words = vec![0; pages as usize * 8];
    let read = File::open("/proc/kpageflags")?.read_at(&mut words, range.first * 8)?;
    let words = words[..read].chunks_exact(8);
    Ok(words
        .filter(|word| u64::from_ne_bytes((*word).try_into().unwrap_or_default()) & flag != 0)
        .count() as u64)
}

/// /proc/kpageflags is the oracle: what is reserved to the page, what is free and what is on the LRU
/// lists wherever nothing moved in between.
pub fn map_agrees_with_kpageflags() -> Check {
    drain()?;
    let (mut reserved, mut quiet, mut lru, mut free) = (0, 0, 0, 0);
    for range in LARGE.map()? {
        same!(
            range.count("reserved"),
            flagged(&range, KPF_RESERVED)?,
            "reserved pages of {range:?}"
        );
        reserved += range.count("reserved");
        let listed = range.count("movable") + range.count("pinned");
        let buddies = flagged(&range, KPF_BUDDY)?;
        // CPUs keep lists of free pages, which are no buddies.
        if listed == flagged(&range, KPF_LRU)? && range.count("free") >= buddies {
            quiet += 1;
            lru += listed;
            free += range.count("free");
        }
    }
    let ranges = LARGE.map()?.len();
    check!(
        reserved > 0 && lru > 0 && free > 0,
        "{reserved} reserved, {lru} listed, {free} free"
    );
    check!(
        quiet >= ranges - ranges / 10,
        "{quiet} of {ranges} ranges agree with /proc/kpageflags"
    );
    Ok(())
}

/// A slab has no reference, as if it were free; small ones are no compound pages either.
pub fn slabs_are_not_free() -> Check {
    let mut slabs = 0;
    for range in LARGE.map()? {
        let here = flagged(&range, KPF_SLAB)?;
        slabs += here;
        if range.count("unmovable") < here {
            // Both are read again, as some may have come between.
            poll::until(
                "a range without its slabs, and how many it has",
                || Ok((LARGE.range_of(range.first)?, flagged(&range, KPF_SLAB)?)),
                |(now, slabs)| now.count("unmovable") >= *slabs,
            )?;
        }
    }
    check!(slabs > 0, "no slabs at all");
    Ok(())
}

pub fn a_read_can_be_interrupted() -> Check {
    interrupt(&[LARGE.pool.file("explain"), LARGE.pool.file("can_grow")])
}

pub fn a_map_can_be_interrupted() -> Check {
    interrupt(&[GIGANTIC.map_file()])
}

/// A signal that arrives during a walk ends the read, and the next one is whole again.
fn interrupt(paths: &[String]) -> Check {
    debugfs::mount()?;
    // SAFETY: The handler does nothing; without SA_RESTART it interrupts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        call(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()))?;
    }
    for path in paths {
        let mut file = File::open(path)?;
        let seen = under_fire(|| {
            let mut part = [0; 4096];
            file.read_at(&mut part, 0).err().map(Errno::from)
        });
        same!(seen, Some(Errno(libc::EINTR)), "reading {path}");
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        check!(text.ends_with(b"\n"), "{path} after that: {text:?}");
    }
    Ok(())
}

extern "C" fn nothing(_: libc::c_int) {}

/// Does it again and again while signals come, until it gives something or that is hopeless.
fn under_fire<T>(act: impl Fn() -> Option<T>) -> Option<T> {
    // SAFETY: It only asks.
    let me = unsafe { libc::pthread_self() };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // SAFETY: That thread waits for this one.
                unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        let seen = (0..10_000).find_map(|_| act());
        over.store(true, Relaxed);
        seen
    })
}
