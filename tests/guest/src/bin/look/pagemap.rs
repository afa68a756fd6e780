// SPDX-License-Identifier: GPL-2.0

//! /proc/PID/pagemap, its ioctl, clear_refs, numa_maps, and the flags of the page frames.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use guest::beside::Side;
use guest::child::fork;
use guest::kind::{beside_both, half_touched, look, Kind};
use guest::map::Map;
use guest::pool::OURS;
use guest::{call, check, same, smaps, Check, Fail, HUGE};

const BASE_PAGES: usize = 512;

/// A bit of a pagemap entry.
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The words of `file` from number `first` on.
fn words<const N: usize>(file: &str, first: usize) -> Check<[u64; N]> {
    let mut bytes = vec![0; N * 8];
    File::open(file)?.read_exact_at(&mut bytes, first as u64 * 8)?;
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into()?);
    }
    Ok(words)
}

/// Notes the entries of each page, which must be alike but for the frame.
fn note_pagemap(side: &mut Side, what: &str, kind: Kind, map: &Map) -> Check {
    for page in 0..map.pages() {
        let first = map.at(page * HUGE) as usize / 4096;
        let entries: [u64; BASE_PAGES] = words("/proc/self/pagemap", first)?;
        let bits = |entry: u64| entry & (PRESENT | EXCLUSIVE | FILE);
        let what = format!("{what}, page {page}");
        side.note(
            format_args!("{what}, present, exclusive"),
            (entries[0] & PRESENT != 0, entries[0] & EXCLUSIVE != 0),
        );
        for (number, entry) in entries.iter().enumerate() {
            same!(bits(*entry), bits(entries[0]), "{what}, base page {number}");
            if entries[0] & PRESENT != 0 {
                let want = (entries[0] & FRAME) + number as u64;
                same!(entry & FRAME, want, "{what}, frame {number}");
            }
        }
        if entries[0] & PRESENT != 0 {
            check!(entries[0] & FRAME & 511 == 0, "{what}: unaligned");
            let of_file = entries[0] & FILE != 0;
            if kind == Kind::Private {
                side.deviates(format_args!("{what}, of a file"), of_file, false, true)?;
            } else {
                side.note(format_args!("{what}, of a file"), of_file);
            }
        }
    }
    Ok(())
}

pub fn pagemap() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        note_pagemap(side, "mapped", kind, &map)?;
        let child = fork(|link| {
            map.read(0);
            map.read(HUGE);
            link.send(1)?;
            link.number()?;
            map.write(0, 2);
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        // Fork takes private pages of ours out of the page tables.
        map.read(0);
        map.read(HUGE);
        note_pagemap(side, "read by a child", kind, &map)?;
        child.link.send(1)?;
        child.link.number()?;
        // Fork takes private pages of ours out of the page tables.
        map.read(0);
        map.read(HUGE);
        note_pagemap(side, "written by a child", kind, &map)?;
        child.link.send(1)?;
        child.finish()?;
        map.unmap(HUGE, HUGE)?;
        note_pagemap(side, "in the end", kind, &map)
    })
}

/// Bits of /proc/kpageflags that tell what a frame is, and that programs go by.
const FLAGS: [(&str, u32); 7] = [
    ("LRU", 5),
    ("BUDDY", 10),
    ("ANON", 12),
    ("COMPOUND_HEAD", 15),
    ("COMPOUND_TAIL", 16),
    ("HUGE", 17),
    ("THP", 22),
];

pub fn page_frames() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        let frame = guest::memory::frame_of(map.base())? as usize;
        let flags: [u64; BASE_PAGES] = words("/proc/kpageflags", frame)?;
        let counts: [u64; BASE_PAGES] = words("/proc/kpagecount", frame)?;
        side.note("mapped how often", counts.iter().all(|count| *count == 1));
        for (name, bit) in FLAGS {
            let of = |range: &[u64]| range.iter().filter(|word| (**word >> bit) & 1 != 0).count();
            let seen = (of(&flags[..1]), of(&flags[1..]));
            match name {
                "HUGE" => side.deviates(name, seen, (1, 511), (0, 0))?,
                "ANON" if kind == Kind::Private => {
                    side.deviates(name, seen, (1, 511), (0, 0))?;
                }
                _ => side.note(name, seen),
            }
        }
        Ok(())
    })
}

/// `struct pm_scan_arg` and `struct page_region` of include/uapi/linux/fs.h.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    into: *mut Region,
    room: u64,
    max_pages: u64,
    inverted: u64,
    mask: u64,
    any_of: u64,
    wanted: u64,
}
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const PAGEMAP_SCAN: libc::c_ulong = libc::_IOWR::<Scan>(b'f' as u32, 16);
const IS_PRESENT: u64 = 1 << 3;
const IS_HUGE: u64 = 1 << 6;

pub fn scan() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 4)?;
        map.unmap(HUGE, HUGE)?;
        let mut regions = [Region::default(); 8];
        let start = map.base() as u64;
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: 0,
            start,
            end: start + map.bytes() as u64,
            walk_end: 0,
            into: regions.as_mut_ptr(),
            room: regions.len() as u64,
            max_pages: 0,
            inverted: 0,
            mask: IS_PRESENT,
            any_of: 0,
            wanted: IS_PRESENT | IS_HUGE,
        };
        let pagemap = File::open("/proc/self/pagemap")?;
        // SAFETY: There is room for as many regions as it says.
        let found = call(unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &mut scan) })?;
        let seen: Vec<_> = regions[..found as usize]
            .iter()
            .map(|region| (region.start - start, region.end - start, region.categories))
            .collect();
        same!(seen.len(), 2, "regions: {seen:?}");
        side.note("regions", seen);
        Ok(())
    })
}

/// What is written to clear_refs write-protects pages, or marks them as not used.
pub fn clear_refs() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        for number in 1..=5_u64 {
            let written = fs::write("/proc/self/clear_refs", number.to_string());
            side.note(
                format_args!("clear_refs {number}"),
                written.map_err(guest::Errno::from),
            );
            side.note_counts(number)?;
            map.holds(0, if number == 1 { 10 } else { number - 1 })?;
            map.fill(0, number);
            map.write(2 * HUGE, number);
            look(side, &format!("clear_refs {number}, written"), &map)?;
            if side.pool() == OURS {
                smaps::all_huge(map.base(), 3)?;
            }
        }
        Ok(())
    })
}

pub fn numa_maps() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        let text = fs::read_to_string("/proc/self/numa_maps")?;
        let start = format!("{:x} ", map.base() as usize);
        let line = text.lines().find(|line| line.starts_with(&start));
        let line = line.ok_or_else(|| Fail("no line in numa_maps".to_string()))?;
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        side.note("policy", words.first());
        let value = |name: &str| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        side.note("page size", value("kernelpagesize_kB"));
        side.deviates("huge", words.contains(&"huge"), true, false)?;
        let mut pages = 0;
        for node in guest::pool::online_nodes()? {
            if let Some(count) = value(&format!("N{node}")) {
                pages += count.parse::<usize>()?;
            }
        }
        side.deviates("pages on nodes", pages, 2, 2 * BASE_PAGES)
    })
}
