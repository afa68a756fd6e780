// SPDX-License-Identifier: GPL-2.0

//! The floor of the 1 GiB pages. Each test takes what pages there are: where the kernel has a base page,
//! for good, there is none, and it may take one of what was given up.

use std::fs;

use guest::map::Map;
use guest::memory::huge_pages;
use guest::pool::{Resized, OURS, OURS_1G};
use guest::{same, Check};

use crate::hog::{takes_until, End};
use crate::scarcity::{after_taking_all, scarce, Floor};

/// Pages of the module's pool of 1 GiB pages, at most.
const MOST: u64 = 2;
/// Pages of its other pool.
const SMALL: u64 = 64;

/// The module's pools, and little else. How many pages of 1 GiB there are.
fn pools() -> Check<([Resized; 3], u64)> {
    // What the test before this made the kernel keep.
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let large = Resized::ours_1g(1)?;
    OURS_1G.set(MOST)?;
    let pages = OURS_1G.nr()?;
    println!("# {pages} pages of 1 GiB");
    Ok(([large, Resized::ours(SMALL)?, scarce()?], pages))
}

pub fn nothing_goes_unless_allowed() -> Check {
    let _pools = pools()?;
    let _others = Floor::of(OURS, 0)?;
    let before = OURS_1G.counts()?;
    same!(
        after_taking_all(OURS_1G)?,
        before,
        "the pool of 1 GiB pages"
    );
    same!(OURS.nr()?, 0, "pages of 2 MiB");
    Ok(())
}

/// Less is lost with one of them.
pub fn smaller_pages_go_first() -> Check {
    let (_pools, pages) = pools()?;
    let _floors = [Floor::of(OURS, 0)?, Floor::of(OURS_1G, 0)?];
    same!(
        takes_until(huge_pages("MemTotal")?, libc::MADV_HUGEPAGE, || Ok(OURS_1G
            .nr()?
            < pages))?,
        End::GotAll,
        "who takes until a page of 1 GiB goes"
    );
    same!(OURS.nr()?, 0, "pages of 2 MiB when one of 1 GiB went");
    Ok(())
}

pub fn one_page_is_enough() -> Check {
    let (_pools, pages) = pools()?;
    let _floor = Floor::of(OURS_1G, 0)?;
    same!(
        takes_until(huge_pages("MemTotal")?, libc::MADV_HUGEPAGE, || Ok(OURS_1G
            .nr()?
            < pages))?,
        End::GotAll,
        "who takes a little of a page"
    );
    same!(
        OURS_1G.counts()?.row(),
        (pages - 1, pages - 1, 0),
        "nr, free and surplus"
    );
    same!(OURS.nr()?, SMALL, "pages of 2 MiB");
    Ok(())
}

pub fn pages_go_down_to_the_floor() -> Check {
    let (_pools, pages) = pools()?;
    for floor in [pages, pages - 1] {
        let _floor = Floor::of(OURS_1G, floor)?;
        let ours = after_taking_all(OURS_1G)?;
        same!(ours.row(), (floor, floor, 0), "nr, free and surplus");
        let on_nodes: u64 = ours.nodes.iter().map(|node| node.nr).sum();
        same!(on_nodes, floor, "the nodes' nr_hugepages");
    }
    Ok(())
}

pub fn promised_and_used_pages_stay() -> Check {
    for used in [true, false] {
        let _pools = pools()?;
        let map = Map::of(OURS_1G, 1)?;
        if used {
            map.mark(0, 1);
        }
        let _floor = Floor::of(OURS_1G, 0)?;
        let ours = after_taking_all(OURS_1G)?;
        let promised = u64::from(!used);
        same!(
            (ours.row(), ours.resv),
            ((1, promised, 0), promised),
            "nr, free and surplus; resv of a page, used: {used}"
        );
        if used {
            map.marked(0, 1)?;
        } else {
            map.unmarked(0)?;
            map.mark(0, 2);
        }
        same!(OURS.nr()?, SMALL, "pages of 2 MiB");
    }
    Ok(())
}
