// SPDX-License-Identifier: GPL-2.0

//! A demotion and a promotion of many pages end when a signal comes; what was done stays.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use guest::policy::run_on_cpu;
use guest::{call, check, fail, same, Check, Errno};

use crate::promote::promote;
use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;
const PAGES: u64 = 3;

/// How often it is tried to have a signal come in time.
const TRIES: usize = 10;

/// Runs `act` while another thread sends this one a signal after the other.
fn in_a_storm<T>(act: impl FnOnce() -> T) -> Check<T> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: All zeroes is a valid sigaction; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        call(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()))?;
    }
    // SAFETY: It takes nothing.
    let thread = unsafe { libc::gettid() };
    run_on_cpu(0)?;
    let over = AtomicBool::new(false);
    let sent = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            // Where it does not wait for this one.
            let _ = run_on_cpu(1);
            while !over.load(SeqCst) {
                let process = std::process::id();
                // SAFETY: The thread waits for this one.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
                sent.store(true, SeqCst);
                thread::yield_now();
            }
        });
        while !sent.load(SeqCst) {
            thread::yield_now();
        }
        let result = act();
        over.store(true, SeqCst);
        result
    });
    Ok(result)
}

/// Does `act` in a storm until it is ended early. Where it did all, `again` undoes it: a signal that
/// came too late, as the other CPU had no time, says nothing.
fn until_early(
    what: &str,
    act: impl Fn() -> Result<(), Errno>,
    again: impl Fn() -> Result<(), Errno>,
    is_all: impl Fn(u64) -> bool,
) -> Check {
    for _ in 0..TRIES {
        let said = in_a_storm(&act)?;
        let [(large, _), (small, free)] = OURS.totals()?;
        same!(said, Ok(()), "what the write said, {what}");
        same!(
            (small, free),
            ((PAGES - large) * PIECES, small),
            "small pages, and free ones, {what}"
        );
        if (1..PAGES).contains(&large) {
            return Ok(());
        }
        check!(is_all(large), "{large} large pages, {what}: it did nothing");
        again()?;
    }
    fail!("{what}: did all of it each time")
}

pub fn ends_it_early() -> Check {
    // Wherever they are: a node may have less.
    let _pools = Emptied::of(OURS)?;
    OURS.set(Size::Large, None, PAGES)?;
    let demote = || OURS.demote(None, PAGES);
    let promote = || promote(None, PAGES);
    until_early("demote", demote, promote, |large| large == 0)?;
    demote()?;
    until_early("promote", promote, demote, |large| large == PAGES)
}
