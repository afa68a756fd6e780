// SPDX-License-Identifier: GPL-2.0

//! The device nodes.

use std::fs::{File, OpenOptions};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::pool::Pool;
use crate::{call, Errno, GIGANTIC};

/// Both nodes that lead to 2 MiB pages.
pub const NODES: [&str; 2] = [rust_hugetlb::DEVICE, rust_hugetlb::DEVICE_2M];

/// The node that leads to 1 GiB pages.
pub const NODE_1G: &str = "/dev/rust_hugetlb-1G";

/// All nodes.
pub const ALL_NODES: [&str; 3] = [NODES[0], NODES[1], NODE_1G];

/// A new, empty huge file. Its descriptor is closed on exec.
pub fn open() -> Result<File, Errno> {
    open_with(rust_hugetlb::DEVICE, libc::O_RDWR)
}

/// A new, empty huge file of `pool`: of hugetlb's, a memfd.
pub fn open_of(pool: Pool) -> Result<File, Errno> {
    let gigantic = pool.page_bytes() == GIGANTIC;
    if pool.is_ours() {
        let node = if gigantic { NODE_1G } else { NODES[0] };
        return open_with(node, libc::O_RDWR);
    }
    let size = if gigantic {
        libc::MFD_HUGE_1GB
    } else {
        libc::MFD_HUGE_2MB
    };
    let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB | size;
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
