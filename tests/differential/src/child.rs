// SPDX-License-Identifier: GPL-2.0

//! Children that do operations of their own on what they share with this process, and end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use crate::op::{End, Op};
use crate::outcome::{Event, Outcome, WIRE};
use crate::sys::call;
use crate::world::World;

/// Sent after the last event.
const DONE: [u8; WIRE] = [0xff; WIRE];

/// A child that lives until [`Child::finish`].
pub struct Child {
    pid: libc::pid_t,
    events: File,
    /// A byte lets the child exit.
    go: File,
    end: End,
}

/// Starts a child that does `ops` in `world`. `other` is the world of the other pool, of which the
/// child has a copy as well.
pub fn start(world: &mut World, other: &mut World, ops: &[Op], end: End) -> Result<Child, i32> {
    let (events, sink) = pipe()?;
    let (wait, go) = pipe()?;
    // SAFETY: There is one thread, so no lock is held by another one.
    let pid = call(unsafe { libc::fork() })? as libc::pid_t;
    if pid != 0 {
        return Ok(Child {
            pid,
            events,
            go,
            end,
        });
    }
    // SAFETY: prctl takes numbers. No child outlives the program.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // Losing the parent is the end in any case.
    let _ = body(world, other, ops, sink, wait);
    // SAFETY: The parent's destructors and buffers are not this process's to run.
    unsafe { libc::_exit(0) }
}

fn body(
    world: &mut World,
    other: &mut World,
    ops: &[Op],
    mut sink: File,
    mut wait: File,
) -> std::io::Result<()> {
    if ops.iter().any(|op| matches!(op, Op::Cpuset(_))) {
        world.unmap_all();
        other.unmap_all();
    }
    for op in ops {
        for event in world.execute(op) {
            sink.write_all(&event.to_wire())?;
        }
    }
    sink.write_all(&DONE)?;
    wait.read_exact(&mut [0])
}

impl Child {
    /// Waits until the child has done its operations: what they did.
    pub fn watch(&mut self) -> Outcome {
        let mut outcome = vec![];
        let mut wire = [0; WIRE];
        // A child that died early sends no more; its wait status will tell.
        while self.events.read_exact(&mut wire).is_ok() && wire != DONE {
            outcome.extend(Event::from_wire(&wire));
        }
        outcome
    }

    /// Ends the child, waits until it is gone and says how it went.
    pub fn finish(mut self) -> Event {
        match self.end {
            // The child may be gone already.
            End::Exit => drop(self.go.write_all(&[0])),
            End::Kill => {
                // SAFETY: kill takes numbers; the child is not reaped, so the number is its own.
                unsafe { libc::kill(self.pid, libc::SIGKILL) };
            }
        }
        let mut status = 0;
        // SAFETY: There is room for the status.
        match call(unsafe { libc::waitpid(self.pid, &mut status, 0) }) {
            Ok(_) => Event::Ended(status),
            Err(errno) => Event::Errno(errno),
        }
    }
}

/// A pipe: where to read, where to write.
fn pipe() -> Result<(File, File), i32> {
    let mut ends = [0; 2];
    // SAFETY: There is room for both descriptors, which are ours if the call succeeds.
    unsafe {
        call(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((
            OwnedFd::from_raw_fd(ends[0]).into(),
            OwnedFd::from_raw_fd(ends[1]).into(),
        ))
    }
}
