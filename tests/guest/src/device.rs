// SPDX-License-Identifier: GPL-2.0

//! The device nodes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use crate::Errno;

/// Both nodes that lead to 2 MiB pages.
pub const NODES: [&str; 2] = [rust_hugetlb::DEVICE, rust_hugetlb::DEVICE_2M];

/// A new, empty huge file. Its descriptor is closed on exec.
pub fn open() -> Result<File, Errno> {
    open_with(rust_hugetlb::DEVICE, libc::O_RDWR)
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
