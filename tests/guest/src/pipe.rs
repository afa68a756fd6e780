// SPDX-License-Identifier: GPL-2.0

//! A pipe that pages can be spliced into: the simplest user of GUP there is.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use crate::map::Map;
use crate::{call, fail, same, Check};

/// A pipe.
pub struct Pipe {
    reads: File,
    writes: File,
}

impl Pipe {
    pub fn new() -> Check<Self> {
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: There is room for two descriptors.
        call(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
        // SAFETY: pipe2 made both, and nobody else has them.
        Ok(unsafe {
            Self {
                reads: File::from_raw_fd(ends[0]),
                writes: File::from_raw_fd(ends[1]),
            }
        })
    }

    /// The end to read from, and the one to write to.
    pub fn into_ends(self) -> (File, File) {
        (self.reads, self.writes)
    }

    /// Puts references to `bytes` bytes of a mapping into the pipe, not copies.
    pub fn splice(&self, map: &Map, offset: usize, bytes: usize) -> Check {
        let part = libc::iovec {
            iov_base: map.at(offset).cast(),
            iov_len: bytes,
        };
        // SAFETY: The bytes lie in the mapping.
        let spliced = call(unsafe { libc::vmsplice(self.writes.as_raw_fd(), &part, 1, 0) } as i64)?;
        same!(spliced as usize, bytes, "bytes spliced");
        Ok(())
    }

    /// Takes `bytes` bytes out.
    pub fn take(&mut self, bytes: usize) -> Check<Vec<u8>> {
        let mut content = vec![0; bytes];
        self.reads.read_exact(&mut content)?;
        Ok(content)
    }

    /// Takes `bytes` bytes out; fails unless every word is `stamp`.
    pub fn drain(&mut self, bytes: usize, stamp: u64) -> Check {
        for word in self.take(bytes)?.chunks_exact(8) {
            if word != stamp.to_ne_bytes() {
                fail!("the pipe holds {word:02x?}, not {stamp:#x}");
            }
        }
        Ok(())
    }
}
