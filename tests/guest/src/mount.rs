// SPDX-License-Identifier: GPL-2.0

//! Mounting file systems that need no device.

use std::ffi::CStr;
use std::ptr;

use crate::{call, check, Check, Errno};

/// Mounts a new file system of this type at `path`.
pub fn mount(kind: &CStr, path: &CStr) -> Result<(), Errno> {
    // SAFETY: All three are C strings; no options are given.
    call(unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, ptr::null()) })
        .map(drop)
}

/// Mounts debugfs where it is expected, once.
pub fn debugfs() -> Check {
    let result = mount(c"debugfs", c"/sys/kernel/debug");
    check!(
        matches!(result, Ok(()) | Err(Errno(libc::EBUSY))),
        "mounting debugfs: {result:?}"
    );
    Ok(())
}
