// SPDX-License-Identifier: GPL-2.0

//! System calls, and what they return.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What a system call returned, or its errno.
pub type Returned = Result<i64, i32>;

/// The result of a C call that returns -1 and sets errno when it fails.
pub fn call(returned: impl Into<i64>) -> Returned {
    match returned.into() {
        -1 => Err(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL)),
        value => Ok(value),
    }
}

/// A descriptor that a call returned.
pub fn descriptor(returned: impl Into<i64>) -> Result<OwnedFd, i32> {
    let fd = call(returned)? as i32;
    // SAFETY: The call just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One write(2).
pub fn write(file: &impl AsRawFd, bytes: &[u8]) -> Returned {
    // SAFETY: The bytes are there.
    call(unsafe { libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as i64)
}

/// One pread(2) from the start.
pub fn read_from_start(file: &File, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: The buffer is there.
    let read = unsafe {
        libc::pread(
            file.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
        )
    };
    call(read as i64).map(|length| length as usize)
}

/// Runs on `cpu` only, from now on.
pub fn run_on_cpu(cpu: usize) -> Returned {
    // SAFETY: An empty set is all zeroes, and CPU_SET checks the number.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: The set is there and of that size.
    call(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) })
}

/// The name of an errno that a test is likely to see, else its number.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::E2BIG => "E2BIG",
        libc::EACCES => "EACCES",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EFAULT => "EFAULT",
        libc::EFBIG => "EFBIG",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EPERM => "EPERM",
        libc::ERANGE => "ERANGE",
        _ => return format!("errno {errno}"),
    };
    name.to_string()
}
