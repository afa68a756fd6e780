// SPDX-License-Identifier: GPL-2.0

//! Random acts of programs that map, write, fork and pin, of an operator, and of the kernel that
//! writes into what is pinned; beside a model that knows what each page holds. A page that were
//! lost, or handed out twice, would show in the counters or by a stamp that is not its own.

use std::cell::Cell;
use std::rc::Rc;

use guest::beside::{beside, Side};
use guest::child::fork;
use guest::kind::Kind;
use guest::map::Map;
use guest::ring::{Buffer, Ring, SLOTS};
use guest::{check, Check, Fail, HUGE};

use crate::end::plain;
use crate::others;

const POOL: u64 = 8;
const STEPS: usize = 150;
const SEEDS: [u64; 3] = [1, 2, 3];

/// What a page holds: every word of it. Who maps it and who pins it mean the same page.
type Content = Rc<Cell<u64>>;

struct Mapping {
    map: Map,
    pages: Vec<Content>,
}

struct World<'a> {
    side: &'a mut Side,
    rng: fastrand::Rng,
    ring: Ring,
    mappings: Vec<Mapping>,
    pins: Vec<Option<(Buffer, Content)>>,
    stamp: u64,
    /// Acts that did what they are there for.
    done: [usize; 8],
}

pub fn no_page_is_lost_or_handed_out_twice() -> Check {
    for seed in SEEDS {
        beside(POOL, |side| run(side, seed))
            .map_err(|Fail(why)| Fail(format!("seed {seed}: {why}")))?;
    }
    Ok(())
}

fn run(side: &mut Side, seed: u64) -> Check {
    let mut world = World {
        side,
        rng: fastrand::Rng::with_seed(seed),
        ring: Ring::new()?,
        mappings: Vec::new(),
        pins: (0..SLOTS).map(|_| None).collect(),
        stamp: 0,
        done: [0; 8],
    };
    for step in 0..STEPS {
        let act = world.rng.usize(..world.done.len());
        let done = match act {
            0 => world.map(),
            1 => world.pin(),
            2 => world.unpin(),
            3 => world.write_by_pin(),
            4 => world.unmap(),
            5 => world.write(),
            6 => world.resize(),
            _ => world.fork(),
        }
        .map_err(|Fail(why)| Fail(format!("step {step}, act {act}: {why}")))?;
        world.done[act] += usize::from(done);
        world.side.note_counts(format!("step {step}, act {act}"))?;
        if step % 10 == 9 {
            world
                .look()
                .map_err(|Fail(why)| Fail(format!("after step {step}: {why}")))?;
        }
    }
    world.look()?;
    let done = world.done;
    check!(
        done.iter().all(|&times| times > 1),
        "acts done: {done:?}, each must be some times"
    );
    world.side.note("acts done", done);
    for slot in 0..SLOTS {
        world.ring.unpin(slot)?;
    }
    world.mappings.clear();
    world.side.pool().set(POOL)?;
    others::settles(world.side, "in the end", (POOL, POOL, 0, 0), 0)
}

impl World<'_> {
    fn fresh(&mut self) -> u64 {
        self.stamp += 1;
        (self.stamp << 32) | 0xfeed
    }

    /// Any page of any mapping.
    fn some_page(&mut self) -> Option<(usize, usize)> {
        if self.mappings.is_empty() {
            return None;
        }
        let mapping = self.rng.usize(..self.mappings.len());
        let page = self.rng.usize(..self.mappings[mapping].pages.len());
        Some((mapping, page))
    }

    fn some_pin(&mut self) -> Option<usize> {
        let slots: Vec<_> = (0..self.pins.len())
            .filter(|&slot| self.pins[slot].is_some())
            .collect();
        (!slots.is_empty()).then(|| slots[self.rng.usize(..slots.len())])
    }

    fn map(&mut self) -> Check<bool> {
        let kind = Kind::BOTH[self.rng.usize(..2)];
        let count = self.rng.usize(1..=3);
        let counts = self.side.pool().counts()?;
        if counts.free < count as u64 {
            return Ok(false);
        }
        let map = plain(kind, count).map(&self.side.open()?)?;
        let mut pages = Vec::new();
        for page in 0..count {
            map.holds(page, 0)?;
            let stamp = self.fresh();
            map.fill(page, stamp);
            pages.push(Rc::new(Cell::new(stamp)));
        }
        self.mappings.push(Mapping { map, pages });
        Ok(true)
    }

    fn pin(&mut self) -> Check<bool> {
        let slot = self.rng.u16(..SLOTS);
        let Some((mapping, page)) = self.some_page() else {
            return Ok(false);
        };
        let Mapping { map, pages } = &self.mappings[mapping];
        let base = map.at(page * HUGE);
        let buffer = Buffer { slot, base };
        self.ring.pin(buffer)?;
        self.pins[usize::from(slot)] = Some((buffer, Rc::clone(&pages[page])));
        Ok(true)
    }

    fn unpin(&mut self) -> Check<bool> {
        let Some(slot) = self.some_pin() else {
            return Ok(false);
        };
        self.pins[slot] = None;
        self.ring.unpin(slot as u16)?;
        Ok(true)
    }

    fn write_by_pin(&mut self) -> Check<bool> {
        let stamp = self.fresh();
        let Some((buffer, content)) = self.some_pin().and_then(|slot| self.pins[slot].as_ref())
        else {
            return Ok(false);
        };
        self.ring.fill(*buffer, stamp)?;
        content.set(stamp);
        Ok(true)
    }

    fn unmap(&mut self) -> Check<bool> {
        let Some((mapping, _)) = self.some_page() else {
            return Ok(false);
        };
        drop(self.mappings.swap_remove(mapping));
        Ok(true)
    }

    fn write(&mut self) -> Check<bool> {
        let stamp = self.fresh();
        let Some((mapping, page)) = self.some_page() else {
            return Ok(false);
        };
        let Mapping { map, pages } = &self.mappings[mapping];
        map.fill(page, stamp);
        pages[page].set(stamp);
        Ok(true)
    }

    fn resize(&mut self) -> Check<bool> {
        let count = self.rng.u64(..POOL + 3);
        self.side.pool().set(count)?;
        Ok(true)
    }

    /// A child that looks at everything it has before and after its parent and the kernel write,
    /// and goes.
    fn fork(&mut self) -> Check<bool> {
        let counts = self.side.pool().counts()?;
        let mapped = self
            .mappings
            .iter()
            .map(|one| one.pages.len())
            .sum::<usize>();
        // Where pages for copies are lacking, fork fails on hugetlb.
        if counts.free < mapped as u64 {
            return Ok(false);
        }
        let child = fork(|link| {
            for Mapping { map, pages } in &self.mappings {
                for (page, content) in pages.iter().enumerate() {
                    map.holds(page, content.get())?;
                    // The child's own from here on, where it is private.
                    map.write(page * HUGE + 8, content.get());
                }
            }
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        self.side.note_counts("with a child")?;
        self.write_by_pin()?;
        self.write()?;
        self.side.note_counts("with a child, after writes")?;
        child.link.send(1)?;
        child.finish()?;
        Ok(true)
    }

    fn look(&mut self) -> Check {
        for Mapping { map, pages } in &self.mappings {
            for (page, content) in pages.iter().enumerate() {
                map.holds(page, content.get())?;
            }
        }
        for (buffer, content) in self.pins.iter().flatten() {
            self.ring.holds(*buffer, content.get())?;
        }
        Ok(())
    }
}
