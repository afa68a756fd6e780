// SPDX-License-Identifier: GPL-2.0

//! The process numbers of all processes of a run, where each of them can look them up.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::op::PROCESSES;
use crate::sys::call;

/// Process numbers, in memory that processes share from the first fork on.
pub struct Pids([AtomicI32; PROCESSES]);

impl Pids {
    /// Only this process, for good.
    pub fn new() -> Result<&'static Self, i32> {
        // SAFETY: A new mapping where nothing is.
        let shared = call(unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        } as i64)?;
        // SAFETY: It is aligned, there is room, zeroes are valid, and nobody unmaps it.
        let pids = unsafe { &*(shared as *const Self) };
        // SAFETY: The call has no argument.
        pids.set(0, unsafe { libc::getpid() });
        Ok(pids)
    }

    /// Enters a process.
    pub fn set(&self, who: usize, pid: libc::pid_t) {
        self.0[who].store(pid, Ordering::Relaxed);
    }

    /// Enters that it is gone.
    pub fn clear(&self, who: usize) {
        self.set(who, 0);
    }

    /// The numbers of all that are there.
    pub fn all(&self) -> impl Iterator<Item = libc::pid_t> + '_ {
        (0..PROCESSES).filter_map(|who| self.get(who))
    }

    /// The number of a process that is there.
    pub fn get(&self, who: usize) -> Option<libc::pid_t> {
        match self.0[who].load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }
}
