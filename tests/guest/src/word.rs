// SPDX-License-Identifier: GPL-2.0

//! Words of a mapping that the kernel reads and writes for the program: where a touch would be a
//! SIGBUS, the call fails with EFAULT, and the test goes on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use crate::map::Map;
use crate::{call, Errno};

/// The word at byte `offset`.
pub fn load(map: &Map, offset: usize) -> Result<u64, Errno> {
    load_at(map.at(offset))
}

/// The word at an address, whatever is there.
pub fn load_at(address: *const u8) -> Result<u64, Errno> {
    let (mut reads, writes) = pipe()?;
    // SAFETY: write reads the address space as far as it is there.
    call(unsafe { libc::write(writes.as_raw_fd(), address.cast(), 8) } as i64)?;
    let mut word = [0; 8];
    reads.read_exact(&mut word)?;
    Ok(u64::from_ne_bytes(word))
}

/// Writes the word at byte `offset`.
pub fn store(map: &Map, offset: usize, word: u64) -> Result<(), Errno> {
    store_at(map.at(offset), word)
}

/// Writes the word at an address of a mapping that the test made, wherever it moved.
pub fn store_at(address: *mut u8, word: u64) -> Result<(), Errno> {
    let (reads, mut writes) = pipe()?;
    writes.write_all(&word.to_ne_bytes())?;
    // SAFETY: The word lies in a mapping of the test's, whose accesses are volatile.
    call(unsafe { libc::read(reads.as_raw_fd(), address.cast(), 8) } as i64)?;
    Ok(())
}

fn pipe() -> Result<(File, File), Errno> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: There is room for two descriptors.
    call(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: pipe2 made both, and nobody else has them.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}
