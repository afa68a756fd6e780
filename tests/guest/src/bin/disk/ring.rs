// SPDX-License-Identifier: GPL-2.0

//! io_uring with registered buffers.

use std::fs::File;
use std::os::fd::AsRawFd;

use guest::beside::beside;
use guest::device::open;
use guest::map::{Map, Request, READ};
use guest::pool::{Resized, OURS};
use guest::{check, refused, same, Check, Errno, HUGE};
use io_uring::{opcode, squeue, types, IoUring};

use crate::direct::request;
use crate::files;

/// A ring with pages registered as its buffer 0: pinned until it goes.
pub struct Ring {
    ring: IoUring,
    address: *mut u8,
}

impl Ring {
    /// Registers `pages` pages of a mapping, from page `first`.
    pub fn with(map: &Map, first: usize, pages: usize) -> Result<Self, Errno> {
        let ring = IoUring::new(4)?;
        let address = map.at(first * HUGE);
        let buffer = libc::iovec {
            iov_base: address.cast(),
            iov_len: pages * HUGE,
        };
        // SAFETY: The kernel pins the pages: they stay, whatever becomes of the mapping.
        unsafe { ring.submitter().register_buffers(&[buffer]) }?;
        Ok(Self { ring, address })
    }

    /// Reads a page of a file into a page of the buffer.
    pub fn read(&mut self, file: &File, from: usize, page: usize) -> Check {
        let address = self.address.wrapping_add(page * HUGE);
        let entry = opcode::ReadFixed::new(types::Fd(file.as_raw_fd()), address, HUGE as u32, 0)
            .offset((from * HUGE) as u64)
            .build();
        self.run(entry)
    }

    /// Writes a page of the buffer to the start of a file.
    pub fn write(&mut self, file: &File, page: usize) -> Check {
        let address = self.address.wrapping_add(page * HUGE);
        let entry =
            opcode::WriteFixed::new(types::Fd(file.as_raw_fd()), address, HUGE as u32, 0).build();
        self.run(entry)
    }

    fn run(&mut self, entry: squeue::Entry) -> Check {
        // SAFETY: The bytes lie in the registered buffer, and the file is open until it is done.
        unsafe { self.ring.submission().push(&entry) }?;
        self.ring.submit_and_wait(1)?;
        let done = self.ring.completion().next();
        check!(done.is_some(), "nothing was completed");
        same!(done.map(|done| done.result()), Some(HUGE as i32), "bytes");
        Ok(())
    }
}

pub fn registered_pages_are_read_and_written() -> Check {
    beside(6, |side| {
        for shared in [true, false] {
            let map = request(2, shared).map(&side.open()?)?;
            map.fill(0, 70);
            let mut ring = Ring::with(&map, 0, 2)?;
            let disk = files::stamped("ring", 2, 80)?;
            ring.read(&disk, 1, 1)?;
            map.holds(1, 81)?;
            ring.write(&disk, 0)?;
            side.note("the file", files::words("ring", 0)?);
            map.write(0, 71);
            ring.write(&disk, 0)?;
            side.note("the file, again", files::words("ring", 0)?);
            side.note_counts(format_args!("shared: {shared}"))?;
            drop((ring, map));
            // A ring ends in the background.
            side.settles("ended", (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

pub fn registering_takes_the_pages() -> Check {
    beside(6, |side| {
        for shared in [true, false] {
            let map = request(3, shared).map(&side.open()?)?;
            map.write(0, 1);
            let ring = Ring::with(&map, 0, 3)?;
            side.note_counts(format_args!("registered, shared: {shared}"))?;
            drop((ring, map));
            // A ring ends in the background.
            side.settles("ended", (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

/// A buffer is pinned to be written to. What is pinned to be read only: see the pipes of `pin`,
/// and the next test.
pub fn a_page_only_read_is_pinned_too() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        let shared = Request::pages(1).map(&file)?;
        shared.fill(0, 9);
        let own = request(1, false).map(&file)?;
        own.holds(0, 9)?;
        // The mapping has the file's page; the ring must not write to that.
        let mut ring = Ring::with(&own, 0, 1)?;
        let disk = files::stamped("only", 1, 90)?;
        ring.read(&disk, 0, 0)?;
        own.holds(0, 90)?;
        shared.holds(0, 9)?;
        side.note_counts("read")
    })
}

/// Beside hugetlb this is a deviation: see DEVIATIONS.md.
pub fn a_read_only_private_page_is_refused() -> Check {
    let _pool = Resized::ours(2)?;
    let file = open()?;
    let shared = Request::pages(1).map(&file)?;
    shared.fill(0, 9);
    let own = Request {
        protection: READ,
        ..request(1, false)
    }
    .map(&file)?;
    refused!(Ring::with(&own, 0, 1), libc::EFAULT, "registering it");
    own.holds(0, 9)?;
    drop((own, shared, file));
    OURS.settles_at_free(2)
}
