// SPDX-License-Identifier: GPL-2.0

//! A demotion and a promotion of many pages end when a signal comes; what was done stays.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use guest::{call, check, same, Check};

use crate::promote::promote;
use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;
const PAGES: u64 = 3;

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
    let over = AtomicBool::new(false);
    let sent = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        scope.spawn(|| {
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

pub fn ends_it_early() -> Check {
    // Wherever they are: a node may have less.
    let _pools = Emptied::of(OURS)?;
    OURS.set(Size::Large, None, PAGES)?;
    let demoted = in_a_storm(|| OURS.demote(None, PAGES))?;
    let [(large, _), (small, free)] = OURS.totals()?;
    same!(demoted, Ok(()), "what the write said");
    check!(
        (1..PAGES).contains(&large),
        "{large} of {PAGES} large pages are left"
    );
    same!(
        (small, free),
        ((PAGES - large) * PIECES, small),
        "small pages, and free ones"
    );
    OURS.demote(None, PAGES)?;
    let promoted = in_a_storm(|| promote(None, PAGES))?;
    let [(large, _), (small, free)] = OURS.totals()?;
    same!(promoted, Ok(()), "what the write said");
    check!(
        (1..PAGES).contains(&large),
        "{large} of {PAGES} large pages were made"
    );
    same!(
        (small, free),
        ((PAGES - large) * PIECES, small),
        "small pages, and free ones"
    );
    Ok(())
}
