// SPDX-License-Identifier: GPL-2.0

//! The processes: started, started again when they die, and all waited for.

use std::fs;
use std::thread;

use guest::access::catch;
use guest::file::Huge;
use guest::pool::Resized;
use guest::{call, check, fail, Check, Errno, Fail};

use crate::arena::{was_killed, Arena, Figure};
use crate::convert;
use crate::fixed;
use crate::hog;
use crate::operator;
use crate::options::{Run, Sizes};
use crate::worker::{End, Worker};

/// The exit status of a process that has more to do.
const AGAIN: i32 = 3;

/// Runs everything, and returns when all processes are gone: the first error.
pub fn run(run: &Run, arena: &Arena) -> Check {
    catch()?;
    // What is orphaned comes to this process, so that none is left in the end.
    // SAFETY: prctl takes numbers.
    call(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    let pool = run.backend.pool;
    pool.set(operator::MOST / 2)?;
    let gigantic = run.gigantic.then(|| Resized::ours_1g(run.sizes.gigantic()));
    let gigantic = gigantic.transpose()?;
    let file = Huge::new(pool)?;
    let operator = supervisor(arena, || {
        let operator = match run.sizes {
            Sizes::Change => operator::run,
            Sizes::Stay => fixed::run,
        };
        operator(run, arena)
    })?;
    let mut supervisors = vec![operator, supervisor(arena, || hog::run(run, arena))?];
    if run.gigantic && run.sizes == Sizes::Change {
        supervisors.push(supervisor(arena, || convert::run(arena))?);
    }
    let orphan = |pid, status| orphan(arena, status, !supervisors.contains(&pid));
    let mut workers = Vec::new();
    for number in 0..run.processes {
        workers.push(Some(worker(run, arena, &file, number)?));
    }
    while workers.iter().any(Option::is_some) {
        let (pid, status) = next_dead()?;
        let Some(number) = workers.iter().position(|worker| *worker == Some(pid)) else {
            orphan(pid, status);
            if pid == operator {
                // It ends only with all, or by an error.
                arena.end();
            }
            continue;
        };
        workers[number] = None;
        let killed = was_killed(status);
        let again = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == AGAIN;
        if killed {
            arena.count(Figure::Kills);
        }
        if killed || again {
            if !arena.is_over() {
                workers[number] = Some(worker(run, arena, &file, number)?);
            }
        } else {
            orphan(pid, status);
        }
    }
    arena.end();
    loop {
        match next_dead() {
            Ok((pid, status)) => orphan(pid, status),
            Err(Errno(libc::ECHILD)) => break,
            Err(errno) => fail!("wait: {errno}"),
        }
    }
    arena.verdict()?;
    if gigantic.is_some() && run.sizes == Sizes::Stay {
        fixed::merges(run, arena)?;
    }
    enough(run, arena)
}

/// A run that did none of what it is about proves nothing.
fn enough(run: &Run, arena: &Arena) -> Check {
    for (figure, name, count) in arena.figures() {
        let is_expected = match figure {
            Figure::Operations | Figure::Checks | Figure::Writes | Figure::Consistent => true,
            Figure::Splits => run.gigantic,
            Figure::Merges => run.gigantic && run.sizes == Sizes::Stay,
            Figure::Sums => run.sizes == Sizes::Stay,
            // Rare.
            Figure::Robs | Figure::Refusals | Figure::ForksFailed => false,
            Figure::Kills | Figure::NoSpace => false,
            Figure::OomKills | Figure::Swappers | Figure::SwappedOut | Figure::Reclaimed => {
                run.pressure && run.sizes == Sizes::Change
            }
            // The other run is shorter.
            _ => run.sizes == Sizes::Change,
        };
        check!(count != 0 || !is_expected, "{name}: none");
    }
    Ok(())
}

/// A process that nobody waits for must have ended well, or been killed where it may be.
fn orphan(arena: &Arena, status: i32, may_be_killed: bool) {
    let killed = may_be_killed && was_killed(status);
    if status != 0 && !killed {
        arena.fail(&format!("a process ended with wait status {status:#x}"));
    }
}

/// Waits for whichever process ends next.
fn next_dead() -> Result<(libc::pid_t, i32), Errno> {
    let mut status = 0;
    // SAFETY: There is room for the status.
    let pid = call(unsafe { libc::waitpid(-1, &mut status, 0) })?;
    Ok((pid as libc::pid_t, status))
}

/// Starts process `number`, with its threads.
fn worker(run: &Run, arena: &Arena, file: &Huge, number: usize) -> Check<libc::pid_t> {
    let slots = run.processes * run.threads;
    let first = number * run.threads;
    process(arena, || {
        let thread = |slot: usize| {
            let end = Worker::new(arena, run.backend, file, slots, slot, run.seed)
                .and_then(|mut worker| worker.run(run.operations, run.forge));
            match end {
                // The others are in the middle of something.
                Ok(End::Kill) => {
                    // SAFETY: Both take numbers.
                    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
                    Ok(End::Kill)
                }
                // SAFETY: No destructor needs to run: what there is ends with the process.
                Ok(End::Exit) => unsafe { libc::_exit(AGAIN) },
                other => other,
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (first..first + run.threads)
                .map(|slot| {
                    scope.spawn(move || {
                        thread(slot)
                            .inspect_err(|Fail(why)| arena.fail(&format!("slot {slot}: {why}")))
                    })
                })
                .collect();
            threads.into_iter().try_fold(End::Done, |_, thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Fail("a thread panicked".into())))
            })
        })
    })
}

/// Starts a process that does `body` and is not killed for want of memory.
fn supervisor(arena: &Arena, body: impl FnOnce() -> Check) -> Check<libc::pid_t> {
    process(arena, || {
        fs::write("/proc/self/oom_score_adj", "-1000")?;
        body().map(|()| End::Done)
    })
}

/// Starts a process that does `body`; what fails there is the run's error.
fn process(arena: &Arena, body: impl FnOnce() -> Check<End>) -> Check<libc::pid_t> {
    // SAFETY: This process has one thread.
    let pid = call(unsafe { libc::fork() })? as libc::pid_t;
    if pid != 0 {
        return Ok(pid);
    }
    // SAFETY: prctl takes numbers. No process outlives the run.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let status = match body() {
        Ok(_) => 0,
        Err(Fail(why)) => {
            arena.fail(&why);
            1
        }
    };
    // SAFETY: The destructors are the parent's to run.
    unsafe { libc::_exit(status) }
}
