// SPDX-License-Identifier: GPL-2.0

//! Ways in which pages change hands where more happens than that one process lets go of them.

use guest::child::{fork, in_child};
use guest::device::open;
use guest::file::Huge;
use guest::former::{mark_all, next_finds_nothing, STAMP};
use guest::kind::Kind;
use guest::kmod::{load, unload, users, Reloaded};
use guest::map::{Map, Request, NONE, READ};
use guest::pool::OURS;
use guest::ring::{Buffer, Ring};
use guest::scrub::set;
use guest::{poll, refused, same, Check, Errno, HUGE};

use crate::former::PAGES;

/// All pages were written to, and are free.
fn all_written() -> Check {
    mark_all(&Map::of_new_file(PAGES)?);
    OURS.settles_at_free(PAGES as u64)
}

/// All pages go back to the page allocator, which may give the pool the same ones again.
pub fn shrunk() -> Check {
    all_written()?;
    OURS.set(0)?;
    same!(OURS.nr()?, 0, "nr_hugepages");
    OURS.reach(PAGES as u64)
}

/// The same, with a module that knows nothing of it.
pub fn reloaded() -> Check {
    let _reloaded = Reloaded::after_test()?;
    let percent = OURS.read(None, "scrub_percent")?;
    all_written()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    load(&format!("hugepages_2M={PAGES}"))?;
    set(OURS, percent)?;
    OURS.reach(PAGES as u64)
}

/// Elsewhere a page is still who moved it's; nothing can be left behind.
pub fn moved() -> Check {
    let mut map = Kind::Private.pages(PAGES).map(&open()?)?;
    mark_all(&map);
    map.relocate()?;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
    // SAFETY: It is refused, and otherwise leaves the addresses as they are.
    let base = unsafe { libc::mremap(map.base().cast(), map.bytes(), map.bytes(), flags) };
    let moved = match base {
        libc::MAP_FAILED => Err(Errno::last()),
        base => Ok(base),
    };
    refused!(moved, libc::EINVAL, "leaving a mapping behind");
    (0..PAGES).try_for_each(|page| map.marked(page, STAMP))?;
    map.cut(HUGE)?;
    next_finds_nothing(OURS, Request::pages(PAGES - 1))?;
    map.relocate()?;
    map.marked(0, STAMP)
}

/// A mapping of several VMAs, which go one by one.
pub fn split() -> Check {
    let map = Kind::Private.pages(PAGES).map(&open()?)?;
    mark_all(&map);
    map.protect(HUGE, HUGE, READ)?;
    map.protect(3 * HUGE, HUGE, NONE)?;
    let gone = [1, 3, 0];
    for (count, page) in gone.into_iter().enumerate() {
        map.unmap(page * HUGE, HUGE)?;
        next_finds_nothing(OURS, Request::pages(count + 1))?;
    }
    let mut left = (0..PAGES).filter(|page| !gone.contains(page));
    left.try_for_each(|page| map.marked(page, STAMP))
}

/// Of a page that is pinned a child gets a copy at once.
pub fn pinned_at_fork() -> Check {
    const SLOT: u16 = 0;
    let ring = Ring::new()?;
    let map = Kind::Private.pages(PAGES / 2).map(&open()?)?;
    mark_all(&map);
    ring.pin(Buffer {
        slot: SLOT,
        base: map.base(),
    })?;
    in_child(|| {
        same!(OURS.free()?, (PAGES / 2 - 1) as u64, "free with the copy");
        map.marked(0, STAMP)
    })?;
    // That is a forked process, too, with a copy that is one page.
    next_finds_nothing(OURS, Request::pages(PAGES / 2 - 1))?;
    ring.unpin(SLOT)?;
    map.marked(0, STAMP)
}

/// A page that was being cleared for a file is not a clear one.
pub fn interrupted() -> Check {
    const ROUNDS: usize = 8;
    let bytes = (PAGES * HUGE) as u64;
    for round in 0..ROUNDS {
        all_written()?;
        let file = Huge::new(OURS)?;
        let child = fork(|link| {
            link.send(1)?;
            loop {
                file.preallocate(0, bytes)?;
                file.punch(0, bytes)?;
            }
        })?;
        child.link.number()?;
        // No two rounds end at the same place.
        (0..round).for_each(|_| std::thread::yield_now());
        child.kill()?;
        let map = file.map(Request::pages(PAGES))?;
        (0..PAGES).try_for_each(|page| map.unmarked(page))?;
    }
    Ok(())
}
