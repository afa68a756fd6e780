// SPDX-License-Identifier: GPL-2.0

//! Writers that are killed, and writers that get in each other's way.

use std::fs;
use std::thread;

use crate::backend::{Backend, Knob};
use crate::counters::{Counters, Gauge};
use crate::ktap::Check;
use crate::machine::Machine;
use crate::pair::Pair;
use crate::sys::{call, errno_name};
use crate::text::Text;

/// Pages that a writer asks for before it is killed.
const ASKED: u64 = 150;

/// Pages that the guest must have lost for the writer to be in the middle.
const GOT: u64 = 20;

/// How often a kill may come too late.
const TRIES: usize = 20;

/// Threads that write at once, and how often each does.
const WRITERS: u64 = 8;
const WRITES: u64 = 12;

/// A writer killed in the middle leaves the pages that it got, all free, and a pool that works.
pub fn killed(pair: &mut Pair, machine: &Machine) -> Check {
    for backend in Backend::BOTH {
        let name = backend.name();
        pair.reset()?;
        let gauge = Gauge::open(backend, &machine.nodes)?;
        let left = kill_in_the_middle(backend, &gauge)?;
        println!("# {name}: killed while it made {ASKED} pages: {left}");
        idle(name, &left)?;
        write(backend, Knob::Nr, 5)?;
        let settled = gauge.read()?;
        idle(name, &settled)?;
        if settled.nr != 5 {
            return Err(format!("{name}: a write of 5 afterwards: {settled}"));
        }
        write(backend, Knob::Nr, 0)?;
    }
    Ok(pair.reset()?)
}

fn kill_in_the_middle(backend: Backend, gauge: &Gauge) -> Check<Counters> {
    for _ in 0..TRIES {
        write(backend, Knob::Nr, 0)?;
        let before = free_memory()?;
        // SAFETY: There is one thread, so no lock is held by another one.
        let pid = call(unsafe { libc::fork() }).map_err(errno_name)? as libc::pid_t;
        if pid == 0 {
            // Its outcome is seen in the counters.
            let _ = write(backend, Knob::Nr, ASKED);
            // SAFETY: The parent's destructors and buffers are not this process's to run.
            unsafe { libc::_exit(0) }
        }
        let mut status = 0;
        let mut gone = false;
        while !gone && free_memory()? + (GOT << 21) > before {
            // SAFETY: There is room for the status; the child is ours.
            let reaped = unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
            gone = call(reaped).map_err(errno_name)? != 0;
        }
        if !gone {
            // SAFETY: As above; the child is not reaped, so the number is its own.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                call(libc::waitpid(pid, &mut status, 0)).map_err(errno_name)?;
            }
        }
        let left = gauge.read()?;
        if status == libc::SIGKILL && left.nr > 0 && left.nr < ASKED {
            return Ok(left);
        }
    }
    Err(format!(
        "{}: the writer was never killed in the middle of its write",
        backend.name()
    ))
}

/// The guest's free memory, in bytes.
fn free_memory() -> Check<u64> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse::<u64>().ok())
        .map(|kib| kib << 10)
        .ok_or_else(|| format!("{path}: no MemFree in kB"))
}

/// Eight threads write sizes to all files of a pool that take them; whoever comes last, the counts
/// fit together, and one more write settles both pools alike.
pub fn concurrent(pair: &mut Pair, machine: &Machine) -> Check {
    pair.reset()?;
    for backend in Backend::BOTH {
        let name = backend.name();
        let gauge = Gauge::open(backend, &machine.nodes)?;
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| scope.spawn(move || write_many(backend, machine, number)))
                .collect();
            writers
                .into_iter()
                .try_for_each(|writer| writer.join().unwrap_or_else(|_| Err("panicked".into())))
        })?;
        let left = gauge.read()?;
        println!("# {name}: after {WRITERS} writers: {left}");
        idle(name, &left)?;
        write(backend, Knob::Nr, 7)?;
        let settled = gauge.read()?;
        idle(name, &settled)?;
        if settled.nr != 7 {
            return Err(format!("{name}: a write of 7 afterwards: {settled}"));
        }
    }
    Ok(pair.reset()?)
}

fn write_many(backend: Backend, machine: &Machine, number: u64) -> Check {
    for turn in 0..WRITES {
        let count = (number * 5 + turn * 7) % 24;
        let node = machine.nodes[(number + turn) as usize % machine.nodes.len()];
        let knob = match (number + turn) % 4 {
            0 | 1 => Knob::Nr,
            2 => Knob::NrMempolicy,
            _ => Knob::NodeNr(node),
        };
        write(backend, knob, count)?;
        write(backend, Knob::Overcommit, count)?;
    }
    Ok(())
}

/// A write that must go through.
fn write(backend: Backend, knob: Knob, count: u64) -> Check {
    let text = Text::Count(count).bytes();
    match backend.write(knob, &text) {
        Ok(length) if length == text.len() as i64 => Ok(()),
        other => Err(format!(
            "{}: write {knob} {count}: {other:?}",
            backend.name()
        )),
    }
}

/// The counts of a pool that nobody uses.
fn idle(name: &str, counters: &Counters) -> Check {
    match counters.broken() {
        Some(what) => Err(format!("{name}: {what}: {counters}")),
        None if counters.resv != 0 || counters.free != counters.nr || counters.surplus != 0 => {
            Err(format!("{name}: not idle: {counters}"))
        }
        None => Ok(()),
    }
}
