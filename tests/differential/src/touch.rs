// SPDX-License-Identifier: GPL-2.0

//! Touching memory that may not be there, and coming back.
//!
//! Each access is one known instruction. When it raises SIGBUS or SIGSEGV, the handler moves the
//! interrupted context on to a `ret` and leaves there what happened, so a touch returns like any
//! function. A signal from elsewhere is this program's own fault and ends it.

use std::arch::global_asm;
use std::{mem, ptr};

use crate::sys::{self, call};

/// How a page is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The signal that a touch raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// SIGBUS or SIGSEGV.
    pub signal: i32,
    /// Its si_code.
    pub code: i32,
    /// Its si_addr.
    pub address: usize,
}

/// What an access left in rax and rdx.
#[repr(C)]
struct Accessed {
    /// The word that was read, or the si_addr of a signal.
    value: u64,
    /// 0, or the signal, and in the high half its code.
    raised: u64,
}

global_asm!(
    ".globl differential_read",
    ".globl differential_write",
    ".globl differential_faulted",
    "differential_read:",
    "mov rax, [rdi]",
    "xor edx, edx",
    "ret",
    "differential_write:",
    "mov [rdi], rsi",
    "xor edx, edx",
    "differential_faulted:",
    "ret",
);

extern "C" {
    fn differential_read(address: *const u64) -> Accessed;
    fn differential_write(address: *mut u64, value: u64) -> Accessed;
    fn differential_faulted();
}

/// Reads the word at `address`, wherever that is.
pub fn read(address: usize) -> Result<u64, Raised> {
    // SAFETY: Whatever the address, it ends in a value or in the handler.
    unsafe { differential_read(address as *const u64) }.result()
}

/// Writes the word at `address`.
///
/// # Safety
///
/// No Rust object may be there.
pub unsafe fn write(address: usize, value: u64) -> Result<(), Raised> {
    // SAFETY: By the caller's promise it overwrites nobody's memory, and it ends as `read` does.
    let accessed = unsafe { differential_write(address as *mut u64, value) };
    accessed.result().map(drop)
}

impl Accessed {
    fn result(self) -> Result<u64, Raised> {
        match self.raised {
            0 => Ok(self.value),
            raised => Err(Raised {
                signal: raised as u32 as i32,
                code: (raised >> 32) as u32 as i32,
                address: self.value as usize,
            }),
        }
    }
}

/// Installs the handler; before the first touch.
pub fn catch() -> sys::Returned {
    for signal in [libc::SIGBUS, libc::SIGSEGV] {
        // SAFETY: All zeroes is a valid sigaction: no flags, no signals blocked.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_flags = libc::SA_SIGINFO;
        action.sa_sigaction = handler as *const () as usize;
        // SAFETY: The handler calls nothing but what a handler may.
        call(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) })?;
    }
    Ok(0)
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: The kernel gave valid pointers, which are ours until we return.
    let (code, address, registers) = unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let info = &*info;
        (info.si_code, info.si_addr(), &mut context.uc_mcontext.gregs)
    };
    let at = registers[libc::REG_RIP as usize] as usize;
    if at == differential_read as usize || at == differential_write as usize {
        registers[libc::REG_RIP as usize] = differential_faulted as usize as i64;
        registers[libc::REG_RAX as usize] = address as i64;
        registers[libc::REG_RDX as usize] = i64::from(signal) | (i64::from(code) << 32);
    } else {
        // SAFETY: signal takes numbers. The instruction comes again, and then ends the program.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
