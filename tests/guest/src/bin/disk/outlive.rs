// SPDX-License-Identifier: GPL-2.0

//! Pins that outlive what they were made through.

use guest::beside::beside;
use guest::child::fork;
use guest::device::open;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::{poll, same, Check, HUGE};
use rust_hugetlb::HUGE_PAGE_SIZE;

use crate::direct::request;
use crate::files;
use crate::ring::Ring;

pub fn the_mapping_and_the_file() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        let map = request(2, true).map(&file)?;
        map.fill(0, 30);
        map.fill(1, 31);
        let mut ring = Ring::with(&map, 1, 1)?;
        drop((map, file));
        side.counts("the mapping is gone", (4, 3, 0, 0))?;
        let disk = files::stamped("outlive", 1, 35)?;
        ring.write(&disk, 0)?;
        side.note("what it held", files::words("outlive", 0)?);
        drop(ring);
        side.settles("the ring is gone", (4, 4, 0, 0))
    })
}

/// Not beside hugetlb, whose resv_hugepages is one less than none meanwhile: see DEVIATIONS.md.
pub fn a_private_mapping() -> Check {
    let _pool = Resized::ours(4)?;
    let map = request(2, false).map(&open()?)?;
    map.fill(0, 30);
    map.fill(1, 31);
    let mut ring = Ring::with(&map, 1, 1)?;
    drop(map);
    same!(
        (OURS.free()?, OURS.resv()?, OURS.pinned()?),
        (3, 0, 1),
        "free, resv, pinned"
    );
    let disk = files::stamped("private", 1, 35)?;
    ring.write(&disk, 0)?;
    same!(files::words("private", 0)?, (31, 31), "what it held");
    drop(ring);
    OURS.settles_at_free(4)
}

pub fn a_resize_to_nothing() -> Check {
    beside(3, |side| {
        let map = side.map(2)?;
        map.fill(0, 30);
        let mut ring = Ring::with(&map, 0, 1)?;
        drop(map);
        side.pool().set(0)?;
        side.counts("written 0", (1, 0, 0, 1))?;
        let disk = files::stamped("nothing", 1, 36)?;
        ring.read(&disk, 0, 0)?;
        ring.write(&disk, 0)?;
        side.note("what it holds", files::words("nothing", 0)?);
        drop(ring);
        side.settles("the ring is gone", (0, 0, 0, 0))
    })
}

/// A pinned page that is punched out of its file is the ring's alone.
pub fn a_hole() -> Check {
    let _pool = Resized::ours(3)?;
    let file = open()?;
    let map = Request::pages(2).map(&file)?;
    map.fill(0, 40);
    let mut ring = Ring::with(&map, 0, 1)?;
    rust_hugetlb_punch(&file, 0, HUGE)?;
    same!(OURS.pinned()?, 1, "pinned_hugepages");
    map.holds(0, 0)?;
    let disk = files::stamped("hole", 1, 45)?;
    ring.read(&disk, 0, 0)?;
    map.holds(0, 0)?;
    map.write(0, 41);
    ring.write(&disk, 0)?;
    same!(files::words("hole", 0)?, (45, 45), "what the ring has");
    drop((ring, map, file));
    OURS.settles_at_free(3)
}

pub fn a_process_killed_with_its_ring() -> Check {
    beside(4, |side| {
        for shared in [true, false] {
            let child = fork(|link| {
                let map = request(2, shared).map(&side.open()?)?;
                map.fill(0, 1);
                let ring = Ring::with(&map, 0, 2)?;
                link.send(1)?;
                link.number()?;
                drop(ring);
                Ok(())
            })?;
            child.link.number()?;
            side.counts("registered", (4, 2, 0, 0))?;
            child.kill()?;
            side.settles("killed", (4, 4, 0, 0))?;
        }
        Ok(())
    })
}

pub fn a_pinned_page_is_handed_to_nobody() -> Check {
    const PAGES: usize = 4;
    const SECRET: u64 = 0x5ec2e7;
    let _pool = Resized::ours(PAGES as u64)?;
    for shared in [true, false] {
        let map = request(PAGES, shared).map(&open()?)?;
        for page in 0..PAGES {
            map.fill(page, SECRET);
        }
        let mut ring = Ring::with(&map, 2, 1)?;
        drop(map);
        same!(OURS.pinned()?, 1, "pinned_hugepages");
        OURS.settles_at_free(PAGES as u64 - 1)?;
        let map = Map::of_new_file(PAGES - 1)?;
        let disk = files::stamped("nobody", 1, 99)?;
        for page in 0..PAGES - 1 {
            map.holds(page, 0)?;
            map.fill(page, 7);
        }
        ring.read(&disk, 0, 0)?;
        for page in 0..PAGES - 1 {
            map.holds(page, 7)?;
        }
        drop(ring);
        poll::until("pinned_hugepages", || OURS.pinned(), |pinned| *pinned == 0)?;
        drop(map);
        OURS.settles_at_free(PAGES as u64)?;
        // It comes back without what was in it.
        let map = Map::of_new_file(PAGES)?;
        for page in 0..PAGES {
            map.holds(page, 0)?;
        }
    }
    Ok(())
}

/// RUST_HUGETLB_PUNCH_HOLE.
fn rust_hugetlb_punch(file: &std::fs::File, offset: usize, length: usize) -> Check {
    use std::os::fd::AsRawFd;
    let range = [offset as u64, length as u64];
    let bytes = std::mem::size_of_val(&range) as libc::c_ulong;
    // _IOW(0xE6, 2, struct rust_hugetlb_range)
    let request = (1 << 30) | (bytes << 16) | (0xE6 << 8) | 2;
    debug_assert!(length % HUGE_PAGE_SIZE == 0);
    // SAFETY: The range is there to be read.
    guest::call(unsafe { libc::ioctl(file.as_raw_fd(), request as _, range.as_ptr()) })?;
    Ok(())
}
