// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module, and what it says in the kernel log.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::pool::OURS;
use crate::{call, Check, Errno};

pub const FILE: &str = "/lib/modules/rust_hugetlb.ko";

/// insmod with `parameters`, for example `hugepages_2M=8`.
pub fn load(parameters: &str) -> Result<(), Errno> {
    load_from(&File::open(FILE)?, parameters)
}

/// The same from an open file.
pub fn load_from(file: &File, parameters: &str) -> Result<(), Errno> {
    let parameters = CString::new(parameters).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: The parameters are a C string.
    call(unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            parameters.as_ptr(),
            0,
        )
    })?;
    Ok(())
}

/// rmmod, which does not wait for users to go.
pub fn unload() -> Result<(), Errno> {
    let flags = libc::O_NONBLOCK;
    // SAFETY: The name is a C string.
    call(unsafe { libc::syscall(libc::SYS_delete_module, c"rust_hugetlb".as_ptr(), flags) })?;
    Ok(())
}

pub fn loaded() -> bool {
    fs::exists("/sys/module/rust_hugetlb").unwrap_or(false)
}

/// The module's reference count, which rmmod looks at.
pub fn users() -> Check<u64> {
    let text = fs::read_to_string("/sys/module/rust_hugetlb/refcnt")?;
    Ok(text.trim_end().parse()?)
}

/// Has the module loaded again, with its pool as it was, when the test is over.
#[must_use]
pub struct Reloaded {
    before: u64,
}

impl Reloaded {
    pub fn after_test() -> Check<Self> {
        Ok(Self { before: OURS.nr()? })
    }
}

impl Drop for Reloaded {
    fn drop(&mut self) {
        // The test has its verdict already; the next one fails without the module.
        if !loaded() {
            let _ = load("");
        }
        let _ = OURS.set(self.before);
    }
}

/// The kernel log from here on.
pub struct Log(File);

impl Log {
    pub fn from_now() -> Check<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The module's lines that came since, each with its level first: `4 rust_hugetlb: …`.
    pub fn lines(&mut self) -> Check<Vec<String>> {
        let mut lines = self.all()?;
        lines.retain(|line| line[1..].starts_with(" rust_hugetlb: "));
        Ok(lines)
    }

    /// The kernel's warnings and errors that came since.
    pub fn complaints(&mut self) -> Check<Vec<String>> {
        let mut lines = self.all()?;
        lines.retain(|line| line.as_str() < "5");
        Ok(lines)
    }

    /// The kernel's lines that came since, each with its level first.
    fn all(&mut self) -> Check<Vec<String>> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            let length = match self.0.read(&mut record) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                other => other?,
            };
            let text = String::from_utf8_lossy(&record[..length]);
            // "priority,sequence,time,flags;the line"
            if let Some((head, line)) = text.split_once(';') {
                let priority: u32 = head.split(',').next().unwrap_or_default().parse()?;
                let (facility, level) = (priority >> 3, priority & 7);
                if facility == 0 {
                    let line = line.lines().next().unwrap_or_default();
                    lines.push(format!("{level} {line}"));
                }
            }
        }
    }
}
