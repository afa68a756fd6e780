// SPDX-License-Identifier: GPL-2.0

//! What is refused, and with which errno.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::ptr;

use guest::beside::beside;
use guest::device::open_with;
use guest::file::{ioctl, Huge, INFO, PREALLOCATE, PUNCH_HOLE, SET_SIZE};
use guest::map::{Map, Request, NONE, READ};
use guest::pool::{Pool, Resized, OURS};
use guest::{call, refused, same, Check, Errno};

use crate::{look, pages};

/// A call that changes a file, with its two numbers (one, to set the size).
#[derive(Debug, Clone, Copy)]
enum Change {
    SetSize(u64),
    Punch(u64, u64),
    Preallocate(u64, u64),
}

use Change::{Preallocate, Punch, SetSize};

impl Change {
    fn make(self, file: &Huge) -> Result<(), Errno> {
        match self {
            SetSize(bytes) => file.set_size(bytes),
            Punch(offset, length) => file.punch(offset, length),
            Preallocate(offset, length) => file.preallocate(offset, length),
        }
    }
}

const PAGE: u64 = pages(1);
/// The largest size of a file that is whole pages.
const LARGEST: u64 = (1 << 63) - PAGE;

pub fn the_same_refusals() -> Check {
    let sizes = [1, 4096, PAGE - 1, PAGE + 1, PAGE + 4096, (1 << 63) - 1];
    let ranges = [
        (0, 0),
        (PAGE, 0),
        (LARGEST, 0),
        // The end is 2^63, or past it.
        (LARGEST, PAGE),
        (LARGEST, 2 * PAGE),
        (PAGE, LARGEST),
        (LARGEST, LARGEST),
    ];
    let both = |&(offset, length)| [Punch(offset, length), Preallocate(offset, length)];
    beside(3, |side| {
        let file = side.huge()?;
        file.preallocate(0, pages(2))?;
        for change in
            (sizes.iter().map(|&bytes| SetSize(bytes))).chain(ranges.iter().flat_map(both))
        {
            let result = change.make(&file);
            let what = format!("{change:x?}");
            same!(result.is_err(), true, "{what} refused");
            side.note(&what, result);
            look(side, format!("after {what}"), &file, (3, 1, 0, 0))?;
        }
        Ok(())
    })
}

/// Each with hugetlb's errno, 0 for none, and the module's.
pub fn refusals_that_differ() -> Check {
    use libc::{EFBIG, EINVAL};
    let table = [
        // Unsigned numbers: too large where hugetlb's are negative.
        (SetSize(1 << 63), EINVAL, EFBIG),
        (SetSize(u64::MAX), EINVAL, EFBIG),
        (SetSize(u64::MAX - PAGE + 1), EINVAL, EFBIG),
        (Punch(1 << 63, PAGE), EINVAL, EFBIG),
        (Punch(0, 1 << 63), EINVAL, EFBIG),
        (Punch(u64::MAX, u64::MAX), EINVAL, EFBIG),
        (Punch(u64::MAX - PAGE + 1, PAGE), EINVAL, EFBIG),
        (Preallocate(1 << 63, PAGE), EINVAL, EFBIG),
        (Preallocate(0, 1 << 63), EINVAL, EFBIG),
        (Preallocate(u64::MAX - PAGE + 1, PAGE), EINVAL, EFBIG),
        (Preallocate(u64::MAX - PAGE + 1, 2 * PAGE), EINVAL, EFBIG),
        // Parts of pages: hugetlb clears what is in a hole, and rounds what is preallocated.
        (Punch(1, PAGE), 0, EINVAL),
        (Punch(4096, 4096), 0, EINVAL),
        (Punch(0, PAGE + 1), 0, EINVAL),
        (Punch(PAGE / 2, PAGE), 0, EINVAL),
        (Preallocate(1, PAGE), 0, EINVAL),
        (Preallocate(0, 1), 0, EINVAL),
        (Preallocate(0, PAGE - 1), 0, EINVAL),
        (Preallocate(PAGE + 4096, PAGE), 0, EINVAL),
    ];
    beside(4, |side| {
        for (change, hugetlbs, ours) in table {
            let file = side.huge()?;
            file.preallocate(0, PAGE)?;
            let before = file.state()?;
            let want = match if file.is_ours() { ours } else { hugetlbs } {
                0 => Ok(()),
                errno => Err(Errno(errno)),
            };
            same!(change.make(&file), want, "{change:x?}");
            if want.is_err() {
                same!(file.state()?, before, "the file after {change:x?}");
            }
        }
        side.counts("in the end", (4, 4, 0, 0))
    })
}

pub fn the_largest_offsets() -> Check {
    beside(3, |side| {
        let file = side.huge()?;
        file.preallocate(0, PAGE)?;
        let last = LARGEST - PAGE;
        let changes = [
            SetSize(LARGEST),
            Punch(last, PAGE),
            Punch(PAGE, last),
            SetSize(PAGE),
            Preallocate(last, PAGE),
            Preallocate(0, LARGEST),
            Punch(last, PAGE),
            Punch(0, LARGEST),
            Preallocate(last, PAGE),
            SetSize(last),
            SetSize(LARGEST),
            SetSize(0),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            side.note(format!("{number}: {change:x?}"), change.make(&file));
            side.note(format!("file after {number}: {change:x?}"), file.state()?);
            side.note_counts(format!("after {number}: {change:x?}"))?;
        }
        // What can be mapped of it ends earlier.
        file.set_size(LARGEST)?;
        for offset in [last - PAGE, last] {
            let request = Request {
                offset: offset as i64,
                ..Request::pages(1)
            };
            let map = file.map(request);
            side.note(format!("mmap at {offset:#x}"), map.as_ref().map(Map::pages));
            if let Ok(map) = map {
                map.write(0, 1);
            }
            side.note(format!("file after mmap at {offset:#x}"), file.state()?);
            side.note_counts(format!("after mmap at {offset:#x}"))?;
        }
        Ok(())
    })
}

pub fn unknown_calls() -> Check {
    let unknown = [
        libc::_IO(0xE6, 0),
        libc::_IO(0xE6, 4),
        libc::_IOR::<u64>(0xE6, 0),
        libc::_IOR::<[u64; 5]>(0xE6, 0),
        libc::_IOW::<[u64; 4]>(0xE6, 0),
        libc::_IOW::<u32>(0xE6, 1),
        libc::_IOWR::<u64>(0xE6, 1),
        libc::_IOW::<[u64; 2]>(0xE6, 1),
        libc::_IOW::<u64>(0xE6, 2),
        libc::_IOW::<[u64; 2]>(0xE6, 4),
        libc::_IOW::<[u64; 2]>(0xE5, 2),
        libc::TCGETS,
    ];
    beside(2, |side| {
        let file = side.huge()?;
        file.preallocate(0, PAGE)?;
        for number in unknown {
            let result = ioctl(&file, number, &mut [0; 16]);
            refused!(result, libc::ENOTTY, "call {number:#x}");
            side.note(format!("call {number:#x}"), result);
        }
        // Upper bits are no part of a call's number.
        if file.is_ours() {
            ioctl(&file, INFO | (1 << 32), &mut [0; 4])?;
        }
        look(side, "in the end", &file, (2, 1, 0, 0))
    })
}

pub fn bad_pointers() -> Check {
    let _pool = Resized::ours(2)?;
    let file = Huge::new(OURS)?;
    file.preallocate(0, PAGE)?;
    let before = file.info()?;
    let (nothing, _) = Map::reserve(1)?;
    let anonymous = |protection| {
        let request = Request {
            protection,
            bytes: 4096,
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            ..Request::pages(1)
        };
        request.map_fd(-1)
    };
    // One page, and nothing after it.
    let (_around, start) = Map::reserve(1)?;
    let edge = Request {
        address: start,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
        bytes: 4096,
        ..Request::pages(1)
    }
    .map_fd(-1)?;
    let unreadable = anonymous(NONE)?;
    let unwritable = anonymous(READ)?;
    let half = edge.base().wrapping_add(4096 - 4);
    let kernel = ptr::without_provenance_mut(0xffff_8880_0000_0000);
    let last = ptr::without_provenance_mut(usize::MAX - 7);
    let bad = [
        ptr::null_mut(),
        nothing.base(),
        unreadable.base(),
        half,
        kernel,
        last,
    ];
    for number in [INFO, SET_SIZE, PUNCH_HOLE, PREALLOCATE] {
        for address in bad {
            same!(
                raw(&file, number, address),
                Err(Errno(libc::EFAULT)),
                "call {number:#x} with {address:?}"
            );
        }
    }
    same!(
        raw(&file, INFO, unwritable.base()),
        Err(Errno(libc::EFAULT)),
        "to memory that cannot be written"
    );
    same!(file.info()?, before, "the file afterwards");
    // Any address will do that can be reached.
    raw(&file, INFO, edge.base().wrapping_add(4096 - 32))?;
    raw(&file, INFO, edge.base().wrapping_add(1))?;
    // A huge page of the file itself, which is in it by then.
    let map = file.map(Request::pages(2))?;
    raw(&file, INFO, map.at(PAGE as usize))?;
    same!(map.read(PAGE as usize + 16), PAGE, "bytes allocated before");
    same!(file.info()?[2], 2 * PAGE, "bytes allocated");
    map.write(0, 0);
    map.write(8, 2 * PAGE);
    raw(&file, PUNCH_HOLE, map.base())?;
    same!(file.info()?[2], 0, "bytes allocated after the hole");
    Ok(())
}

/// The call with whatever address.
fn raw(file: &Huge, number: libc::c_ulong, argument: *mut u8) -> Result<(), Errno> {
    // SAFETY: Where the kernel can write, it is memory of the test's that nothing refers to.
    call(unsafe { libc::ioctl(file.as_raw_fd(), number, argument) }).map(drop)
}

pub fn descriptors_that_cannot_write() -> Check {
    beside(2, |side| {
        let file = read_only(side.pool())?;
        same!(file.state()?.size, 0, "size");
        for change in [Punch(0, PAGE), Preallocate(0, PAGE)] {
            side.note(format!("{change:x?}"), change.make(&file));
        }
        let want = if file.is_ours() {
            // A bad descriptor is worse than a bad argument.
            let result = raw(&file, SET_SIZE, ptr::null_mut());
            same!(result, Err(Errno(libc::EBADF)), "with a bad pointer");
            libc::EBADF
        } else {
            libc::EINVAL
        };
        same!(file.set_size(PAGE), Err(Errno(want)), "setting the size");
        side.counts("in the end", (2, 2, 0, 0))?;
        if file.is_ours() {
            let write_only = open_with(rust_hugetlb::DEVICE, libc::O_WRONLY)?;
            let file = Huge::from_file(side.pool(), write_only);
            file.preallocate(0, PAGE)?;
            same!(file.info()?[2], PAGE, "bytes allocated");
        }
        Ok(())
    })
}

/// A new file, open for reading only.
fn read_only(pool: Pool) -> Check<Huge> {
    let file = if pool == OURS {
        open_with(rust_hugetlb::DEVICE, libc::O_RDONLY)?
    } else {
        let writable = Huge::new(pool)?;
        let path = format!("/proc/self/fd/{}", writable.as_raw_fd());
        OpenOptions::new().read(true).open(path)?
    };
    Ok(Huge::from_file(pool, file))
}
