// SPDX-License-Identifier: GPL-2.0

//! Ordinary memory that all processes share: figures, sequence numbers, and the first error.

use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{Relaxed, SeqCst},
};

use guest::stamp::Stamp;
use guest::{call, Check, Errno, Fail};

/// The most threads, each with a slot of its own.
pub const SLOTS: usize = 64;
/// Pages of the common file for each slot.
pub const COMMON: usize = 2;
/// Owners from here on are forked processes.
pub const FIRST_CHILD: u16 = 0x8000;
/// Bytes of the error's text.
const TEXT: usize = 600;

/// Lists the figures: a name to count by, and the text it is printed with.
macro_rules! figures {
    ($($name:ident $text:literal,)*) => {
        #[derive(Debug, Clone, Copy)]
        pub enum Figure { $($name),* }
        const FIGURES: &[(Figure, &str)] = &[$((Figure::$name, $text)),*];
    };
}

figures! {
    Operations "operations",
    Checks "words checked",
    Writes "pages written",
    Buses "SIGBUS for want of a page",
    Robs "SIGBUS of a robbed child",
    Maps "mappings",
    Refusals "mappings refused (ENOMEM)",
    Forks "forks",
    ForksFailed "forks refused (ENOMEM)",
    Kills "processes killed",
    GroupKills "killed by a memory limit",
    OomKills "killed for want of memory",
    Swappers "larger than memory, and not killed for want of memory",
    SwappedOut "base pages swapped out for want of memory",
    Reclaimed "base pages reclaimed for want of memory",
    Moves "mremap",
    Punches "holes punched",
    Preallocations "preallocations",
    NoSpace "preallocations refused (ENOSPC)",
    Advice "madvise",
    Protections "mprotect",
    Pins "pages pinned",
    Policies "policies set",
    Resizes "sizes written",
    Splits "1 GiB pages split",
    Merges "1 GiB pages merged",
    Samples "counters read",
    Consistent "counters read at one moment",
    Sums "sums of pages compared",
}

/// What lies in the shared memory. All zeroes to begin with.
pub struct Shared {
    /// Everybody is to end.
    over: AtomicBool,
    sequence: AtomicU32,
    children: AtomicU32,
    figures: [AtomicU64; FIGURES.len()],
    /// Operations done, by slot: a process that takes over from a killed one goes on there.
    pub done: [AtomicU32; SLOTS],
    /// What a page of the common file holds was written at this sequence or later.
    pub floors: [AtomicU32; SLOTS * COMMON],
    /// 0: none; 1: being written; 2: there.
    failed: AtomicU32,
    text: [AtomicU8; TEXT],
}

/// The shared memory, for as long as this process has it.
pub struct Arena(*mut Shared);

// SAFETY: Everything in it is atomic.
unsafe impl Sync for Arena {}
// SAFETY: The memory belongs to the process, not to a thread.
unsafe impl Send for Arena {}

impl Arena {
    pub fn new() -> Check<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: A new mapping changes no memory.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Shared>(),
                protection,
                flags,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        let arena = Self(memory.cast());
        // A word is never 0, so neither is a sequence.
        arena.sequence.store(1, SeqCst);
        Ok(arena)
    }

    pub fn figure(&self, figure: Figure) -> u64 {
        self.figures[figure as usize].load(SeqCst)
    }

    pub fn figures(&self) -> impl Iterator<Item = (Figure, &'static str, u64)> + '_ {
        FIGURES
            .iter()
            .zip(&self.figures)
            .map(|((figure, name), count)| (*figure, *name, count.load(SeqCst)))
    }
}

impl Deref for Arena {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        // SAFETY: mmap gave as many zeroes, which are valid for atomics; they stay until the drop.
        unsafe { &*self.0 }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: No reference outlives this.
        unsafe { libc::munmap(self.0.cast(), size_of::<Shared>()) };
    }
}

impl Shared {
    pub fn count(&self, figure: Figure) {
        self.add(figure, 1);
    }

    pub fn add(&self, figure: Figure, number: u64) {
        self.figures[figure as usize].fetch_add(number, Relaxed);
    }

    /// A number larger than all before.
    pub fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, SeqCst)
    }

    /// An owner that no process that still lives has.
    pub fn next_child(&self) -> u16 {
        FIRST_CHILD | (self.children.fetch_add(1, SeqCst) % u32::from(FIRST_CHILD)) as u16
    }

    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }

    /// Keeps the first error there is, and has everybody end.
    pub fn fail(&self, why: &str) {
        if self.failed.compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
            for (place, byte) in self.text.iter().zip(why.bytes()) {
                place.store(byte, SeqCst);
            }
            self.failed.store(2, SeqCst);
        }
        self.end();
    }

    /// The first error.
    pub fn verdict(&self) -> Check {
        if self.failed.load(SeqCst) == 0 {
            return Ok(());
        }
        let text: Vec<u8> = self
            .text
            .iter()
            .map(|byte| byte.load(SeqCst))
            .take_while(|byte| *byte != 0)
            .collect();
        Err(Fail(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Kills and reaps a process that the caller started.
pub fn kill(pid: libc::pid_t) -> Check {
    // SAFETY: kill takes numbers; the caller has not reaped it.
    call(unsafe { libc::kill(pid, libc::SIGKILL) })?;
    reap(pid).map(drop)
}

/// Waits for a process that the caller started: its wait status.
pub fn reap(pid: libc::pid_t) -> Check<i32> {
    let mut status = 0;
    // SAFETY: There is room for the status.
    call(unsafe { libc::waitpid(pid, &mut status, 0) })?;
    Ok(status)
}

/// Whether a wait status says that somebody killed the process.
pub fn was_killed(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
}

/// The word of an owner's page.
pub fn word(owner: u16, page: usize, spot: usize, sequence: u32) -> u64 {
    Stamp {
        owner,
        page,
        spot,
        sequence,
    }
    .word()
}
