// SPDX-License-Identifier: GPL-2.0

//! Signals that come while a file is being preallocated.

use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;

use guest::beside::beside;
use guest::child::{fork, Child};
use guest::file::Huge;
use guest::ptrace::{stopped, trace, traced};
use guest::{call, same, Check, Errno};

use crate::{look, pages};

pub fn a_signal_ends_preallocating() -> Check {
    beside(4, |side| {
        let file = side.huge()?;
        let mut child = fork(|link| {
            handle(libc::SIGUSR1)?;
            traced()?;
            link.send(match file.preallocate(0, pages(3)) {
                Ok(()) => 0,
                Err(Errno(errno)) => errno as u64,
            })
        })?;
        let number = match file.is_ours() {
            true => libc::SYS_ioctl,
            false => libc::SYS_fallocate,
        };
        stop_before(&mut child, number, &file)?;
        // It is pending when the call begins.
        // SAFETY: kill takes numbers; the child is not reaped.
        call(unsafe { libc::kill(child.pid(), libc::SIGUSR1) })?;
        trace(&child, libc::PTRACE_CONT, 0)?;
        same!(
            stopped(&child)?,
            libc::SIGUSR1,
            "the signal that stops the child"
        );
        trace(&child, libc::PTRACE_CONT, libc::SIGUSR1)?;
        same!(child.link.number()?, libc::EINTR as u64, "errno");
        child.finish()?;
        side.counts("after EINTR", (4, 4, 0, 0))?;
        // hugetlb sets the size though it ended early.
        let want = if file.is_ours() { 0 } else { pages(3) };
        same!(file.state()?.size, want, "the size after EINTR");
        file.preallocate(0, pages(3))?;
        look(side, "in the end", &file, (4, 1, 0, 0))
    })
}

pub fn a_killed_process_loses_no_page() -> Check {
    beside(8, |side| {
        for round in 0..20 {
            let file = side.huge()?;
            let child = fork(|link| {
                link.send(1)?;
                loop {
                    file.preallocate(0, pages(8))?;
                    file.punch(0, pages(8))?;
                }
            })?;
            child.link.number()?;
            // No two rounds end at the same place.
            for _ in 0..round {
                std::thread::yield_now();
            }
            child.kill()?;
            drop(file);
            side.settles("after the kill", (8, 8, 0, 0))?;
        }
        Ok(())
    })
}

/// Has `signal` interrupt calls of this process.
fn handle(signal: libc::c_int) -> Check {
    extern "C" fn handler(_: libc::c_int) {}
    // SAFETY: All zeroes is a valid sigaction, without SA_RESTART; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        call(libc::sigaction(signal, &action, ptr::null_mut()))?;
    }
    Ok(())
}

/// Lets the stopped child run until it is about to make the call `number` on `file`.
fn stop_before(child: &mut Child, number: libc::c_long, file: &Huge) -> Check {
    // As in struct user_regs_struct, in words.
    const RDI: i64 = 14;
    const ORIG_RAX: i64 = 15;
    same!(stopped(child)?, libc::SIGSTOP, "the first stop");
    // No test makes a hundred calls before that one.
    for _ in 0..100 {
        trace(child, libc::PTRACE_SYSCALL, 0)?;
        same!(stopped(child)?, libc::SIGTRAP, "a stop at a call");
        let peek = |word: i64| {
            // SAFETY: PTRACE_PEEKUSER reads registers of a stopped child.
            call(unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, child.pid(), word * 8, 0) })
        };
        if peek(ORIG_RAX)? == number && peek(RDI)? == file.as_raw_fd().into() {
            return Ok(());
        }
    }
    guest::fail!("the child does not make call {number}")
}
