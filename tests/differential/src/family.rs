// SPDX-License-Identifier: GPL-2.0

//! Child processes that stay and do operations when told to.
//!
//! A child has what its parent had of both pools, so one child does for both. It is told what to do,
//! and tells what happened, through pipes that all processes have from the beginning; a child of a
//! child is made a child of this process (CLONE_PARENT), which so can wait for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::op::{End, Op, PROCESSES};
use crate::outcome::{Event, Outcome, WIRE};
use crate::pids::Pids;
use crate::sys::{call, descriptor};
use crate::world::{Context, World};

/// Sent after the last event of a pool.
const DONE: [u8; WIRE] = [0xff; WIRE];

/// Both ends of a pipe.
struct Pipe {
    from: File,
    to: File,
}

/// How one child is talked with.
struct Line {
    /// Operations: a length, then text.
    orders: Pipe,
    /// Events.
    answers: Pipe,
}

/// The children.
pub struct Family {
    pids: &'static Pids,
    lines: Vec<Line>,
    /// By which one sees that a child has died.
    alive: [Option<OwnedFd>; PROCESSES],
}

/// The wait status of a child that should be there.
#[derive(Debug)]
pub struct Died(pub i32);

impl Family {
    /// No children yet.
    pub fn new() -> Result<Self, i32> {
        Ok(Self {
            pids: Pids::new()?,
            lines: lines()?,
            alive: [const { None }; PROCESSES],
        })
    }

    /// What operation number `step` is told.
    pub fn context(&self, step: u64) -> Context {
        Context {
            step,
            pids: self.pids,
        }
    }

    /// Whether there is a process of that number.
    pub fn has(&self, who: usize) -> bool {
        who == 0 || self.alive[who].is_some()
    }

    /// Does an operation in process `who`, and in all worlds; in the first one only if it is about
    /// the task. What happened in each.
    pub fn execute(
        &mut self,
        worlds: &mut [World],
        who: usize,
        op: &Op,
        step: u64,
    ) -> Result<Vec<Outcome>, Died> {
        let context = self.context(step);
        if who == 0 {
            return Ok(concerned(worlds, op)
                .iter_mut()
                .map(|world| world.execute(op, context))
                .collect());
        }
        // Should the child be gone, its answer will tell.
        let _ = order(&mut self.lines[who].orders.to, &format!("{step} {op}"));
        let count = concerned(worlds, op).len();
        (0..count).map(|_| self.answer(who)).collect()
    }

    /// Makes `parent` fork child number `who`: what that returned.
    pub fn spawn(
        &mut self,
        worlds: &mut [World],
        parent: usize,
        who: usize,
    ) -> Result<Event, Died> {
        let forked = if parent == 0 {
            fork(worlds, &mut self.lines, who, self.pids, 0)
        } else {
            let _ = order(&mut self.lines[parent].orders.to, &format!("spawn {who}"));
            match self.answer(parent)?.first() {
                Some(Event::Returned(pid)) => Ok(*pid as libc::pid_t),
                Some(Event::Errno(errno)) => Err(*errno),
                _ => Err(libc::EPROTO),
            }
        };
        let watched = forked.and_then(|pid| {
            self.pids.set(who, pid);
            // SAFETY: The call takes numbers; the child is not reaped, so the number is its own.
            descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
        });
        Ok(match watched {
            Ok(watched) => {
                self.alive[who] = Some(watched);
                Event::Returned(0)
            }
            Err(errno) => Event::Errno(errno),
        })
    }

    /// Ends a child, waits until it is gone and says how it went.
    pub fn end(&mut self, who: usize, end: End) -> Event {
        let Some(pid) = self.pids.get(who) else {
            return Event::Errno(libc::ESRCH);
        };
        match end {
            // The child may be gone already.
            End::Exit => drop(order(&mut self.lines[who].orders.to, "exit")),
            End::Kill => {
                // SAFETY: kill takes numbers; the child is not reaped, so the number is its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        self.reap(who, pid)
    }

    /// Ends all children. New ones find nothing of theirs.
    pub fn end_all(&mut self) -> Result<(), i32> {
        for who in (1..PROCESSES)
            .filter(|who| self.pids.get(*who).is_some())
            .collect::<Vec<_>>()
        {
            self.end(who, End::Kill);
        }
        self.lines = lines()?;
        Ok(())
    }

    fn reap(&mut self, who: usize, pid: libc::pid_t) -> Event {
        let mut status = 0;
        // SAFETY: There is room for the status.
        let waited = call(unsafe { libc::waitpid(pid, &mut status, 0) });
        self.pids.clear(who);
        self.alive[who] = None;
        match waited {
            Ok(_) => Event::Ended(status),
            Err(errno) => Event::Errno(errno),
        }
    }

    /// The events that a child sends, up to the mark behind them.
    fn answer(&mut self, who: usize) -> Result<Outcome, Died> {
        let mut outcome = vec![];
        loop {
            let mut wire = [0; WIRE];
            if !self.hears(who) || self.lines[who].answers.from.read_exact(&mut wire).is_err() {
                let pid = self.pids.get(who).unwrap_or(-1);
                return match self.reap(who, pid) {
                    Event::Ended(status) => Err(Died(status)),
                    _ => Err(Died(-1)),
                };
            }
            if wire == DONE {
                return Ok(outcome);
            }
            outcome.extend(Event::from_wire(&wire));
        }
    }

    /// Waits for an answer; false if there will be none.
    fn hears(&self, who: usize) -> bool {
        let watched = self.alive[who].as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let wanted = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut polled = [
            wanted(self.lines[who].answers.from.as_raw_fd()),
            wanted(watched),
        ];
        // SAFETY: The entries are there.
        let polled_well = call(unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) }).is_ok();
        polled_well && polled[0].revents & libc::POLLIN != 0
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // Nobody is told of what fails: the program ends, and children with it.
        let _ = self.end_all();
    }
}

/// The worlds that an operation is done in.
fn concerned<'a>(worlds: &'a mut [World], op: &Op) -> &'a mut [World] {
    let count = match op.is_of_the_task() {
        true => worlds.len().min(1),
        false => worlds.len(),
    };
    &mut worlds[..count]
}

/// Forks process `who`; returns in the parent only.
fn fork(
    worlds: &mut [World],
    lines: &mut [Line],
    who: usize,
    pids: &'static Pids,
    flags: libc::c_int,
) -> Result<libc::pid_t, i32> {
    // SAFETY: As fork: the child goes on with a copy of this stack. There is one thread, so no lock
    // is held by another one.
    let pid = call(unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::SIGCHLD | flags,
            0usize,
            0usize,
            0usize,
            0usize,
        )
    })? as libc::pid_t;
    if pid != 0 {
        return Ok(pid);
    }
    // SAFETY: prctl takes numbers. No child outlives the program.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // Losing the parent is the end in any case.
    let _ = serve(worlds, lines, who, pids);
    // SAFETY: The parent's destructors and buffers are not this process's to run.
    unsafe { libc::_exit(0) }
}

/// What a child does until it is told to exit.
fn serve(
    worlds: &mut [World],
    lines: &mut [Line],
    who: usize,
    pids: &'static Pids,
) -> io::Result<()> {
    loop {
        let order = receive(&mut lines[who].orders.from)?;
        let (word, rest) = order.split_once(' ').unwrap_or((&order, ""));
        let outcomes = match (word, word.parse(), rest.parse::<Op>()) {
            ("exit", ..) => return Ok(()),
            ("spawn", ..) => {
                let number = rest.parse().map_err(io::Error::other)?;
                let forked = fork(worlds, lines, number, pids, libc::CLONE_PARENT);
                vec![vec![forked.map(i64::from).into()]]
            }
            (_, Ok(step), Ok(op)) => {
                if matches!(op, Op::Cpuset(_)) {
                    worlds
                        .iter_mut()
                        .try_for_each(|world| world.unmap_all().map(drop))
                        .map_err(io::Error::from_raw_os_error)?;
                }
                concerned(worlds, &op)
                    .iter_mut()
                    .map(|world| world.execute(&op, Context { step, pids }))
                    .collect()
            }
            _ => return Err(io::Error::other("no order")),
        };
        let sink = &mut lines[who].answers.to;
        for outcome in outcomes {
            for event in outcome {
                sink.write_all(&event.to_wire())?;
            }
            sink.write_all(&DONE)?;
        }
    }
}

fn order(to: &mut File, text: &str) -> io::Result<()> {
    to.write_all(&(text.len() as u32).to_ne_bytes())?;
    to.write_all(text.as_bytes())
}

fn receive(from: &mut File) -> io::Result<String> {
    let mut length = [0; size_of::<u32>()];
    from.read_exact(&mut length)?;
    let mut text = vec![0; u32::from_ne_bytes(length) as usize];
    from.read_exact(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

fn lines() -> Result<Vec<Line>, i32> {
    let line = |_| {
        Ok(Line {
            orders: pipe()?,
            answers: pipe()?,
        })
    };
    (0..PROCESSES).map(line).collect()
}

fn pipe() -> Result<Pipe, i32> {
    let mut ends = [0; 2];
    // SAFETY: There is room for both descriptors, which are ours if the call succeeds.
    unsafe {
        call(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok(Pipe {
            from: OwnedFd::from_raw_fd(ends[0]).into(),
            to: OwnedFd::from_raw_fd(ends[1]).into(),
        })
    }
}
