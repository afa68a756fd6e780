// SPDX-License-Identifier: GPL-2.0

//! Private mappings of one file, in one task or in some that are related by fork: what hugetlb reads
//! from a VMA's flag, from page tables, and from the order of a file's VMAs.

use crate::ktap::Check;
use crate::pair::Pair;
use crate::scenario::script::{self, Line};

const fn line(op: &'static str) -> Line {
    Line {
        op,
        does: "",
        counters: "",
    }
}

const fn does(op: &'static str, does: &'static str) -> Line {
    Line {
        op,
        does,
        counters: "",
    }
}

const fn leaves(op: &'static str, counters: &'static str) -> Line {
    Line {
        op,
        does: "",
        counters,
    }
}

/// The owner takes a page from one VMA of a child: another one of it gets zeros for what is gone.
pub fn one_vma_is_robbed(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("write nr 8"),
            line("open 1"),
            line("map 0 1 0 6 rw private"),
            line("touch 0 0 6 write"),
            line("spawn 1"),
            line("in 1 unmap 0 3 1"),
            line("write nr 6"),
            does("touch 0 0 1 write", "wrote"),
            line("write nr 12"),
            line("punch 1 0 6"),
            does("in 1 touch 0 2 1 write", "SIGBUS code 2 at 0+2"),
            does("in 1 touch 0 4 1 write", "wrote"),
        ],
    )
}

/// A child that lost a page still has the file's pages that it had mapped, until they go.
pub fn the_robbed_keep_file_pages(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("write nr 3"),
            line("open 1"),
            line("map 2 1 1 1 rw"),
            line("map 6 1 0 2 rw private"),
            line("touch 6 0 1 write"),
            line("spawn 2"),
            line("touch 2 0 1 write"),
            does("in 2 touch 6 1 1 read", "read step 7 page 0"),
            does("touch 6 0 1 write", "wrote"),
            does("in 2 touch 6 0 1 read", "SIGBUS code 2 at 6"),
            does("in 2 touch 6 1 1 read", "read step 7 page 0"),
            line("write nr 6"),
            does("in 2 touch 6 1 1 write", "wrote"),
            line("punch 1 0 2"),
            line("touch 2 0 1 write"),
            does("in 2 touch 6 1 1 read", "SIGBUS code 2 at 6+1"),
        ],
    )
}

/// The last VMA to give up a page decides whether it was the owner's: one that is moved is last.
pub fn a_moved_owner_is_last(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("write nr 9"),
            line("open 2"),
            line("map 0 2 0 1 rw private"),
            line("touch 0 0 1 read"),
            line("spawn 1"),
            leaves("punch 2 0 1", "nr 9 free 9 resv 0"),
            leaves("touch 0 0 1 read", "nr 9 free 8 resv 0"),
            line("spawn 2"),
            line("move 0 0 1 1 1"),
            leaves("punch 2 0 1", "nr 9 free 9 resv 1"),
        ],
    )
}

/// Surplus is used up VMA by VMA: the first one's pages are surplus, the second one's promise is back.
pub fn surplus_ends_with_the_first(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("open 4"),
            line("write nr 8"),
            line("map 4+2 4 9 1 rw private"),
            line("map 3+4 4 1 4 rw private"),
            leaves("write nr 4", "nr 5 free 5 resv 5 surplus 1"),
            line("touch 4 2 1 write"),
            line("touch 3 4 4 read"),
            leaves("set-size 4 2", "nr 4 free 3 resv 1 surplus 0"),
        ],
    )
}
