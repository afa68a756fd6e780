// SPDX-License-Identifier: GPL-2.0

//! O_DIRECT reads in flight: a polled request is over only when somebody asks, so the page stays
//! pinned for as long as the test likes.

use std::fs::File;
use std::os::fd::AsRawFd;

use guest::beside::beside;
use guest::child::fork;
use guest::kind::{beside_both, Kind};
use guest::map::Map;
use guest::ring::{Buffer, Ring};
use guest::worker::Worker;
use guest::{check, same, Check, Errno, Fail, HUGE};
use io_uring::{opcode, squeue, types, IoUring};

use crate::disk::{self, Disk, DISKS};
use crate::end::End;
use crate::holder::{Holder, PINNED};
use crate::others;

const POOL: u64 = 3;

/// As much as the disk does in one command.
const BYTES: usize = 128 << 10;

const IORING_ENTER_GETEVENTS: u32 = 1;

/// Now, by this task: not later, by a worker.
const NOW: i32 = libc::RWF_NOWAIT;

/// A ring whose requests end when they are asked for.
struct Polled(Worker<IoUring>);

impl Polled {
    fn new() -> Check<Self> {
        let make = || Ok(IoUring::builder().setup_iopoll().build(4)?);
        Ok(Self(Worker::new(make)?))
    }

    /// Starts a read of the first bytes of `file`, to `base`.
    fn start(&self, file: &File, base: *mut u8) -> Check {
        let read = opcode::Read::new(types::Fd(file.as_raw_fd()), base, BYTES as u32);
        self.submit(read.rw_flags(NOW).build())
    }

    /// Starts a write of the first bytes of `file`, from `base`.
    fn start_write(&self, file: &File, base: *mut u8) -> Check {
        let write = opcode::Write::new(types::Fd(file.as_raw_fd()), base, BYTES as u32);
        self.submit(write.rw_flags(NOW).build())
    }

    fn submit(&self, entry: squeue::Entry) -> Check {
        self.0.call(move |ring| {
            // SAFETY: The range is mapped, and its owner expects the data. enter without
            // GETEVENTS takes no argument and looks at no request that is over.
            unsafe {
                ring.submission().push(&entry)?;
                let submitted = ring.submitter().enter::<libc::sigset_t>(1, 0, 0, None)?;
                same!(submitted, 1, "requests submitted");
            }
            check!(ring.completion().next().is_none(), "it did not wait");
            Ok(())
        })
    }

    fn finish(&self) -> Check {
        let result = self.0.call(|ring| {
            // SAFETY: As above.
            unsafe {
                ring.submitter()
                    .enter::<libc::sigset_t>(0, 1, IORING_ENTER_GETEVENTS, None)?;
            }
            Ok(ring.completion().next().map(|end| end.result()))
        })?;
        match result {
            Some(result) if result < 0 => Err(Fail(format!("a request: {}", Errno(-result)))),
            other => {
                same!(other, Some(BYTES as i32), "bytes read or written");
                Ok(())
            }
        }
    }
}

/// A ring that reads from the disk, and another one to look at the page by, with its own pin.
struct Reader<'a> {
    file: &'a File,
    polled: Polled,
    looks: Ring,
    buffer: Buffer,
}

impl<'a> Reader<'a> {
    fn new(file: &'a File) -> Check<Self> {
        let base = std::ptr::null_mut();
        Ok(Self {
            file,
            polled: Polled::new()?,
            looks: Ring::new()?,
            buffer: Buffer { slot: 0, base },
        })
    }
}

/// Pins by the second ring alone.
impl Holder for Reader<'_> {
    fn pin(&self, map: &Map) -> Check {
        let base = map.base();
        self.looks.pin(Buffer {
            base,
            ..self.buffer
        })?;
        Ok(())
    }

    fn is_at(&mut self, base: *mut u8) {
        self.buffer.base = base;
    }

    fn look(&mut self) -> Check {
        self.looks.part_holds(self.buffer, 0, BYTES, DISKS)?;
        self.looks
            .part_holds(self.buffer, BYTES, HUGE - BYTES, PINNED)
    }

    fn let_go(&mut self) -> Check {
        self.looks.unpin(self.buffer.slot)?;
        Ok(())
    }
}

/// What becomes of a page while the disk writes into it.
fn take_away(end: End, file: &guest::file::Huge, map: &Map) -> Check {
    match end {
        End::Truncate => file.set_size(0)?,
        End::Punch => file.punch(0, HUGE as u64)?,
        _ => drop(map.unmap(0, HUGE)?),
    }
    Ok(())
}

pub fn data_land_in_the_page_that_was_pinned() -> Check {
    let disk = Disk::mount()?;
    for (end, looks) in [End::Unmap, End::Truncate, End::Punch]
        .into_iter()
        .flat_map(|end| [(end, true), (end, false)])
    {
        beside_both(POOL, |side, kind| {
            let file = disk.file(1)?;
            let huge = side.huge()?;
            let map = huge.map(kind.pages(1).unreserved())?;
            map.fill(0, PINNED);
            let mut reader = Reader::new(&file)?;
            if looks {
                reader.pin(&map)?;
                reader.is_at(map.base());
            }
            reader.polled.start(reader.file, map.base())?;
            take_away(end, &huge, &map)?;
            drop(huge);
            let what = format!("after {end:?}");
            others::settles(side, &what, (POOL, POOL - 1, 0, 0), 1)?;
            let other = others::get(side, POOL as usize - 1)?;
            reader.polled.finish()?;
            others::are_untouched(&other)?;
            if looks {
                reader.look()?;
                reader.let_go()?;
            }
            drop(other);
            drop(others::get(side, POOL as usize)?);
            drop(map);
            others::settles(side, "in the end", (POOL, POOL, 0, 0), 0)
        })?;
    }
    Ok(())
}

pub fn a_fork_meanwhile_copies_for_the_child() -> Check {
    let disk = Disk::mount()?;
    beside(POOL, |side| {
        let file = disk.file(1)?;
        let map = Kind::Private.pages(1).map(&side.open()?)?;
        map.fill(0, PINNED);
        let polled = Polled::new()?;
        polled.start(&file, map.base())?;
        let child = fork(|link| {
            link.number()?;
            // The disk may have been faster than fork, but not on any other page.
            map.part_holds(BYTES, HUGE - BYTES, PINNED)?;
            map.fill(0, 1);
            link.send(1)?;
            link.number()?;
            map.holds(0, 1)
        })?;
        side.counts("forked: the page was copied", (POOL, POOL - 2, 0, 0))?;
        map.write(HUGE - 8, 5);
        child.link.send(1)?;
        child.link.number()?;
        polled.finish()?;
        child.link.send(1)?;
        child.finish()?;
        let words = [0, BYTES - 8, BYTES, HUGE - 8].map(|offset| map.read(offset));
        same!(
            words,
            [DISKS, DISKS, PINNED, 5],
            "words of the parent's page"
        );
        side.settles("without the child", (POOL, POOL - 1, 0, 0))
    })
}

/// A child writes to the disk from a page that it shares with its parent, and gives the page up: what
/// the parent does to its own from then on is not for the child. hugetlb copies at the pin, the module
/// when the parent writes.
pub fn what_a_child_pins_is_as_it_was_shared() -> Check {
    let whole = disk::whole()?;
    beside(POOL, |side| {
        let map = Kind::Private.pages(1).map(&side.open()?)?;
        map.fill(0, PINNED);
        // What is on the disk, to be written there again.
        same!(disk::read(&whole, &map, 0, BYTES, 0), Ok(BYTES), "pread");
        let child = fork(|link| {
            let polled = Polled::new()?;
            polled.start_write(&whole, map.base())?;
            map.unmap(0, HUGE)?;
            link.send(1)?;
            link.number()?;
            polled.finish()?;
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        map.fill(0, 1);
        let what = "written to by the parent";
        others::settles(side, what, (POOL, POOL - 2, 0, 0), 1)?;
        child.link.send(1)?;
        child.link.number()?;
        others::settles(
            side,
            "the child's request is over",
            (POOL, POOL - 1, 0, 0),
            0,
        )?;
        // Nobody else has the page now: it is written to where it is.
        map.fill(0, 2);
        side.counts("written to once more", (POOL, POOL - 1, 0, 0))?;
        child.link.send(1)?;
        child.finish()?;
        map.holds(0, 2)
    })
}

pub fn a_process_killed_meanwhile() -> Check {
    let disk = Disk::mount()?;
    beside_both(POOL, |side, kind| {
        let file = disk.file(1)?;
        let child = fork(|link| {
            let map = kind.pages(2).map(&side.open()?)?;
            let polled = Polled::new()?;
            for page in 0..2 {
                polled.start(&file, map.at(page * HUGE))?;
            }
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        others::settles(side, "in flight", (POOL, POOL - 2, 0, 0), 0)?;
        child.kill()?;
        others::settles(side, "killed", (POOL, POOL, 0, 0), 0)?;
        drop(others::get(side, POOL as usize)?);
        others::settles(side, "in the end", (POOL, POOL, 0, 0), 0)
    })
}
