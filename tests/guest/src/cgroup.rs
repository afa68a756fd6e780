// SPDX-License-Identifier: GPL-2.0

//! A control group with one controller.

use std::ffi::CString;
use std::fs;

use crate::{call, Check};

const MOUNT: &str = "/tmp/cgroup";

/// A group of its own, for as long as this lives; this process must not be in it then.
#[must_use]
pub struct Group {
    controller: &'static str,
}

impl Group {
    /// Mounts the hierarchy and makes a group in it that `controller` controls.
    pub fn new(controller: &'static str) -> Check<Self> {
        fs::create_dir_all(MOUNT)?;
        let target = CString::new(MOUNT)?;
        // SAFETY: All are C strings, and cgroup2 needs no data.
        call(unsafe {
            libc::mount(
                c"cgroup".as_ptr(),
                target.as_ptr(),
                c"cgroup2".as_ptr(),
                0,
                std::ptr::null(),
            )
        })?;
        // From here on there is something to undo.
        let this = Self { controller };
        fs::write(
            format!("{MOUNT}/cgroup.subtree_control"),
            format!("+{controller}"),
        )?;
        fs::create_dir(this.folder())?;
        Ok(this)
    }

    fn folder(&self) -> String {
        format!("{MOUNT}/guest-test-{}", self.controller)
    }

    /// Writes to a file of the group.
    pub fn set(&self, name: &str, text: &str) -> Check {
        Ok(fs::write(format!("{}/{name}", self.folder()), text)?)
    }

    /// Puts this task into it.
    pub fn enter(&self) -> Check {
        self.set("cgroup.procs", "0")
    }

    /// Takes it out again.
    pub fn leave(&self) -> Check {
        Ok(fs::write(format!("{MOUNT}/cgroup.procs"), "0")?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What fails here fails the next test that wants a group.
        let _ = fs::remove_dir(self.folder());
        let off = format!("-{}", self.controller);
        let _ = fs::write(format!("{MOUNT}/cgroup.subtree_control"), off);
        if let Ok(target) = CString::new(MOUNT) {
            // SAFETY: It is a C string.
            unsafe { libc::umount(target.as_ptr()) };
        }
    }
}
