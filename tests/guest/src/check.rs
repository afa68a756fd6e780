// SPDX-License-Identifier: GPL-2.0

//! How a test fails: [`Fail`] with the reason, [`Errno`] of a system call, and the macros that
//! compare.

use std::{fmt, io};

/// Why a test failed, as the text after `not ok N name # `.
#[derive(Debug)]
pub struct Fail(pub String);

/// The outcome of a test.
pub type Check<T = ()> = Result<T, Fail>;

/// The errno of a failed system call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// That of the call that failed last in this thread.
    pub fn last() -> Self {
        io::Error::last_os_error().into()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        // An error without errno is std's own complaint about its input.
        Self(error.raw_os_error().unwrap_or(libc::EINVAL))
    }
}

// `Fail` is no `Error` itself, so that `?` takes every error there is.
impl<E: std::error::Error> From<E> for Fail {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The result of a C call that returns -1 and sets errno when it fails.
pub fn call(returned: impl Into<i64>) -> Result<i64, Errno> {
    match returned.into() {
        -1 => Err(Errno::last()),
        value => Ok(value),
    }
}

/// Ends the test as failed, with a reason as in `format!`.
#[macro_export]
macro_rules! fail {
    ($($reason:tt)+) => {
        return Err($crate::Fail(format!($($reason)+)))
    };
}

/// Fails unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            $crate::fail!($($reason)+);
        }
    };
}

/// Fails unless both values are the same; the text says what they are.
#[macro_export]
macro_rules! same {
    ($seen:expr, $want:expr, $($what:tt)+) => {
        match (&$seen, &$want) {
            (seen, want) => {
                if seen != want {
                    $crate::fail!("{}: {seen:?}, not {want:?}", format_args!($($what)+));
                }
            }
        }
    };
}

/// Fails unless the call was refused with this errno; the text says what was called.
#[macro_export]
macro_rules! refused {
    ($result:expr, $errno:expr, $($what:tt)+) => {
        match $result {
            Ok(_) => $crate::fail!("{}: succeeded", format_args!($($what)+)),
            Err(errno) => $crate::same!(errno, $crate::Errno($errno), $($what)+),
        }
    };
}
