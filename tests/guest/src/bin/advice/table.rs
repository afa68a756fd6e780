// SPDX-License-Identifier: GPL-2.0

//! The table: one line for each advice, as Markdown.

use guest::Check;

use crate::observe::{effect, KINDS};

/// include/uapi/asm-generic/mman-common.h of Linux 7.3, without MADV_HWPOISON and MADV_SOFT_OFFLINE:
/// they would cost the guest memory, and hugetlb's pool pages.
pub const ADVICE: [(&str, i32); 25] = [
    ("MADV_NORMAL", 0),
    ("MADV_RANDOM", 1),
    ("MADV_SEQUENTIAL", 2),
    ("MADV_WILLNEED", 3),
    ("MADV_DONTNEED", 4),
    ("MADV_FREE", 8),
    ("MADV_REMOVE", 9),
    ("MADV_DONTFORK", 10),
    ("MADV_DOFORK", 11),
    ("MADV_MERGEABLE", 12),
    ("MADV_UNMERGEABLE", 13),
    ("MADV_HUGEPAGE", 14),
    ("MADV_NOHUGEPAGE", 15),
    ("MADV_DONTDUMP", 16),
    ("MADV_DODUMP", 17),
    ("MADV_WIPEONFORK", 18),
    ("MADV_KEEPONFORK", 19),
    ("MADV_COLD", 20),
    ("MADV_PAGEOUT", 21),
    ("MADV_POPULATE_READ", 22),
    ("MADV_POPULATE_WRITE", 23),
    ("MADV_DONTNEED_LOCKED", 24),
    ("MADV_COLLAPSE", 25),
    ("MADV_GUARD_INSTALL", 102),
    ("MADV_GUARD_REMOVE", 103),
];

/// What docs/advice.md says: its lines that begin with an advice.
pub fn documented() -> Vec<String> {
    include_str!("../../../../../docs/advice.md")
        .lines()
        .filter(|line| line.starts_with("| `MADV_"))
        .map(str::to_string)
        .collect()
}

/// What happens.
pub fn observed() -> Check<Vec<String>> {
    ADVICE
        .iter()
        .map(|&(name, advice)| {
            let mut line = format!("| `{name}` |");
            for kind in KINDS {
                line += &format!(" {} |", effect(kind, advice)?);
            }
            Ok(line)
        })
        .collect()
}
