// SPDX-License-Identifier: GPL-2.0

//! What one process wrote is never read by another, whichever way a page left the first.

use guest::child::{fork, in_child, Child};
use guest::device::open;
use guest::file::Huge;
use guest::kind::Kind;
use guest::map::{Map, Request};
use guest::pipe::Pipe;
use guest::pool::{Resized, OURS};
use guest::{check, poll, Check, Fail, HUGE};

use crate::share::{set, settles, Share};
use crate::ways::{interrupted, moved, pinned_at_fork, reloaded, shrunk, split};

/// Pages of the pool.
pub const PAGES: usize = 6;

pub const STAMP: u64 = 0x5eed;

/// A way of pages back to the pool. Each writes stamps to all that it takes.
type Way = (&'static str, fn() -> Check);

const WAYS: [Way; 18] = [
    ("exit, shared", || exits(Kind::Shared)),
    ("exit, private", || exits(Kind::Private)),
    ("killed", killed),
    ("hole", hole),
    ("truncated", truncated),
    ("munmap of a part", unmapped),
    ("copy on write", copied),
    ("copied after fork", forked),
    ("robbed", robbed),
    ("pinned", pinned),
    ("out of pages", out_of_pages),
    ("surplus", surplus),
    ("pool of none", shrunk),
    ("mremap", moved),
    ("munmap of many parts", split),
    ("copied at fork", pinned_at_fork),
    ("preallocation, killed", interrupted),
    ("rmmod", reloaded),
];

/// Another process takes all pages, and finds zeros.
fn next_finds_nothing() -> Check {
    for kind in Kind::BOTH {
        in_child(|| {
            let map = kind.pages(PAGES).map(&open()?)?;
            (0..PAGES).try_for_each(|page| map.unmarked(page))?;
            (0..PAGES).for_each(|page| map.mark(page, STAMP));
            Ok(())
        })
        .map_err(|Fail(why)| Fail(format!("{kind:?}: {why}")))?;
        OURS.settles_at_free(PAGES as u64)?;
    }
    Ok(())
}

fn after_each(look: impl Fn() -> Check) -> Check {
    for (name, way) in WAYS {
        in_child(way)
            .and_then(|()| OURS.settles_at_free(PAGES as u64))
            .and_then(|()| look())
            .map_err(|Fail(why)| Fail(format!("{name}: {why}")))?;
    }
    Ok(())
}

pub fn users_leave_nothing_to_the_next() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(0)?;
    after_each(next_finds_nothing)
}

pub fn users_leave_nothing_while_it_is_scrubbed() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(100)?;
    for zeroed in [0, 1, 3, PAGES as u64] {
        after_each(|| {
            let enough = |seen: &u64| *seen >= zeroed;
            poll::until("zeroed_hugepages", || OURS.zeroed(), enough)?;
            next_finds_nothing()
        })?;
    }
    settles(PAGES as u64)
}

/// It ends in the middle of a page, most times: such a page is not a clear one.
pub fn users_leave_nothing_where_it_was_turned_off() -> Check {
    const ROUNDS: u64 = 16;
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(0)?;
    for round in 0..ROUNDS {
        exits(Kind::BOTH[round as usize % 2])?;
        OURS.settles_at_free(PAGES as u64)?;
        set(100)?;
        let begun = |seen: &u64| *seen > round % 3;
        poll::until("zeroed_hugepages", || OURS.zeroed(), begun)?;
        set(0)?;
        next_finds_nothing()?;
    }
    Ok(())
}

pub fn mark_all(map: &Map) {
    (0..map.pages()).for_each(|page| map.mark(page, STAMP));
}

fn exits(kind: Kind) -> Check {
    mark_all(&kind.pages(PAGES).map(&open()?)?);
    Ok(())
}

fn killed() -> Check {
    let child: Child = fork(|link| {
        let map = Map::of_new_file(PAGES)?;
        mark_all(&map);
        link.send(1)?;
        link.number().map(drop)
    })?;
    child.link.number()?;
    child.kill()
}

fn hole() -> Check {
    let file = Huge::new(OURS)?;
    let map = file.map(Request::pages(PAGES / 2))?;
    let own = file.map(Request::pages(PAGES / 2).private())?;
    mark_all(&map);
    mark_all(&own);
    file.punch(0, (PAGES * HUGE) as u64)?;
    // The same file finds nothing, either.
    (0..PAGES / 2).try_for_each(|page| map.unmarked(page))?;
    mark_all(&map);
    Ok(())
}

fn truncated() -> Check {
    let file = Huge::new(OURS)?;
    let map = file.map(Request::pages(PAGES))?;
    mark_all(&map);
    file.set_size(HUGE as u64)?;
    file.set_size((PAGES * HUGE) as u64)?;
    (1..PAGES).try_for_each(|page| map.unmarked(page))?;
    map.marked(0, STAMP)?;
    mark_all(&map);
    Ok(())
}

fn unmapped() -> Check {
    let mut map = Kind::Private.pages(PAGES).map(&open()?)?;
    mark_all(&map);
    map.cut(2 * HUGE)?;
    next_of_part(PAGES - 2)?;
    map.marked(0, STAMP)
}

/// Another process takes `pages` pages while some are in use.
pub fn next_of_part(pages: usize) -> Check {
    in_child(|| {
        let map = Map::of_new_file(pages)?;
        (0..pages).try_for_each(|page| map.unmarked(page))?;
        mark_all(&map);
        Ok(())
    })
}

fn copied() -> Check {
    let file = open()?;
    let shared = Request::pages(PAGES / 2).map(&file)?;
    mark_all(&shared);
    let own = Request::pages(PAGES / 2).private().map(&file)?;
    mark_all(&own);
    drop(own);
    next_of_part(PAGES / 2)?;
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
    next_of_part(PAGES / 2)?;
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

fn pinned() -> Check {
    let mut pipe = Pipe::new()?;
    let map = Map::of_new_file(2)?;
    map.fill(0, STAMP);
    map.mark(1, STAMP);
    pipe.splice(&map, 0, 8192)?;
    drop(map);
    // Not to be cleared, nor to be had, while the pipe has it.
    check!(OURS.pinned()? == 1, "the page is not pinned");
    next_of_part(PAGES - 1)?;
    pipe.drain(8192, STAMP)
}

/// A fault that finds no page leaves the others as they are.
fn out_of_pages() -> Check {
    guest::access::catch()?;
    let map = Map::of_new_file_unreserved(PAGES + 1)?;
    (0..PAGES).for_each(|page| map.mark(page, STAMP));
    check!(map.try_read(PAGES * HUGE).is_err(), "a page too many");
    (0..PAGES).try_for_each(|page| map.marked(page, STAMP))
}

/// Pages that come and go beyond the pool.
fn surplus() -> Check {
    OURS.set_overcommit(2)?;
    let map = Map::of_new_file(PAGES + 2)?;
    (0..PAGES + 2).try_for_each(|page| map.unmarked(page))?;
    mark_all(&map);
    drop(map);
    OURS.set_overcommit(0)
}
