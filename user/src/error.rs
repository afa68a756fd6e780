// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a failed call says: what was tried, the errno, and what to do about it.

use std::{fmt, io};

/// A system call that failed, with its errno and the remedy.
#[derive(Debug)]
pub struct Error {
    action: String,
    errno: i32,
    remedy: &'static str,
}

impl Error {
    pub(crate) fn new(action: impl Into<String>, errno: i32, remedy: &'static str) -> Self {
        Self {
            action: action.into(),
            errno,
            remedy,
        }
    }

    /// The error of the system call that failed last in this thread.
    pub(crate) fn last(action: impl Into<String>, remedy: fn(i32) -> &'static str) -> Self {
        Self::from_io(action, &io::Error::last_os_error(), remedy)
    }

    pub(crate) fn from_io(
        action: impl Into<String>,
        error: &io::Error,
        remedy: fn(i32) -> &'static str,
    ) -> Self {
        // An io::Error without errno is std's own complaint about its input.
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        Self::new(action, errno, remedy(errno))
    }

    /// The errno of the failed call, as in `errno(3)`.
    pub fn errno(&self) -> i32 {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: {}: {}", self.action, reason, self.remedy)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::from_raw_os_error(error.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let error = Error::new("open /dev/x", libc::EACCES, "run as root");
        assert_eq!(
            error.to_string(),
            "open /dev/x: Permission denied (os error 13): run as root"
        );
        assert_eq!(error.errno(), libc::EACCES);
        assert_eq!(
            io::Error::from(error).kind(),
            io::ErrorKind::PermissionDenied
        );
    }
}
