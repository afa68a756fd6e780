// SPDX-License-Identifier: GPL-2.0

//! What an operation takes, by the monotonic clock.
//!
//! Under `qemu/run --icount` a nanosecond of the guest is an instruction. What it takes to ask the
//! clock is measured first and taken off.

use std::hint::black_box;
use std::sync::OnceLock;

/// How often the clock's own cost is measured.
const TRIES: usize = 1001;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: There is room for the time; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What an empty measurement shows, in the median.
pub fn own_cost() -> u64 {
    static COST: OnceLock<u64> = OnceLock::new();
    *COST.get_or_init(|| {
        let mut spans: Vec<u64> = (0..TRIES)
            .map(|_| {
                let start = now();
                now() - start
            })
            .collect();
        spans.sort_unstable();
        spans[TRIES / 2]
    })
}

/// What `act` takes, and what it returns.
pub fn time<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let cost = own_cost();
    let start = now();
    let result = black_box(act());
    let span = now() - start;
    (span.saturating_sub(cost), result)
}

/// What a loop of exactly `2 * turns` instructions takes: shows whether a nanosecond is one.
pub fn known_loop(turns: u64) -> u64 {
    let (span, ()) = time(|| {
        // SAFETY: The loop counts a register of its own down to 0 and touches no memory.
        unsafe {
            std::arch::asm!(
                "2: dec {turns}",
                "jnz 2b",
                turns = inout(reg) turns => _,
                options(nomem, nostack),
            );
        }
    });
    span
}

/// What it takes to clear `memory` with one `rep stosb`, which is how the kernel clears pages.
pub fn clear(memory: &mut [u8]) -> u64 {
    let (span, ()) = time(|| {
        // SAFETY: The instruction writes exactly the bytes of the slice; DF is clear as ever.
        unsafe {
            std::arch::asm!(
                "rep stosb",
                inout("rcx") memory.len() => _,
                inout("rdi") memory.as_mut_ptr() => _,
                in("al") 0u8,
                options(nostack, preserves_flags),
            );
        }
    });
    span
}
