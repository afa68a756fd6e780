// SPDX-License-Identifier: GPL-2.0

//! The ioctls of an open file, as include/uapi/linux/rust_hugetlb.h has them.
//!
//! Reads and writes the caller's memory before and after, not while, a request is served: touching
//! it may fault, and a fault takes locks that come before ours.

use kernel::{
    ffi::{c_uint, c_ulong},
    ioctl::{_IOR, _IOW},
    prelude::*,
    transmute::{AsBytes, FromBytes},
    uaccess::{UserPtr, UserSlice},
};

const TYPE: u32 = 0xE6;
const INFO: u32 = _IOR::<Info>(TYPE, 0);
const SET_SIZE: u32 = _IOW::<u64>(TYPE, 1);
const PUNCH_HOLE: u32 = _IOW::<Range>(TYPE, 2);
const PREALLOCATE: u32 = _IOW::<Range>(TYPE, 3);

/// `struct rust_hugetlb_info`: all in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Info {
    pub(crate) page_size: u64,
    pub(crate) size: u64,
    pub(crate) allocated: u64,
    pub(crate) reserved: u64,
}

// SAFETY: Four integers without padding.
unsafe impl AsBytes for Info {}

/// `struct rust_hugetlb_range`: in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

// SAFETY: Two integers, of which any value will do.
unsafe impl FromBytes for Range {}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Request {
    /// The state of the file.
    Info,
    /// To be of that size, in bytes.
    SetSize(u64),
    /// To have no pages there.
    PunchHole(Range),
    /// To have pages there.
    Preallocate(Range),
}

/// What is answered.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    /// It was done.
    Done,
    /// See [`Request::Info`].
    Info(Info),
}

/// Has `answer` serve one ioctl. `writable`: the descriptor is open for writing. Sleeps.
pub(super) fn serve(
    command: c_uint,
    argument: c_ulong,
    writable: bool,
    answer: impl FnOnce(Request) -> Result<Reply>,
) -> Result {
    let user = |length| UserSlice::new(UserPtr::from_addr(argument), length);
    let range = || user(size_of::<Range>()).reader().read::<Range>();
    if !writable && [SET_SIZE, PUNCH_HOLE, PREALLOCATE].contains(&command) {
        return Err(EBADF);
    }
    let request = match command {
        INFO => Request::Info,
        SET_SIZE => Request::SetSize(user(size_of::<u64>()).reader().read()?),
        PUNCH_HOLE => Request::PunchHole(range()?),
        PREALLOCATE => Request::Preallocate(range()?),
        _ => return Err(ENOTTY),
    };
    match answer(request)? {
        Reply::Done => Ok(()),
        Reply::Info(info) => user(size_of::<Info>()).writer().write(&info),
    }
}
