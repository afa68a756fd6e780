// SPDX-License-Identifier: GPL-2.0

//! Pages that somebody holds past their mapping: a pipe, a disk.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use guest::device::open_of;
use guest::map::{Map, Request};
use guest::pipe::Pipe;
use guest::pool::OURS_1G;
use guest::{call, poll, refused, same, Check};

use crate::balance::balanced;
use crate::PAGE;

const PART: usize = 4096;
const STAMP: u64 = 0x1111_2222_3333_4444;

fn settles(pinned: u64, free: u64) -> Check {
    poll::until(
        "pinned_hugepages and free_hugepages",
        || Ok((OURS_1G.pinned()?, OURS_1G.free()?)),
        |seen| *seen == (pinned, free),
    )
    .map(drop)
}

pub fn a_page_outlives_its_file() -> Check {
    balanced(1, || {
        let mut pipe = Pipe::new()?;
        let map = Map::of(OURS_1G, 1)?;
        for offset in (PAGE - 2 * PART..PAGE).step_by(8) {
            map.write(offset, STAMP);
        }
        pipe.splice(&map, PAGE - 2 * PART, 2 * PART)?;
        same!(OURS_1G.pinned()?, 0, "pinned_hugepages while mapped");
        drop(map);
        settles(1, 0)?;
        same!(OURS_1G.nr()?, 1, "nr_hugepages");
        refused!(
            Request::of(OURS_1G, 1).map(&open_of(OURS_1G)?),
            libc::ENOMEM,
            "mapping a page with the only one pinned"
        );
        pipe.drain(PART, STAMP)?;
        settles(1, 0)?;
        pipe.drain(PART, STAMP)?;
        settles(0, 1)
    })
}

pub fn a_disk_reads_and_writes() -> Check {
    /// More than fits in one request of the disk.
    const BYTES: usize = 3 << 20;
    let disk = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open("/dev/nvme0n1")?;
    balanced(1, || {
        let map = Map::of(OURS_1G, 1)?;
        let last = PAGE - BYTES;
        for offset in (0..BYTES).step_by(8) {
            map.write(last + offset, STAMP + offset as u64);
        }
        // The part that is read into was never touched through this entry.
        let into = PAGE / 2 + PART;
        // SAFETY: Both ranges lie in the mapping, whose accesses are volatile.
        let (written, read) = unsafe {
            let fd = disk.as_raw_fd();
            (
                call(libc::pwrite(fd, map.at(last).cast(), BYTES, 0) as i64)?,
                call(libc::pread(fd, map.at(into).cast(), BYTES, 0) as i64)?,
            )
        };
        same!((written, read), (BYTES as i64, BYTES as i64), "bytes");
        for offset in (0..BYTES).step_by(8) {
            let word = map.read(into + offset);
            same!(word, STAMP + offset as u64, "word at {offset}");
        }
        same!(map.read(into - 8), 0, "the word before");
        same!(map.read(into + BYTES), 0, "the word behind");
        Ok(())
    })
}
