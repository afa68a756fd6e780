// SPDX-License-Identifier: GPL-2.0

//! A huge file of either pool: what is a system call on hugetlb's memfd is an ioctl on the module's.

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::map::{Map, Request};
use crate::pool::Pool;
use crate::{call, device, Errno};

/// A huge file.
#[derive(Debug)]
pub struct Huge {
    pool: Pool,
    file: File,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub page_size: u64,
    pub size: u64,
    pub allocated: u64,
}

/// include/uapi/linux/rust_hugetlb.h, apart from the crate of `user/` that says the same.
pub const INFO: libc::c_ulong = libc::_IOR::<[u64; 4]>(0xE6, 0);
pub const SET_SIZE: libc::c_ulong = libc::_IOW::<u64>(0xE6, 1);
pub const PUNCH_HOLE: libc::c_ulong = libc::_IOW::<[u64; 2]>(0xE6, 2);
pub const PREALLOCATE: libc::c_ulong = libc::_IOW::<[u64; 2]>(0xE6, 3);

impl Huge {
    /// A new, empty one.
    pub fn new(pool: Pool) -> Result<Self, Errno> {
        Ok(Self::from_file(pool, device::open_of(pool)?))
    }

    /// The one behind a descriptor.
    pub fn from_file(pool: Pool, file: File) -> Self {
        Self { pool, file }
    }

    pub fn map(&self, request: Request) -> Result<Map, Errno> {
        request.map(&self.file)
    }

    /// ftruncate.
    pub fn set_size(&self, bytes: u64) -> Result<(), Errno> {
        if self.is_ours() {
            return ioctl(self, SET_SIZE, &mut [bytes]);
        }
        // SAFETY: ftruncate takes numbers.
        call(unsafe { libc::ftruncate(self.as_raw_fd(), bytes as i64) }).map(drop)
    }

    /// fallocate with FALLOC_FL_PUNCH_HOLE.
    pub fn punch(&self, offset: u64, length: u64) -> Result<(), Errno> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        self.change(PUNCH_HOLE, mode, offset, length)
    }

    /// fallocate with mode 0.
    pub fn preallocate(&self, offset: u64, length: u64) -> Result<(), Errno> {
        self.change(PREALLOCATE, 0, offset, length)
    }

    fn change(
        &self,
        number: libc::c_ulong,
        mode: libc::c_int,
        offset: u64,
        length: u64,
    ) -> Result<(), Errno> {
        if self.is_ours() {
            return ioctl(self, number, &mut [offset, length]);
        }
        // SAFETY: fallocate takes numbers.
        let result =
            unsafe { libc::fallocate(self.as_raw_fd(), mode, offset as i64, length as i64) };
        call(result).map(drop)
    }

    pub fn state(&self) -> Result<State, Errno> {
        if self.is_ours() {
            let [page_size, size, allocated, _] = self.info()?;
            return Ok(State {
                page_size,
                size,
                allocated,
            });
        }
        // SAFETY: All zeroes is a valid stat, and there is room for one.
        let stat = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            call(libc::fstat(self.as_raw_fd(), &mut stat))?;
            stat
        };
        Ok(State {
            page_size: stat.st_blksize as u64,
            size: stat.st_size as u64,
            allocated: stat.st_blocks as u64 * 512,
        })
    }

    /// All fields of `struct rust_hugetlb_info`. Of the module's files only.
    pub fn info(&self) -> Result<[u64; 4], Errno> {
        let mut info = [u64::MAX; 4];
        ioctl(self, INFO, &mut info)?;
        Ok(info)
    }

    pub fn is_ours(&self) -> bool {
        self.pool.is_ours()
    }
}

impl AsRawFd for Huge {
    fn as_raw_fd(&self) -> libc::c_int {
        self.file.as_raw_fd()
    }
}

/// An ioctl whose argument is words. `argument` has as many as the call's number says.
pub fn ioctl(
    file: &impl AsRawFd,
    number: libc::c_ulong,
    argument: &mut [u64],
) -> Result<(), Errno> {
    let bytes = (number as usize >> 16) & 0x3fff;
    assert!(bytes <= size_of_val(argument), "the argument is too small");
    // SAFETY: The kernel reads and writes no more than the number says.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), number, argument.as_mut_ptr()) };
    call(result).map(drop)
}
