// SPDX-License-Identifier: GPL-2.0

//! Swap space, without which reclaim finds next to nothing in a guest whose files are all in memory.

use std::ffi::CString;
use std::process::Command;

use crate::{call, check, Check};

/// A disk that is swapped to, for as long as this lives.
#[must_use]
pub struct Swap(CString);

impl Swap {
    /// What was on `disk` is lost.
    pub fn on(disk: &str) -> Check<Self> {
        let made = Command::new("mkswap").arg(disk).output()?;
        check!(made.status.success(), "mkswap {disk}: {made:?}");
        let path = CString::new(disk)?;
        // SAFETY: The path is a C string.
        call(unsafe { libc::swapon(path.as_ptr(), 0) })?;
        Ok(Self(path))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: The path is a C string.
        unsafe { libc::swapoff(self.0.as_ptr()) };
    }
}
