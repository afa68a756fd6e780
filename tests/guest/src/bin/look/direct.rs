// SPDX-License-Identifier: GPL-2.0

//! Reads past the page cache (O_DIRECT) of a file whose file system does not answer: their pages are
//! pinned for as long as its server likes, and nobody else is kept.

use std::fs::File;
use std::os::fd::AsRawFd;

use guest::beside::beside;
use guest::child::{fork, in_child};
use guest::map::{Map, Request};
use guest::pool::OURS;
use guest::{call, refused, same, Check, HUGE};

use crate::slow::{End, Slow};
use crate::stall::BYTES;

pub fn a_read_that_waits_for_an_answer() -> Check {
    read_directly(End::Answers)
}

pub fn a_read_that_waits_for_a_server_that_dies() -> Check {
    read_directly(End::Dies)
}

/// One read goes to a page that leaves its file meanwhile, one to a page that stays.
fn read_directly(end: End) -> Check {
    const STAMP: u64 = 99;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(2))?;
        map.fill(0, 30);
        map.fill(1, 31);
        let mut slow = Slow::mount(&STAMP.to_ne_bytes().repeat(2 * BYTES / 8))?;
        let direct = slow.open(libc::O_DIRECT)?;
        for page in 0..2 {
            read_page(page, &map, &direct, &mut slow, end)?;
        }

        // In a child, lest the server live on where this waits for it.
        in_child(|| Ok(file.punch(0, HUGE as u64)?))?;
        side.counts("a page left its file", (4, 2, 0, 0))?;
        if file.is_ours() {
            same!(OURS.pinned()?, 1, "pinned_hugepages");
        }
        let other = side.map(1)?;
        in_child(|| {
            map.holds(0, 0)?;
            map.fill(0, 7);
            other.fill(0, 8);
            side.pool().set(5)?;
            side.pool().set(4)
        })?;
        side.counts("no page is free", (4, 0, 0, 0))?;
        slow.end(end)?;

        side.settles("the reads are over", (4, 1, 0, 0))?;
        let came = match end {
            End::Answers => STAMP,
            End::Dies => 31,
        };
        map.holds(0, 7)?;
        map.part_holds(HUGE, BYTES, came)?;
        map.part_holds(HUGE + BYTES, HUGE - BYTES, 31)?;
        other.holds(0, 8)?;
        drop(direct);
        slow.unmount()
    })
}

/// Has a process read a part of the file, each another, to the start of a page, and waits until it
/// stalls there.
fn read_page(page: usize, map: &Map, direct: &File, slow: &mut Slow, end: End) -> Check {
    let offset = page * BYTES;
    let child = fork(|link| {
        let to = map.at(page * HUGE).cast();
        // SAFETY: There is room for that many bytes.
        let seen = unsafe { libc::pread(direct.as_raw_fd(), to, BYTES, offset as libc::off_t) };
        let seen = call(seen as i64);
        link.send(0)?;
        match end {
            End::Answers => same!(seen, Ok(BYTES as i64), "a direct read"),
            End::Dies => refused!(seen, libc::ECONNABORTED, "a direct read"),
        }
        Ok(())
    })?;
    slow.stalls("a direct read", child, offset)
}
