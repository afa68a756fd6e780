// SPDX-License-Identifier: GPL-2.0

//! The device nodes.

use std::fs::{File, OpenOptions};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::pool::{Pool, OURS};
use crate::{call, Errno};

/// Both nodes that lead to 2 MiB pages.
pub const NODES: [&str; 2] = [rust_hugetlb::DEVICE, rust_hugetlb::DEVICE_2M];

/// A new, empty huge file. Its descriptor is closed on exec.
pub fn open() -> Result<File, Errno> {
    open_with(rust_hugetlb::DEVICE, libc::O_RDWR)
}

/// A new, empty huge file of `pool`: of hugetlb's, a memfd.
pub fn open_of(pool: Pool) -> Result<File, Errno> {
    if pool == OURS {
        return open();
    }
    let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB | libc::MFD_HUGE_2MB;
    // SAFETY: The name is a C string.
    let fd = call(unsafe { libc::memfd_create(c"pages".as_ptr(), flags) })?;
    // SAFETY: memfd_create just made it, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd as RawFd) })
}

/// Opens `path` with the given access mode.
pub fn open_with(path: &str, access: libc::c_int) -> Result<File, Errno> {
    let writes = access != libc::O_RDONLY;
    let reads = access != libc::O_WRONLY;
    let file = OpenOptions::new()
        .read(reads)
        .write(writes)
        .custom_flags(libc::O_CLOEXEC)
        .open(path)?;
    Ok(file)
}
