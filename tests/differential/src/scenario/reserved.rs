// SPDX-License-Identifier: GPL-2.0

//! A pool that an operator empties while all of it is promised.

use crate::ktap::Check;
use crate::pair::Pair;
use crate::scenario::script::{self, Line};

/// 100 reserved pages, none of them touched, outlive a write of 0; nobody gets another one.
pub fn survive_zero(pair: &mut Pair) -> Check {
    let line = |op, does, counters| Line { op, does, counters };
    script::run(
        pair,
        &[
            line("write nr 100", "3", "nr 100 free 100 resv 0 surplus 0"),
            line("open 0", "0", ""),
            line("map 0 0 0 50 rw", "0", "nr 100 free 100 resv 50 surplus 0"),
            line(
                "map 1 0 50 50 rw",
                "0",
                "nr 100 free 100 resv 100 surplus 0",
            ),
            line("write nr 0", "1", "nr 100 free 100 resv 100 surplus 100"),
            line("open 1", "0", ""),
            line(
                "map 2 1 0 1 rw",
                "ENOMEM",
                "nr 100 free 100 resv 100 surplus 100",
            ),
            line("map 2 1 0 1 rw noreserve", "0", ""),
            line(
                "touch 2 0 1 write",
                "SIGBUS code 2 at 2",
                "nr 100 free 100 resv 100",
            ),
            line(
                "touch 0 0 50 write",
                "",
                "nr 100 free 50 resv 50 surplus 100",
            ),
            line("touch 1 0 50 read", "", "nr 100 free 0 resv 0 surplus 100"),
            line("unmap 0 0 50", "0", ""),
            line("unmap 1 0 50", "0", "nr 100 free 0 resv 0 surplus 100"),
            line("close 0", "0", "nr 0 free 0 resv 0 surplus 0"),
        ],
    )
}
