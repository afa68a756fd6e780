// SPDX-License-Identifier: GPL-2.0

//! What an operation did, as far as the program that asked for it can tell.

use std::fmt;

use crate::sys::{errno_name, Returned};
use crate::touch::Raised;

/// One thing that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A system call returned. An address or a descriptor is 0 here: those may differ.
    Returned(i64),
    /// A system call failed.
    Errno(i32),
    /// Memory could be read: a digest of what was there.
    Read(u64),
    /// Memory could be written.
    Wrote,
    /// Memory could not be touched.
    Raised(Raised),
    /// A child ended with this wait status.
    Ended(i32),
}

/// What an operation did: nothing, if what it is about is not there.
pub type Outcome = Vec<Event>;

impl From<Returned> for Event {
    fn from(returned: Returned) -> Self {
        match returned {
            Ok(value) => Self::Returned(value),
            Err(errno) => Self::Errno(errno),
        }
    }
}

impl From<Result<u64, Raised>> for Event {
    fn from(read: Result<u64, Raised>) -> Self {
        match read {
            Ok(digest) => Self::Read(digest),
            Err(raised) => Self::Raised(raised),
        }
    }
}

impl From<Result<(), Raised>> for Event {
    fn from(wrote: Result<(), Raised>) -> Self {
        match wrote {
            Ok(()) => Self::Wrote,
            Err(raised) => Self::Raised(raised),
        }
    }
}

/// Bytes of an event on a pipe.
pub const WIRE: usize = 16;

impl Event {
    /// The event as a child sends it.
    pub fn to_wire(self) -> [u8; WIRE] {
        let (kind, value) = match self {
            Self::Returned(value) => (0, value),
            Self::Errno(errno) => (1, i64::from(errno)),
            Self::Read(digest) => (2, digest as i64),
            Self::Wrote => (3, 0),
            Self::Raised(raised) => {
                let code = i64::from(raised.code as u32);
                (4, (i64::from(raised.signal) << 32) | code)
            }
            Self::Ended(status) => (5, i64::from(status)),
        };
        let mut wire = [0; WIRE];
        wire[..8].copy_from_slice(&i64::to_ne_bytes(kind));
        wire[8..].copy_from_slice(&value.to_ne_bytes());
        wire
    }

    /// The event that a child sent; none for anything else.
    pub fn from_wire(wire: &[u8; WIRE]) -> Option<Self> {
        let word = |at: usize| Some(i64::from_ne_bytes(wire[at..at + 8].try_into().ok()?));
        let value = word(8)?;
        Some(match word(0)? {
            0 => Self::Returned(value),
            1 => Self::Errno(value as i32),
            2 => Self::Read(value as u64),
            3 => Self::Wrote,
            4 => Self::Raised(Raised {
                signal: (value >> 32) as i32,
                code: value as i32,
            }),
            5 => Self::Ended(value as i32),
            _ => return None,
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(value) => write!(f, "{value}"),
            Self::Errno(errno) => f.write_str(&errno_name(*errno)),
            Self::Read(digest) => write!(f, "read {digest:#x}"),
            Self::Wrote => f.write_str("wrote"),
            Self::Raised(raised) => {
                let name = match raised.signal {
                    libc::SIGBUS => "SIGBUS",
                    libc::SIGSEGV => "SIGSEGV",
                    _ => "signal",
                };
                write!(f, "{name} code {}", raised.code)
            }
            Self::Ended(status) => write!(f, "child ended {status:#x}"),
        }
    }
}

/// An outcome on one line.
pub fn describe(outcome: &[Event]) -> String {
    if outcome.is_empty() {
        return "nothing".to_string();
    }
    let events: Vec<String> = outcome.iter().map(Event::to_string).collect();
    events.join(", ")
}
