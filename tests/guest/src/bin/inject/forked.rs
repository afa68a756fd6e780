// SPDX-License-Identifier: GPL-2.0

//! A child of a fork that may be refused, and the errno of that: there is none to it but the fork itself.

use std::ptr;

use guest::{call, check, Check, Errno};

/// A child, killed and reaped when dropped.
pub struct Forked(libc::pid_t);

impl Forked {
    /// Starts a child that exits with what `in_child` says, which does nothing but read, write and wait:
    /// for the child no allocation is to fail.
    pub fn new(in_child: impl FnOnce() -> i32) -> Result<Self, Errno> {
        // SAFETY: There is one thread, so no lock is held by another one.
        let pid = call(unsafe { libc::fork() })? as libc::pid_t;
        if pid == 0 {
            // SAFETY: prctl takes numbers; the parent's destructors are not for the child to run.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::_exit(in_child())
            };
        }
        Ok(Self(pid))
    }

    /// Waits until it is gone: what it exited with.
    pub fn wait(&mut self) -> Check<i32> {
        let mut status = 0;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(self.0, &mut status, 0) })?;
        self.0 = 0;
        check!(libc::WIFEXITED(status), "wait status {status:#x}");
        Ok(libc::WEXITSTATUS(status))
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.0 != 0 {
            // SAFETY: kill and waitpid take numbers; the status may be left out.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, ptr::null_mut(), 0);
            }
        }
    }
}
