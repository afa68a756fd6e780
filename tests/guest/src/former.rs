// SPDX-License-Identifier: GPL-2.0

//! Ways of pages from a user back to their pool, each with a stamp in every base page; and the next
//! user, who is to find none of them.

use crate::child::{fork, in_child};
use crate::file::Huge;
use crate::map::{Map, Request};
use crate::pipe::Pipe;
use crate::pool::Pool;
use crate::{access, check, device, ktap, poll, same, Check, Fail};

pub const STAMP: u64 = 0x5eed;

/// A way of pages back to the pool, and its name. Each writes stamps to all that it takes.
pub type Way = (&'static str, fn() -> Check);

/// Has pages of `pool` go each of the ways, in a process of its own, and then looks. All pages are free
/// when it looks.
pub fn after_each(pool: Pool, ways: &[Way], look: impl Fn() -> Check) -> Check {
    let pages = pool.nr()?;
    for (name, way) in ways {
        ktap::goes_on();
        in_child(way)
            .and_then(|()| pool.settles_at_free(pages))
            .and_then(|()| look())
            .map_err(|Fail(why)| Fail(format!("{name}: {why}")))?;
    }
    Ok(())
}

pub fn mark_all(map: &Map) {
    (0..map.pages()).for_each(|page| map.mark(page, STAMP));
}

pub fn all_unmarked(map: &Map) -> Check {
    (0..map.pages()).try_for_each(|page| map.unmarked(page))
}

/// Another process takes such pages, finds zeros, and leaves stamps.
pub fn next_finds_nothing(pool: Pool, request: Request) -> Check {
    in_child(|| {
        let map = request.map(&device::open_of(pool)?)?;
        all_unmarked(&map)?;
        mark_all(&map);
        Ok(())
    })
}

pub fn exits(pool: Pool, request: Request) -> Check {
    mark_all(&request.map(&device::open_of(pool)?)?);
    Ok(())
}

pub fn killed(pool: Pool, request: Request) -> Check {
    let child = fork(|link| {
        let map = request.map(&device::open_of(pool)?)?;
        mark_all(&map);
        link.send(1)?;
        link.number().map(drop)
    })?;
    child.link.number()?;
    child.kill()
}

/// A hole in a file that is mapped in each of those ways. The first of them finds nothing there.
pub fn hole(pool: Pool, requests: &[Request]) -> Check {
    let file = Huge::new(pool)?;
    let maps = requests.iter().map(|request| file.map(*request));
    let maps = maps.collect::<Result<Vec<_>, _>>()?;
    maps.iter().for_each(mark_all);
    file.punch(0, maps[0].bytes() as u64)?;
    all_unmarked(&maps[0])?;
    mark_all(&maps[0]);
    Ok(())
}

/// A file that is cut to half of `pages`, and grows again.
pub fn truncated(pool: Pool, pages: usize) -> Check {
    let file = Huge::new(pool)?;
    let map = file.map(Request::of(pool, pages))?;
    let (kept, whole) = (pages / 2, pool.page_bytes());
    mark_all(&map);
    file.set_size((kept * whole) as u64)?;
    file.set_size((pages * whole) as u64)?;
    (kept..pages).try_for_each(|page| map.unmarked(page))?;
    (0..kept).try_for_each(|page| map.marked(page, STAMP))?;
    mark_all(&map);
    Ok(())
}

/// All pages of the pool, one of which a pipe has for longer.
pub fn pinned(pool: Pool, pages: usize) -> Check {
    const PART: usize = 8192;
    let mut pipe = Pipe::new()?;
    let map = Map::of(pool, pages)?;
    mark_all(&map);
    map.fill_part(0, PART, STAMP);
    pipe.splice(&map, 0, PART)?;
    drop(map);
    // Not to be cleared, nor to be had, while the pipe has it.
    same!(pool.pinned()?, 1, "pinned_hugepages");
    if pages > 1 {
        next_finds_nothing(pool, Request::of(pool, pages - 1))?;
    }
    pipe.drain(PART, STAMP)
}

/// A fault that finds no page leaves the others as they are.
pub fn out_of_pages(pool: Pool, pages: usize) -> Check {
    access::catch()?;
    let map = Request::of(pool, pages + 1).unreserved();
    let map = map.map(&device::open_of(pool)?)?;
    (0..pages).for_each(|page| map.mark(page, STAMP));
    let beyond = map.try_read(pages * pool.page_bytes());
    check!(beyond.is_err(), "a page too many");
    (0..pages).try_for_each(|page| map.marked(page, STAMP))
}

/// So many `more` pages than the pool's, that come and go.
pub fn surplus(pool: Pool, pages: usize, more: usize) -> Check {
    pool.set_overcommit(more as u64)?;
    // As `Pool::reach`: a page of 1 GiB may be missed once.
    let map = || Ok(Map::of(pool, pages + more));
    let map = poll::until("mapping more pages", map, Result::is_ok)??;
    all_unmarked(&map)?;
    mark_all(&map);
    drop(map);
    pool.set_overcommit(0)
}
