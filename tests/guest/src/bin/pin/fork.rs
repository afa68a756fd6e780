// SPDX-License-Identifier: GPL-2.0

//! Fork with a pinned page: who pins it and the process that had it go on seeing the same page, so
//! in a private mapping it is the child who gets a copy.

use guest::beside::{beside, Side};
use guest::child::{fork, Child};
use guest::kind::Kind;
use guest::map::{Map, Request};
use guest::pipe::Pipe;
use guest::pool::OURS;
use guest::ring::{Buffer, Ring};
use guest::{same, Check, Errno, HUGE};

use crate::end::plain;

const POOL: u64 = 6;

/// What page `page` holds to begin with.
fn first(page: usize) -> u64 {
    10 + page as u64
}

/// What the kernel writes into it, and what the child does.
const READ: u64 = 0x7777;
const CHILDS: u64 = 0x8888;

/// A private mapping whose pages hold [`first`].
fn filled(side: &Side, pages: usize) -> Check<Map> {
    let map = Kind::Private.pages(pages).map(&side.open()?)?;
    (0..pages).for_each(|page| map.fill(page, first(page)));
    Ok(map)
}

fn buffer(map: &Map, page: usize) -> Buffer {
    let base = map.at(page * HUGE);
    Buffer {
        slot: page as u16,
        base,
    }
}

/// A child with a copy of `map` that checks a page for the parent, or fills it.
struct Fork(Child);

const HOLDS: u64 = 1;
const FILL: u64 = 2;
const LEAVE: u64 = 3;

impl Fork {
    fn of(map: &Map) -> Check<Self> {
        let child = fork(|link| loop {
            let (act, page, stamp) = (link.number()?, link.number()? as usize, link.number()?);
            match act {
                HOLDS => map.holds(page, stamp)?,
                FILL => map.fill(page, stamp),
                _ => return Ok(()),
            }
            link.send(act)?;
        })?;
        Ok(Self(child))
    }

    fn ask(&self, act: u64, page: usize, stamp: u64) -> Check {
        for number in [act, page as u64, stamp] {
            self.0.link.send(number)?;
        }
        same!(self.0.link.number()?, act, "the child's answer");
        Ok(())
    }

    fn holds(&self, page: usize, stamp: u64) -> Check {
        self.ask(HOLDS, page, stamp)
    }

    fn fill(&self, page: usize, stamp: u64) -> Check {
        self.ask(FILL, page, stamp)
    }

    fn leave(self) -> Check {
        for number in [LEAVE, 0, 0] {
            self.0.link.send(number)?;
        }
        self.0.finish()
    }
}

pub fn the_child_gets_a_copy_of_a_pinned_page() -> Check {
    beside(POOL, |side| {
        let map = filled(side, 3)?;
        let mut ring = Ring::new()?;
        ring.pin(buffer(&map, 1))?;
        side.counts("before the fork", (POOL, 3, 0, 0))?;
        let child = Fork::of(&map)?;
        side.counts("forked: one page was copied", (POOL, 2, 0, 0))?;
        // Whoever touches first.
        ring.fill(buffer(&map, 1), READ)?;
        map.holds(1, READ)?;
        (0..3).try_for_each(|page| child.holds(page, first(page)))?;
        side.counts("looked at", (POOL, 2, 0, 0))?;
        child.fill(1, CHILDS)?;
        side.counts("written to by the child", (POOL, 2, 0, 0))?;
        ring.holds(buffer(&map, 1), READ)?;
        map.fill(1, 1);
        ring.holds(buffer(&map, 1), 1)?;
        side.counts("written to by the parent", (POOL, 2, 0, 0))?;
        child.holds(1, CHILDS)?;
        map.fill(0, 2);
        side.counts("another page written to", (POOL, 1, 0, 0))?;
        child.holds(0, first(0))?;
        child.leave()?;
        side.settles("without the child", (POOL, 3, 0, 0))?;
        ring.fill(buffer(&map, 1), READ)?;
        map.holds(1, READ)
    })
}

pub fn data_in_flight_are_the_parents() -> Check {
    beside(POOL, |side| {
        const BYTES: usize = 8192;
        let map = filled(side, 1)?;
        let mut ring = Ring::new()?;
        ring.pin(buffer(&map, 0))?;
        ring.start_read(buffer(&map, 0), BYTES)?;
        let child = Fork::of(&map)?;
        // The parent's write must not move it to another page, either.
        map.write(HUGE - 8, 5);
        ring.arrive(BYTES, READ)?;
        same!(ring.finish()?, BYTES, "bytes that arrived");
        let words = [0, BYTES - 8, BYTES, HUGE - 8].map(|offset| map.read(offset));
        same!(
            words,
            [READ, READ, first(0), 5],
            "words of the parent's page"
        );
        child.holds(0, first(0))?;
        side.counts("in the end", (POOL, POOL - 2, 0, 0))?;
        child.leave()
    })
}

pub fn a_page_that_was_pinned_before_is_shared() -> Check {
    beside(POOL, |side| {
        let map = filled(side, 1)?;
        let ring = Ring::new()?;
        ring.pin(buffer(&map, 0))?;
        ring.unpin(0)?;
        let child = Fork::of(&map)?;
        side.counts("forked", (POOL, POOL - 1, 0, 0))?;
        child.holds(0, first(0))?;
        map.fill(0, 1);
        side.counts("written to by the parent", (POOL, POOL - 2, 0, 0))?;
        child.holds(0, first(0))?;
        child.leave()
    })
}

pub fn a_pin_after_the_fork_copies_for_who_pins() -> Check {
    beside(POOL, |side| {
        let map = filled(side, 1)?;
        let child = Fork::of(&map)?;
        let mut ring = Ring::new()?;
        ring.pin(buffer(&map, 0))?;
        side.counts("pinned by the parent", (POOL, POOL - 2, 0, 0))?;
        ring.holds(buffer(&map, 0), first(0))?;
        ring.fill(buffer(&map, 0), READ)?;
        map.holds(0, READ)?;
        child.holds(0, first(0))?;
        // Another child, of the page that is pinned now.
        let second = Fork::of(&map)?;
        side.counts("forked again", (POOL, POOL - 3, 0, 0))?;
        ring.fill(buffer(&map, 0), READ + 1)?;
        second.holds(0, READ)?;
        map.holds(0, READ + 1)?;
        child.leave()?;
        second.leave()
    })
}

pub fn a_child_that_pins_gets_its_copy() -> Check {
    beside(POOL, |side| {
        let map = filled(side, 1)?;
        let mut ring = Ring::new()?;
        let child = fork(|link| {
            ring.pin(buffer(&map, 0))?;
            link.send(1)?;
            link.number()?;
            map.holds(0, READ)
        })?;
        child.link.number()?;
        side.counts("pinned by the child", (POOL, POOL - 2, 0, 0))?;
        map.fill(0, 1);
        side.counts("written to by the parent", (POOL, POOL - 2, 0, 0))?;
        ring.holds(buffer(&map, 0), first(0))?;
        ring.fill(buffer(&map, 0), READ)?;
        map.holds(0, 1)?;
        child.link.send(1)?;
        child.finish()?;
        // What the child had pinned stays the ring's.
        side.settles("without the child", (POOL, POOL - 2, 0, 0))?;
        ring.holds(buffer(&map, 0), READ)?;
        ring.unpin(0)?;
        side.settles("unpinned", (POOL, POOL - 1, 0, 0))
    })
}

pub fn the_parents_page_outlives_its_mapping_and_the_childs_copy_lives_on() -> Check {
    beside(POOL, |side| {
        let map = plain(Kind::Private, 2).map(&side.open()?)?;
        (0..2).for_each(|page| map.fill(page, first(page)));
        let mut ring = Ring::new()?;
        let pinned = buffer(&map, 0);
        ring.pin(pinned)?;
        let child = Fork::of(&map)?;
        side.counts("forked", (POOL, POOL - 3, 0, 0))?;
        drop(map);
        side.settles("unmapped by the parent", (POOL, POOL - 3, 0, 0))?;
        ring.holds(pinned, first(0))?;
        ring.fill(pinned, READ)?;
        child.holds(0, first(0))?;
        child.fill(0, CHILDS)?;
        child.fill(1, CHILDS)?;
        ring.holds(pinned, READ)?;
        side.counts("written to by the child", (POOL, POOL - 3, 0, 0))?;
        child.leave()?;
        side.settles("without the child", (POOL, POOL - 1, 0, 0))?;
        ring.unpin(pinned.slot)?;
        side.settles("unpinned", (POOL, POOL, 0, 0))
    })
}

/// Shared mappings share the page, pinned or not.
pub fn a_shared_mapping_is_not_copied() -> Check {
    beside(POOL, |side| {
        let map = Request::pages(1).map(&side.open()?)?;
        map.fill(0, first(0));
        let mut ring = Ring::new()?;
        ring.pin(buffer(&map, 0))?;
        let child = Fork::of(&map)?;
        ring.fill(buffer(&map, 0), READ)?;
        child.holds(0, READ)?;
        child.fill(0, CHILDS)?;
        ring.holds(buffer(&map, 0), CHILDS)?;
        side.counts("in the end", (POOL, POOL - 1, 0, 0))?;
        child.leave()
    })
}

/// A reference by FOLL_GET is no pin: at fork the page is shared, and the pipe keeps the old one.
pub fn a_spliced_page_is_shared() -> Check {
    beside(POOL, |side| {
        let map = filled(side, 1)?;
        let mut pipe = Pipe::new()?;
        pipe.splice(&map, 0, 3 * 4096)?;
        let child = Fork::of(&map)?;
        side.counts("forked", (POOL, POOL - 1, 0, 0))?;
        pipe.drain(4096, first(0))?;
        map.fill(0, 1);
        side.counts("written to by the parent", (POOL, POOL - 2, 0, 0))?;
        pipe.drain(4096, first(0))?;
        child.holds(0, first(0))?;
        child.leave()?;
        side.settles("without the child", (POOL, POOL - 2, 0, 0))?;
        pipe.drain(4096, first(0))?;
        side.settles("drained", (POOL, POOL - 1, 0, 0))
    })
}

/// DEVIATIONS.md: fork fails on hugetlb; here the child goes without what could not be copied.
pub fn no_page_for_the_copy() -> Check {
    beside(2, |side| {
        let map = filled(side, 2)?;
        let mut ring = Ring::new()?;
        ring.pin(buffer(&map, 1))?;
        if side.pool() == OURS {
            let child = Fork::of(&map)?;
            child.holds(0, first(0))?;
            same!(
                child.holds(1, first(1)).is_err(),
                true,
                "a page that is not there"
            );
            // SIGBUS ended it.
            let mut child = child.0;
            same!(
                child.wait()? & 0x7f,
                libc::SIGBUS,
                "the signal that ended the child"
            );
        } else {
            let forked = Fork::of(&map).map(drop).map_err(|guest::Fail(why)| why);
            let enomem = Errno(libc::ENOMEM).to_string();
            same!(forked, Err(enomem), "fork with no page for the copy");
        }
        side.counts("after that", (2, 0, 0, 0))?;
        ring.fill(buffer(&map, 1), READ)?;
        map.holds(1, READ)?;
        map.holds(0, first(0))
    })
}
