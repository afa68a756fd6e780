// SPDX-License-Identifier: GPL-2.0

//! What one process wrote is never read by another, whichever way a page left the first.

use guest::child::fork;
use guest::device::open;
use guest::former::{
    self, exits, hole, killed, mark_all, next_finds_nothing, out_of_pages, pinned, surplus,
    truncated, Way, STAMP,
};
use guest::kind::Kind;
use guest::map::Request;
use guest::pool::{Resized, OURS};
use guest::scrub::{set, settles, Share};
use guest::{poll, Check, Fail, HUGE};

use crate::ways::{interrupted, moved, pinned_at_fork, reloaded, shrunk, split};

/// Pages of the pool.
pub const PAGES: usize = 6;

const WAYS: [Way; 18] = [
    ("exit, shared", || exits(OURS, Kind::Shared.pages(PAGES))),
    ("exit, private", || exits(OURS, Kind::Private.pages(PAGES))),
    ("killed", || killed(OURS, Request::pages(PAGES))),
    ("hole", || {
        let half = Request::pages(PAGES / 2);
        hole(OURS, &[half, half.private()])
    }),
    ("truncated", || truncated(OURS, PAGES)),
    ("munmap of a part", unmapped),
    ("copy on write", copied),
    ("copied after fork", forked),
    ("robbed", robbed),
    ("pinned", || pinned(OURS, PAGES)),
    ("out of pages", || out_of_pages(OURS, PAGES)),
    ("surplus", || surplus(OURS, PAGES, 2)),
    ("pool of none", shrunk),
    ("mremap", moved),
    ("munmap of many parts", split),
    ("copied at fork", pinned_at_fork),
    ("preallocation, killed", interrupted),
    ("rmmod", reloaded),
];

/// Another process takes all pages, and finds zeros.
fn next_of_all_finds_nothing() -> Check {
    for kind in Kind::BOTH {
        next_finds_nothing(OURS, kind.pages(PAGES))
            .map_err(|Fail(why)| Fail(format!("{kind:?}: {why}")))?;
        OURS.settles_at_free(PAGES as u64)?;
    }
    Ok(())
}

fn after_each(look: impl Fn() -> Check) -> Check {
    former::after_each(OURS, &WAYS, look)
}

pub fn users_leave_nothing_to_the_next() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 0)?;
    after_each(next_of_all_finds_nothing)
}

pub fn users_leave_nothing_while_it_is_scrubbed() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 100)?;
    for zeroed in [0, 1, 3, PAGES as u64] {
        after_each(|| {
            let enough = |seen: &u64| *seen >= zeroed;
            poll::until("zeroed_hugepages", || OURS.zeroed(), enough)?;
            next_of_all_finds_nothing()
        })?;
    }
    settles(OURS, PAGES as u64)
}

/// It ends in the middle of a page, most times: such a page is not a clear one.
pub fn users_leave_nothing_where_it_was_turned_off() -> Check {
    const ROUNDS: u64 = 16;
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 0)?;
    for round in 0..ROUNDS {
        exits(OURS, Kind::BOTH[round as usize % 2].pages(PAGES))?;
        OURS.settles_at_free(PAGES as u64)?;
        set(OURS, 100)?;
        let begun = |seen: &u64| *seen > round % 3;
        poll::until("zeroed_hugepages", || OURS.zeroed(), begun)?;
        set(OURS, 0)?;
        next_of_all_finds_nothing()?;
    }
    Ok(())
}

fn unmapped() -> Check {
    let mut map = Kind::Private.pages(PAGES).map(&open()?)?;
    mark_all(&map);
    map.cut(2 * HUGE)?;
    next_finds_nothing(OURS, Request::pages(PAGES - 2))?;
    map.marked(0, STAMP)
}

fn copied() -> Check {
    let file = open()?;
    let shared = Request::pages(PAGES / 2).map(&file)?;
    mark_all(&shared);
    let own = Request::pages(PAGES / 2).private().map(&file)?;
    mark_all(&own);
    drop(own);
    next_finds_nothing(OURS, Request::pages(PAGES / 2))?;
    (0..PAGES / 2).try_for_each(|page| shared.marked(page, STAMP))
}

fn forked() -> Check {
    let map = Kind::Private.pages(PAGES / 2).map(&open()?)?;
    mark_all(&map);
    let child = fork(|_| {
        (0..PAGES / 2).for_each(|page| map.mark(page, STAMP + 1));
        Ok(())
    })?;
    child.finish()?;
    next_finds_nothing(OURS, Request::pages(PAGES / 2))?;
    mark_all(&map);
    (0..PAGES / 2).try_for_each(|page| map.marked(page, STAMP))
}

/// The child's pages go to the parent, which finds its own content there.
fn robbed() -> Check {
    let map = Kind::Private.pages(PAGES).map(&open()?)?;
    mark_all(&map);
    let child = fork(|link| link.number().map(drop))?;
    mark_all(&map);
    child.link.send(1)?;
    child.finish()?;
    (0..PAGES).try_for_each(|page| map.marked(page, STAMP))
}
