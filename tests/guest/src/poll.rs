// SPDX-License-Identifier: GPL-2.0

//! Waiting for what the kernel does a moment later: it ends, and it yields rather than sleeps.

use std::time::{Duration, Instant};

use crate::{Check, Fail};

/// How long a page may take on its way back. Delayed work of the kernel is tenths of a second.
const LIMIT: Duration = Duration::from_secs(20);

/// How often is asked at least, however long that takes: a machine with other work may be slow.
const ASKS: usize = 20;

/// Asks until the answer is right, or fails with what was seen last.
pub fn until<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> Check<T>,
    right: impl Fn(&T) -> bool,
) -> Check<T> {
    let end = Instant::now() + LIMIT;
    let mut asked = 0;
    loop {
        let seen = ask()?;
        asked += 1;
        if right(&seen) {
            return Ok(seen);
        }
        if asked >= ASKS && Instant::now() > end {
            return Err(Fail(format!("{what}: still {seen:?}")));
        }
        std::thread::yield_now();
    }
}
