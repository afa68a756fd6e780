// SPDX-License-Identifier: GPL-2.0

//! Mounting file systems that need no device.

use std::ffi::CStr;
use std::ptr;

use crate::{call, Errno};

/// Mounts a new file system of this type at `path`.
pub fn mount(kind: &CStr, path: &CStr) -> Result<(), Errno> {
    // SAFETY: All three are C strings; no options are given.
    call(unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, ptr::null()) })
        .map(drop)
}
