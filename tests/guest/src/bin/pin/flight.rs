// SPDX-License-Identifier: GPL-2.0

//! Requests that wait for data while the page they are for goes away: the data land in that page,
//! wherever it is by then, and nowhere else.

use guest::child::fork;
use guest::kind::{beside_both, Kind};
use guest::ring::{Buffer, Ring};
use guest::{same, Check, HUGE};

use crate::end::End;
use crate::holder::{Holder, PINNED};
use crate::others;

const POOL: u64 = 3;

/// What arrives late, and how much.
const LATE: u64 = 0x9999_aaaa_bbbb_cccc;
const BYTES: usize = 64 << 10;

/// A ring as the holder of a page.
struct Reader {
    ring: Ring,
    buffer: Buffer,
}

impl Reader {
    fn new() -> Check<Self> {
        let base = std::ptr::null_mut();
        Ok(Self {
            ring: Ring::new()?,
            buffer: Buffer { slot: 3, base },
        })
    }
}

impl Holder for Reader {
    fn pin(&self, map: &guest::map::Map) -> Check {
        let base = map.base();
        self.ring.pin(Buffer {
            base,
            ..self.buffer
        })?;
        Ok(())
    }

    fn is_at(&mut self, base: *mut u8) {
        self.buffer.base = base;
    }

    fn look(&mut self) -> Check {
        self.ring.part_holds(self.buffer, 0, BYTES, LATE)?;
        self.ring
            .part_holds(self.buffer, BYTES, HUGE - BYTES, PINNED)
    }

    fn let_go(&mut self) -> Check {
        self.ring.unpin(self.buffer.slot)?;
        Ok(())
    }
}

const ENDS: [End; 5] = [End::Unmap, End::Exit, End::Kill, End::Truncate, End::Punch];

pub fn data_land_in_the_page_that_was_pinned() -> Check {
    for end in ENDS {
        beside_both(POOL, |side, kind| {
            let mut reader = Reader::new()?;
            let map = end.of_pinned(side, kind, &mut reader)?;
            reader.ring.start_read(reader.buffer, BYTES)?;
            let what = format!("after {end:?}");
            others::settles(side, &what, (POOL, POOL - 1, 0, 0), 1)?;
            let other = others::get(side, POOL as usize - 1)?;
            reader.ring.arrive(BYTES, LATE)?;
            same!(reader.ring.finish()?, BYTES, "bytes that arrived");
            others::are_untouched(&other)?;
            reader.look()?;
            reader.let_go()?;
            drop((other, map));
            others::settles(side, "in the end", (POOL, POOL, 0, 0), 0)
        })?;
    }
    Ok(())
}

pub fn the_request_alone_pins_the_page() -> Check {
    for end in ENDS {
        beside_both(POOL, |side, kind| {
            let mut reader = Reader::new()?;
            let map = end.of_pinned(side, kind, &mut reader)?;
            reader.ring.start_read(reader.buffer, BYTES)?;
            reader.let_go()?;
            let what = format!("after {end:?}");
            others::settles(side, &what, (POOL, POOL - 1, 0, 0), 1)?;
            let other = others::get(side, POOL as usize - 1)?;
            reader.ring.arrive(BYTES, LATE)?;
            same!(reader.ring.finish()?, BYTES, "bytes that arrived");
            others::are_untouched(&other)?;
            drop(other);
            drop(others::get(side, POOL as usize)?);
            drop(map);
            others::settles(side, "in the end", (POOL, POOL, 0, 0), 0)
        })?;
    }
    Ok(())
}

/// The file gets another page where the pinned one was: they part ways.
pub fn a_punched_page_and_its_successor() -> Check {
    beside_both(POOL, |side, kind| {
        let file = side.huge()?;
        let map = file.map(kind.pages(1).unreserved())?;
        map.fill(0, PINNED);
        let mut reader = Reader::new()?;
        reader.pin(&map)?;
        reader.is_at(map.base());
        reader.ring.start_read(reader.buffer, BYTES)?;
        file.punch(0, HUGE as u64)?;
        others::settles(side, "punched", (POOL, POOL - 1, 0, 0), 1)?;
        map.holds(0, 0)?;
        others::settles(side, "touched again", (POOL, POOL - 2, 0, 0), 1)?;
        reader.ring.arrive(BYTES, LATE)?;
        same!(reader.ring.finish()?, BYTES, "bytes that arrived");
        reader.look()?;
        map.holds(0, 0)?;
        reader.let_go()?;
        others::settles(side, "let go", (POOL, POOL - 1, 0, 0), 0)
    })
}

/// The process dies with the ring that its requests wait in.
pub fn a_process_killed_with_requests_in_flight() -> Check {
    beside_both(POOL, |side, kind| {
        for _ in 0..3 {
            let child = fork(|link| {
                let map = kind.pages(2).map(&side.open()?)?;
                let mut ring = Ring::new()?;
                for slot in 0..2 {
                    let base = map.at(usize::from(slot) * HUGE);
                    let buffer = Buffer { slot, base };
                    ring.pin(buffer)?;
                    ring.start_read(buffer, BYTES)?;
                }
                link.send(1)?;
                link.number().map(drop)
            })?;
            child.link.number()?;
            others::settles(side, "in flight", (POOL, POOL - 2, 0, 0), 0)?;
            child.kill()?;
            others::settles(side, "killed", (POOL, POOL, 0, 0), 0)?;
            drop(others::get(side, POOL as usize)?);
        }
        Ok(())
    })
}

/// What is not mapped writable is not pinned for writing, and what is not there cannot be.
pub fn what_cannot_be_pinned() -> Check {
    beside_both(1, |side, kind: Kind| {
        let ring = Ring::new()?;
        let file = side.open()?;
        let map = kind.pages(2).unreserved().map(&file)?;
        map.protect(0, HUGE, guest::map::READ)?;
        let at = |page: usize| Buffer {
            slot: 0,
            base: map.at(page * HUGE),
        };
        side.note("a page that is mapped read-only", ring.pin(at(0)));
        side.note_counts("after that")?;
        map.protect(0, HUGE, guest::map::READ | guest::map::WRITE)?;
        side.note("a page that is not there yet", ring.pin(at(0)));
        side.counts("after that", (1, 0, 0, 0))?;
        side.note("one too many", ring.pin(at(1)));
        side.counts("after that", (1, 0, 0, 0))?;
        map.holds(0, 0)
    })
}
