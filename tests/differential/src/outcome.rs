// SPDX-License-Identifier: GPL-2.0

//! What an operation did, as far as the program that asked for it can tell.

use std::fmt;

use crate::op::{Place, SLOT_PAGES};
use crate::stamp;
use crate::sys::{errno_name, Returned};

/// One thing that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A system call returned. An address or a descriptor is 0 here: those may differ.
    Returned(i64),
    /// A system call failed.
    Errno(i32),
    /// Memory could be read: the [stamp](crate::stamp) that was there.
    Read(u64),
    /// Memory could be written.
    Wrote,
    /// Memory could not be touched.
    Raised {
        signal: i32,
        code: i32,
        /// The number of si_addr's page among those of all slots; past them for any other address.
        page: u16,
    },
    /// A bit for each page of a range.
    Mask(u64),
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
            Self::Raised { signal, code, page } => {
                let bytes = [signal as u16, code as u16, page].map(u64::from);
                let packed = (bytes[0] << 32) | (bytes[1] << 16) | bytes[2];
                (4, packed as i64)
            }
            Self::Mask(mask) => (6, mask as i64),
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
            4 => Self::Raised {
                signal: (value >> 32) as u16 as i32,
                code: (value >> 16) as u16 as i16 as i32,
                page: value as u16,
            },
            6 => Self::Mask(value as u64),
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
            Self::Read(stamp) => write!(f, "read {}", stamp::name(*stamp)),
            Self::Wrote => f.write_str("wrote"),
            Self::Raised { signal, code, page } => {
                let name = match *signal {
                    libc::SIGBUS => "SIGBUS",
                    libc::SIGSEGV => "SIGSEGV",
                    _ => "signal",
                };
                let (map, page) = (
                    usize::from(*page) / SLOT_PAGES,
                    usize::from(*page) % SLOT_PAGES,
                );
                write!(f, "{name} code {code} at {}", Place { map, page })
            }
            Self::Mask(mask) => write!(f, "pages {mask:#b}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        for event in [
            Event::Returned(-1),
            Event::Errno(libc::ENOMEM),
            Event::Read(u64::MAX),
            Event::Wrote,
            Event::Raised {
                signal: libc::SIGBUS,
                code: -6,
                page: u16::MAX,
            },
            Event::Mask(1 << 63),
            Event::Ended(0x8b),
        ] {
            assert_eq!(Event::from_wire(&event.to_wire()), Some(event));
        }
    }
}
