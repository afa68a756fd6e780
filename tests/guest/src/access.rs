// SPDX-License-Identifier: GPL-2.0

//! Touching a word where there may be no page, or no mapping: the SIGBUS or SIGSEGV becomes a result,
//! and the process lives on.
//!
//! Each access is one instruction. The handler knows it by its address, puts the signal's si_code
//! where the function's result belongs, and returns past it. Any other such signal still kills.

use std::arch::global_asm;
use std::mem;
use std::ptr;

use crate::{call, Check};

/// Set in what an access returns if it was a signal: where memory is too short for more, the kernel
/// sends one with a si_code of 0.
const SIGNALLED: i64 = 1 << 32;

/// The si_code of the signal that an access was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bus(pub i32);

global_asm!(
    ".global guest_access_load",
    ".global guest_access_store",
    ".global guest_access_return",
    // (address, into) -> 0, or SIGNALLED and the si_code.
    "guest_access_load:",
    "mov rcx, [rdi]",
    "mov [rsi], rcx",
    "xor eax, eax",
    "ret",
    // (address, word) -> 0, or SIGNALLED and the si_code.
    "guest_access_store:",
    "mov [rdi], rsi",
    "xor eax, eax",
    "guest_access_return:",
    "ret",
);

extern "C" {
    fn guest_access_load(address: *const u64, into: *mut u64) -> i64;
    fn guest_access_store(address: *mut u64, word: u64) -> i64;
    fn guest_access_return();
}

/// Has the handler in place for SIGBUS, in this process and those it forks.
pub fn catch() -> Check {
    catch_signal(libc::SIGBUS)
}

/// The same for SIGSEGV: nothing is mapped there.
pub fn catch_unmapped() -> Check {
    catch_signal(libc::SIGSEGV)
}

fn catch_signal(signal: libc::c_int) -> Check {
    // SAFETY: All zeroes is a valid sigaction: no flags, no signals blocked.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_flags = libc::SA_SIGINFO;
    action.sa_sigaction = handler as *const () as usize;
    // SAFETY: The handler calls only what a handler may.
    call(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) })?;
    Ok(())
}

/// Reads the word at `address`.
///
/// # Safety
///
/// `address` is aligned, and lies in a mapping that can be read; after [`catch_unmapped`] there may
/// be none.
pub unsafe fn load(address: *const u64) -> Result<u64, Bus> {
    let mut word = 0;
    // SAFETY: By the caller's promise; where there is no page, the handler ends the access.
    match unsafe { guest_access_load(address, &mut word) } {
        0 => Ok(word),
        code => Err(Bus(code as i32)),
    }
}

/// Writes the word at `address`.
///
/// # Safety
///
/// `address` is aligned, and lies in a mapping that can be written to and that nothing but volatile
/// accesses uses.
pub unsafe fn store(address: *mut u64, word: u64) -> Result<(), Bus> {
    // SAFETY: As in `load`.
    match unsafe { guest_access_store(address, word) } {
        0 => Ok(()),
        code => Err(Bus(code as i32)),
    }
}

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: The kernel gave both. The registers are those of the interrupted code, which is a leaf
    // function that has not touched its stack, so that its return instruction can follow.
    unsafe {
        let registers = &mut (*context).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as usize;
        let known = [
            guest_access_load as *const () as usize,
            guest_access_store as *const () as usize,
        ];
        if known.contains(&at) {
            registers[libc::REG_RAX as usize] = SIGNALLED | i64::from((*info).si_code as u32);
            registers[libc::REG_RIP as usize] = guest_access_return as *const () as i64;
        } else {
            // The access is repeated, and kills.
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
