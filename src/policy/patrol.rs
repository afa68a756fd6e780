// SPDX-License-Identifier: GPL-2.0

//! When a node's memory is looked at for pages that broke: it takes a walk over all of its memory map.

/// Seconds after which it is looked at once more for a page that was not found: that was on its way
/// from one place to another for long, or only looks like one of ours.
const REST: u32 = 60;

/// What is known of one node. Nothing broke there, to begin with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Failures whose pages were looked for.
    known: usize,
    /// Seconds until it is looked at whether there are others or not.
    again: Option<u32>,
}

impl Watch {
    /// Whether it is to be looked at: `seconds` after this was asked last, when it has had so many
    /// `failures`.
    pub fn is_due(&mut self, seconds: u32, failures: usize) -> bool {
        self.again = self.again.map(|left| left.saturating_sub(seconds));
        self.again == Some(0) || failures != self.known
    }

    /// All of it was looked at, after it had had so many failures.
    pub fn looked(&mut self, failures: usize) {
        self.known = failures;
        self.again = None;
    }

    /// A page of it is no longer looked for, or is looked for by who has the other size.
    pub fn gave_up(&mut self) {
        self.again.get_or_insert(REST);
    }
}
