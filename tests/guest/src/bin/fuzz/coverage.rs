// SPDX-License-Identifier: GPL-2.0

//! What code of the module a task ran (Documentation/dev-tools/kcov.rst in the kernel tree).

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use guest::{call, Check};

const INIT_TRACE: libc::c_ulong = 0x8008_6301;
const ENABLE: libc::c_ulong = 0x6364;
const TRACE_PC: libc::c_ulong = 0;
/// Places in one sequence, at most.
const WORDS: usize = 1 << 18;

/// Pairs of places that were run one after the other, as numbers.
#[derive(Default)]
pub struct Reached(pub HashSet<u64>);

/// Where the kernel notes places: their number, then each of them.
pub struct Coverage {
    file: File,
    notes: *const AtomicUsize,
}

impl Coverage {
    /// None where the kernel does not say.
    pub fn open() -> Check<Option<Self>> {
        let path = "/sys/kernel/debug/kcov";
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // SAFETY: Numbers, and a new mapping; what is in it is used as atomics, which the kernel writes.
        let notes = unsafe {
            call(libc::ioctl(file.as_raw_fd(), INIT_TRACE, WORDS))?;
            libc::mmap(
                ptr::null_mut(),
                WORDS * size_of::<usize>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if notes == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(Some(Self {
            file,
            notes: notes.cast(),
        }))
    }

    fn note(&self, place: usize) -> &AtomicUsize {
        assert!(place < WORDS);
        // SAFETY: It is one of the words, which stay mapped.
        unsafe { &*self.notes.add(place) }
    }

    /// Notes what this task does from now on, until it ends.
    pub fn begin(&self) -> Check {
        self.note(0).store(0, Relaxed);
        // SAFETY: Numbers.
        call(unsafe { libc::ioctl(self.file.as_raw_fd(), ENABLE, TRACE_PC) })?;
        Ok(())
    }

    /// What was noted last.
    pub fn reached(&self) -> Reached {
        let number = self.note(0).load(Relaxed).min(WORDS - 1);
        let place = |number| self.note(number).load(Relaxed) as u64;
        let pair = |number| place(number).rotate_left(1) ^ place(number - 1);
        Reached((2..=number).map(pair).collect())
    }
}
