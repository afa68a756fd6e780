// SPDX-License-Identifier: GPL-2.0

//! What was asked of a pool last, what it got, and when that is worth a line in the log.

use super::{count::PageCount, node::NodeId};

/// A resize that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// The persistent pages it was to end with.
    pub asked: PageCount,
    /// Those it ended with.
    pub got: PageCount,
    /// The node it was about; none: the whole pool.
    pub node: Option<NodeId>,
    /// A signal ended it.
    pub interrupted: bool,
}

impl Growth {
    /// Whether there was too little memory.
    pub fn is_short(&self) -> bool {
        self.got < self.asked && !self.interrupted
    }
}

/// As many lines in so many milliseconds as `printk_ratelimit` allows.
const BURST: u32 = 10;
const INTERVAL_MS: u64 = 5000;

/// How often the log was written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    began_ms: u64,
    lines: u32,
}

impl Limit {
    /// Whether one more line may be written now.
    pub fn allows(&mut self, now_ms: u64) -> bool {
        if self.lines == 0 || now_ms.wrapping_sub(self.began_ms) >= INTERVAL_MS {
            self.began_ms = now_ms;
            self.lines = 0;
        }
        let allowed = self.lines < BURST;
        if allowed {
            self.lines += 1;
        }
        allowed
    }
}
