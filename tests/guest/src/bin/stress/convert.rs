// SPDX-License-Identifier: GPL-2.0

//! 1 GiB pages that are split into pages of the pool, and merged again of those that nobody has taken
//! meanwhile.

use guest::pool::{Pool, OURS, OURS_1G};
use guest::{check, Check, Errno, Fail};

use crate::arena::{Arena, Figure};

/// Takes a page, splits it and merges it until all is over.
pub fn run(arena: &Arena) -> Check {
    while !arena.is_over() {
        convert(arena)?;
    }
    Ok(())
}

/// Takes a page, splits one, merges one, and gives them back.
pub fn convert(arena: &Arena) -> Check {
    OURS_1G.set(1)?;
    split(None, arena)?;
    // Whoever writes a smaller size to the pool now takes pieces away.
    merge(None, arena)?;
    OURS_1G.set(0)
}

/// Splits a page, of a node if one is named, if there is one.
pub fn split(node: Option<usize>, arena: &Arena) -> Check {
    let whole = OURS_1G.nr()?;
    write(OURS_1G, node, "demote")?;
    let left = OURS_1G.nr()?;
    check!(
        left <= whole && whole <= left + 1,
        "{whole} pages, {left} once one is split"
    );
    arena.add(Figure::Splits, whole - left);
    Ok(())
}

/// Merges a page, on a node if one is named, if its pieces are free.
pub fn merge(node: Option<usize>, arena: &Arena) -> Check {
    let left = OURS_1G.nr()?;
    write(OURS, node, "promote")?;
    let merged = OURS_1G.nr()?;
    check!(
        left <= merged && merged <= left + 1,
        "{left} pages, {merged} once one is merged"
    );
    arena.add(Figure::Merges, merged - left);
    Ok(())
}

/// For one page. Pages that somebody looks at stay as they are (EBUSY).
fn write(pool: Pool, node: Option<usize>, name: &str) -> Check {
    match pool.write(node, name, 1) {
        Ok(()) | Err(Errno(libc::EBUSY)) => Ok(()),
        Err(errno) => Err(Fail(format!("writing 1 to {name} of {node:?}: {errno}"))),
    }
}
