// SPDX-License-Identifier: GPL-2.0

//! What is asked of an open file of huge pages: of hugetlb's with the calls for files, of the
//! module's with ioctls (include/uapi/rust_hugetlb.h).

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::backend::Backend;
use crate::outcome::{Event, Outcome};
use crate::sys::{call, Returned};
use crate::HUGE;

/// `struct rust_hugetlb_info`.
#[repr(C)]
struct Info {
    page_size: u64,
    size: u64,
    allocated: u64,
    reserved: u64,
}

/// `struct rust_hugetlb_range`.
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

const TYPE: u32 = 0xE6;
const GET_INFO: libc::Ioctl = libc::_IOR::<Info>(TYPE, 0) as libc::Ioctl;
const SET_SIZE: libc::Ioctl = libc::_IOW::<u64>(TYPE, 1) as libc::Ioctl;
const PUNCH_HOLE: libc::Ioctl = libc::_IOW::<Range>(TYPE, 2) as libc::Ioctl;
const PREALLOCATE: libc::Ioctl = libc::_IOW::<Range>(TYPE, 3) as libc::Ioctl;

impl Backend {
    /// Makes a file `pages` long.
    pub fn set_size(self, file: &OwnedFd, pages: u64) -> Returned {
        let size = bytes(pages);
        let fd = file.as_raw_fd();
        // SAFETY: The kernel reads the number.
        call(unsafe {
            match self {
                Self::Hugetlb => libc::ftruncate(fd, size as i64),
                Self::Ours => libc::ioctl(fd, SET_SIZE, &size),
            }
        })
    }

    /// Takes pages out of a file.
    pub fn punch(self, file: &OwnedFd, first: u64, count: u64) -> Returned {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        self.on_range(file, first, count, mode, PUNCH_HOLE)
    }

    /// Puts pages into a file.
    pub fn preallocate(self, file: &OwnedFd, first: u64, count: u64) -> Returned {
        self.on_range(file, first, count, 0, PREALLOCATE)
    }

    fn on_range(
        self,
        file: &OwnedFd,
        first: u64,
        count: u64,
        mode: i32,
        request: libc::Ioctl,
    ) -> Returned {
        let fd = file.as_raw_fd();
        let range = Range {
            offset: bytes(first),
            length: bytes(count),
        };
        // SAFETY: The kernel reads the range.
        call(unsafe {
            match self {
                Self::Hugetlb => {
                    libc::fallocate(fd, mode, range.offset as i64, range.length as i64)
                }
                Self::Ours => libc::ioctl(fd, request, &range),
            }
        })
    }

    /// A file's size and the pages it has, both in bytes.
    pub fn info(self, file: &OwnedFd) -> Outcome {
        let seen = match self {
            Self::Hugetlb => status(file),
            Self::Ours => info(file),
        };
        match seen {
            Ok(seen) => seen.map(|bytes| Event::Returned(bytes as i64)).to_vec(),
            Err(errno) => vec![Event::Errno(errno)],
        }
    }
}

fn bytes(pages: u64) -> u64 {
    pages.wrapping_mul(HUGE as u64)
}

fn status(file: &OwnedFd) -> Result<[u64; 2], i32> {
    // SAFETY: All zeroes is a valid status.
    let mut status: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: There is room for the status.
    call(unsafe { libc::fstat(file.as_raw_fd(), &mut status) })?;
    Ok([status.st_size as u64, status.st_blocks as u64 * 512])
}

fn info(file: &OwnedFd) -> Result<[u64; 2], i32> {
    let mut info = Info {
        page_size: 0,
        size: 0,
        allocated: 0,
        reserved: 0,
    };
    // SAFETY: There is room for the answer.
    call(unsafe { libc::ioctl(file.as_raw_fd(), GET_INFO, &mut info) })?;
    // hugetlb has the page size elsewhere.
    match info.page_size == HUGE as u64 {
        true => Ok([info.size, info.allocated]),
        false => Err(libc::EPROTO),
    }
}
