// SPDX-License-Identifier: GPL-2.0

//! A child that its parent traces (ptrace(2)).

use crate::child::Child;
use crate::{call, check, Check};

/// Has the parent trace this process, stops, and goes on when it may.
pub fn traced() -> Check {
    // SAFETY: Both take numbers.
    unsafe {
        call(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))?;
        call(libc::raise(libc::SIGSTOP))?;
    }
    Ok(())
}

/// A request that takes a number and no address.
pub fn trace(child: &Child, request: libc::c_uint, number: libc::c_int) -> Check {
    // SAFETY: These requests take numbers.
    call(unsafe { libc::ptrace(request, child.pid(), 0, libc::c_long::from(number)) })?;
    Ok(())
}

/// Waits until the child stops: the signal, and the event above it.
pub fn stopped(child: &Child) -> Check<i32> {
    let mut status = 0;
    // SAFETY: There is room for the status.
    call(unsafe { libc::waitpid(child.pid(), &mut status, 0) })?;
    check!(
        libc::WIFSTOPPED(status),
        "the child ended: wait status {status:#x}"
    );
    Ok(status >> 8)
}
