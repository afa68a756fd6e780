// SPDX-License-Identifier: GPL-2.0

//! The advices of madvise that are tried.

use std::fmt;

/// Names and numbers, as in include/uapi/asm-generic/mman-common.h. Those that touch pages are
/// [`Op::Populate`](crate::op::Op::Populate); those that DEVIATIONS.md says differ are left out.
const ADVICES: &[(&str, i32)] = &[
    ("normal", libc::MADV_NORMAL),
    ("random", libc::MADV_RANDOM),
    ("sequential", libc::MADV_SEQUENTIAL),
    ("willneed", libc::MADV_WILLNEED),
    ("dontneed", libc::MADV_DONTNEED),
    ("free", libc::MADV_FREE),
    ("dontfork", libc::MADV_DONTFORK),
    ("dofork", libc::MADV_DOFORK),
    ("mergeable", libc::MADV_MERGEABLE),
    ("unmergeable", libc::MADV_UNMERGEABLE),
    ("hugepage", libc::MADV_HUGEPAGE),
    ("nohugepage", libc::MADV_NOHUGEPAGE),
    ("dontdump", libc::MADV_DONTDUMP),
    ("wipeonfork", libc::MADV_WIPEONFORK),
    ("keeponfork", libc::MADV_KEEPONFORK),
    ("collapse", libc::MADV_COLLAPSE),
];

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice(usize);

impl Advice {
    /// How many there are.
    pub const COUNT: usize = ADVICES.len();

    /// Number `index`, less than [`Self::COUNT`].
    pub fn of(index: usize) -> Self {
        Self(index)
    }

    /// MADV_DONTNEED.
    pub fn dontneed() -> Self {
        let is = |(_, number): &(&str, i32)| *number == libc::MADV_DONTNEED;
        Self(ADVICES.iter().position(is).unwrap_or_default())
    }

    /// What madvise takes.
    pub fn number(self) -> i32 {
        ADVICES[self.0].1
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ADVICES[self.0].0)
    }
}

impl std::str::FromStr for Advice {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        ADVICES
            .iter()
            .position(|(name, _)| *name == word)
            .map(Self)
            .ok_or_else(|| format!("{word}: no such advice"))
    }
}
