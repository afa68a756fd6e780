// SPDX-License-Identifier: GPL-2.0

//! What one process wrote is never read by another, whichever way a page left the first. The pool has
//! one page, so that the next user has the same.

use std::iter::zip;

use guest::child::in_child;
use guest::device::open_of;
use guest::former::{
    after_each, all_unmarked, exits, hole, killed, mark_all, next_finds_nothing, out_of_pages,
    pinned, surplus, truncated, Way,
};
use guest::map::Request;
use guest::pool::{online_nodes, OURS_1G};
use guest::scrub::{settles, Share};
use guest::{poll, Check};

use crate::balance::balanced;
use crate::base::frame_of;

/// All pages of the pool.
const PAGES: usize = 1;

fn all() -> Request {
    Request::of(OURS_1G, PAGES)
}

const WAYS: [Way; 9] = [
    ("exit", || exits(OURS_1G, all())),
    ("killed", || killed(OURS_1G, all())),
    ("hole", || hole(OURS_1G, &[all()])),
    ("truncated", || truncated(OURS_1G, PAGES)),
    ("pinned", || pinned(OURS_1G, PAGES)),
    ("out of pages", || out_of_pages(OURS_1G, PAGES)),
    ("surplus", || surplus(OURS_1G, PAGES, 1)),
    ("base pages", base_pages),
    ("another pool", another_pool),
];

fn next() -> Check {
    next_finds_nothing(OURS_1G, all())?;
    OURS_1G.settles_at_free(PAGES as u64)
}

pub fn users_leave_nothing_to_the_next() -> Check {
    balanced(PAGES as u64, || {
        let _share = Share::of(OURS_1G, 0)?;
        after_each(OURS_1G, &WAYS, next)
    })
}

/// Cleared by nobody but the scrubber: the next user takes its word for it.
pub fn users_leave_nothing_to_who_waits_for_the_scrubber() -> Check {
    balanced(PAGES as u64, || {
        let _share = Share::of(OURS_1G, 100)?;
        exits(OURS_1G, all())?;
        settles(OURS_1G, PAGES as u64)?;
        next()?;
        // Somewhere in the midst of it.
        next()
    })
}

/// In entries of base pages, by who comes first and by who comes next.
fn base_pages() -> Check {
    for _ in 0..2 {
        in_child(|| {
            let map = all().map(&open_of(OURS_1G)?)?;
            map.advise(libc::MADV_NOHUGEPAGE)?;
            all_unmarked(&map)?;
            mark_all(&map);
            Ok(())
        })?;
        OURS_1G.settles_at_free(PAGES as u64)?;
    }
    Ok(())
}

/// A pool that shrinks to nothing, and has its page again from the same node: the same page, as that is
/// where the kernel looks first, unless somebody took a piece of it meanwhile.
fn another_pool() -> Check {
    let again = || -> Check<bool> {
        let file = open_of(OURS_1G)?;
        let map = all().map(&file)?;
        mark_all(&map);
        let frame = frame_of(&file, 0)?;
        drop((map, file));
        OURS_1G.settles_at_free(PAGES as u64)?;
        let nodes = OURS_1G.counts()?.nodes;
        OURS_1G.set(0)?;
        for (node, counts) in zip(online_nodes()?, nodes) {
            OURS_1G.reach_on(node, counts.nr)?;
        }
        let file = open_of(OURS_1G)?;
        all_unmarked(&all().map(&file)?)?;
        Ok(frame_of(&file, 0)? == frame)
    };
    poll::until("whether it is the same page", again, |same| *same).map(drop)
}
