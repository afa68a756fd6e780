// SPDX-License-Identifier: GPL-2.0

//! O_DIRECT.

use std::fs::File;
use std::os::fd::AsRawFd;

use guest::beside::beside;
use guest::map::{Map, Request};
use guest::{call, Check, Errno, HUGE};

use crate::files;

/// A mapping of `pages` pages, shared or private.
pub fn request(pages: usize, shared: bool) -> Request {
    Request {
        flags: if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        },
        ..Request::pages(pages)
    }
}

/// Reads `bytes` bytes at `from` of a file to byte `offset` of a mapping.
pub fn read(
    file: &File,
    from: usize,
    map: &Map,
    offset: usize,
    bytes: usize,
) -> Result<i64, Errno> {
    // SAFETY: The bytes lie in the mapping, whose accesses are volatile.
    call(unsafe {
        libc::pread(
            file.as_raw_fd(),
            map.at(offset).cast(),
            bytes,
            from as libc::off_t,
        )
    } as i64)
}

/// Writes `bytes` bytes from byte `offset` of a mapping to the start of a file.
pub fn write(file: &File, map: &Map, offset: usize, bytes: usize) -> Result<i64, Errno> {
    // SAFETY: The bytes lie in the mapping.
    call(unsafe { libc::pwrite(file.as_raw_fd(), map.at(offset).cast(), bytes, 0) } as i64)
}

pub fn writes_and_reads_back() -> Check {
    beside(6, |side| {
        for shared in [true, false] {
            let map = request(3, shared).map(&side.open()?)?;
            map.fill(0, 40);
            map.fill(1, 41);
            let disk = files::empty("direct")?;
            // Two pages in one go.
            side.note("write", write(&disk, &map, 0, 2 * HUGE));
            side.note("first page", files::words("direct", 0)?);
            side.note("second page", files::words("direct", 1)?);
            // Into a page that was never touched.
            side.note("read", read(&disk, HUGE, &map, 2 * HUGE, HUGE));
            map.holds(2, 41)?;
            map.holds(0, 40)?;
            side.note_counts(format_args!("shared: {shared}"))?;
        }
        Ok(())
    })
}

pub fn reads_make_a_private_page() -> Check {
    beside(6, |side| {
        let file = side.open()?;
        let shared = Request::pages(1).map(&file)?;
        shared.fill(0, 7);
        let own = request(1, false).map(&file)?;
        own.holds(0, 7)?;
        let disk = files::stamped("private", 1, 50)?;
        side.note("read of 4 KiB", read(&disk, 0, &own, 4096, 4096));
        side.note_counts("read")?;
        shared.holds(0, 7)?;
        side.note("before", own.read(4088));
        side.note("inside", (own.read(4096), own.read(8184)));
        side.note("behind", own.read(8192));
        Ok(())
    })
}

pub fn part_of_a_page() -> Check {
    beside(4, |side| {
        let map = side.map(2)?;
        map.fill(0, 1);
        map.fill(1, 1);
        let disk = files::stamped("part", 2, 60)?;
        // Over the boundary between two huge pages.
        side.note("read", read(&disk, HUGE - 4096, &map, HUGE - 4096, 8192));
        for offset in [
            HUGE - 4104,
            HUGE - 4096,
            HUGE - 8,
            HUGE,
            HUGE + 4088,
            HUGE + 4096,
        ] {
            side.note(offset, map.read(offset));
        }
        side.note_counts("read")
    })
}
