// SPDX-License-Identifier: GPL-2.0

//! A user without any right who was handed open files of the device: all that is left to do is to use
//! them. Where the kernel has user namespaces this is root of one, whom a check of the wrong
//! namespace's capabilities would let in.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::path::Path;

use guest::child::{become_root_of_a_namespace, become_user};
use guest::link::Link;
use guest::{Check, Errno};

/// The first that is nobody's but a user's.
const ID: u32 = 1000;
/// What is said of each write to a file of the pool that was refused.
pub const REFUSED: u64 = 2;

/// Whether the kernel has user namespaces.
pub fn has_namespaces() -> bool {
    Path::new("/proc/self/ns/user").exists()
}

pub struct User<'a> {
    /// Open files for the calls of open to come, in their order.
    files: VecDeque<i32>,
    judge: &'a Link,
}

impl<'a> User<'a> {
    /// Makes this (child) process the user, for good, with files that were opened before.
    pub fn new(files: VecDeque<i32>, judge: &'a Link) -> Check<Self> {
        if has_namespaces() {
            become_root_of_a_namespace(ID)?;
        } else {
            become_user(ID)?;
        }
        Ok(Self { files, judge })
    }

    /// What an open of a file gets: `fd` if the user could open it, or else what root opened.
    pub fn opened(&mut self, path: &CStr, flags: i32, fd: i32) -> i32 {
        let lent = self.files.pop_front().unwrap_or(-1);
        if fd < 0 {
            return lent;
        }
        // A path alone gives no right to anything.
        let device = path.to_bytes().starts_with(b"/dev/rust_hugetlb");
        if device && flags & libc::O_PATH == 0 {
            self.complain(&format!("a user could open {path:?} with flags {flags:#o}"));
        }
        // SAFETY: A number.
        unsafe { libc::close(lent) };
        fd
    }

    /// Says how opening a file of the pool to write to it went.
    pub fn wrote(&self, name: &str, opened: Result<i64, Errno>) {
        match opened {
            Err(Errno(libc::EACCES)) => {
                // The judge is there for as long as its children are.
                let _ = self.judge.send(REFUSED);
            }
            other => self.complain(&format!("a user opened {name} to write: {other:?}")),
        }
    }

    fn complain(&self, why: &str) {
        let _ = self.judge.send_failure(why);
    }
}
