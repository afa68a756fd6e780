// SPDX-License-Identifier: GPL-2.0

//! 1 GiB pages that are split into pages of the pool, and merged again of those that nobody has taken
//! meanwhile.

use guest::pool::{Pool, OURS, OURS_1G};
use guest::{check, Check, Errno, Fail};

use crate::arena::{Arena, Figure};

/// How often it is tried when all is over, if others had a piece in hand each time before.
const LATE: usize = 10;

/// Takes a page, splits it and merges it until all is over.
pub fn run(arena: &Arena) -> Check {
    let before = OURS_1G.nr()?;
    let mut merged = 0;
    while !arena.is_over() {
        merged += convert(arena)?;
    }
    for _ in 0..LATE {
        if merged == 0 {
            merged += convert(arena)?;
        }
    }
    OURS_1G.set(before)
}

/// Once. How many were merged.
fn convert(arena: &Arena) -> Check<u64> {
    OURS_1G.set(1)?;
    let whole = OURS_1G.nr()?;
    write(OURS_1G, "demote", whole)?;
    let left = OURS_1G.nr()?;
    check!(left <= whole, "{whole} pages, {left} once they are split");
    arena.add(Figure::Splits, whole - left);
    // Whoever writes a smaller size to the pool now takes pieces away.
    write(OURS, "promote", 1)?;
    let merged = OURS_1G.nr()?;
    check!(
        left <= merged && merged <= left + 1,
        "{left} pages, {merged} once one is merged"
    );
    arena.add(Figure::Merges, merged - left);
    OURS_1G.set(0)?;
    Ok(merged - left)
}

/// Pages that somebody looks at stay as they are (EBUSY).
fn write(pool: Pool, name: &str, count: u64) -> Check {
    match pool.write(None, name, count) {
        Ok(()) | Err(Errno(libc::EBUSY)) => Ok(()),
        Err(errno) => Err(Fail(format!("writing {count} to {name}: {errno}"))),
    }
}
