// SPDX-License-Identifier: GPL-2.0

//! Who pins a page: a pipe that it was spliced into (FOLL_GET), or a ring that has it registered
//! (FOLL_PIN, FOLL_LONGTERM). Either way it is the page they mean, not the address.

use guest::map::Map;
use guest::pipe::Pipe;
use guest::ring::{Buffer, Ring};
use guest::{Check, HUGE};

/// What a page holds when it gets pinned.
pub const PINNED: u64 = 0x1111_2222_3333_4444;

/// Somebody who pins one page.
pub trait Holder {
    /// Pins the first page of `map`. May be called in a child.
    fn pin(&self, map: &Map) -> Check;

    /// The page that was pinned was at this address.
    fn is_at(&mut self, base: *mut u8);

    /// Uses the page: fails unless it is as it was left.
    fn look(&mut self) -> Check;

    /// Ends the pin, with a last look.
    fn let_go(&mut self) -> Check;
}

/// A new holder of each kind.
pub fn each() -> Check<[Box<dyn Holder>; 2]> {
    Ok([Box::new(Spliced::new()?), Box::new(Registered::new()?)])
}

/// One base page. A huge page is pinned by several, so that the pin ends in parts.
const PART: usize = 4096;
const PARTS: usize = 8;

/// A pipe with parts of a page. Each look takes one out.
struct Spliced {
    pipe: Pipe,
    parts: usize,
}

impl Spliced {
    fn new() -> Check<Self> {
        let pipe = Pipe::new()?;
        Ok(Self { pipe, parts: PARTS })
    }
}

impl Holder for Spliced {
    fn pin(&self, map: &Map) -> Check {
        self.pipe.splice(map, HUGE - PARTS * PART, PARTS * PART)
    }

    fn is_at(&mut self, _: *mut u8) {}

    fn look(&mut self) -> Check {
        assert!(self.parts > 1, "the last look is `let_go`");
        self.parts -= 1;
        self.pipe.drain(PART, PINNED)
    }

    fn let_go(&mut self) -> Check {
        self.pipe.drain(self.parts * PART, PINNED)
    }
}

/// A ring with a registered page. Each look leaves something else in it.
struct Registered {
    ring: Ring,
    buffer: Buffer,
    stamp: u64,
}

impl Registered {
    fn new() -> Check<Self> {
        let buffer = Buffer {
            slot: 0,
            base: std::ptr::null_mut(),
        };
        Ok(Self {
            ring: Ring::new()?,
            buffer,
            stamp: PINNED,
        })
    }
}

impl Holder for Registered {
    fn pin(&self, map: &Map) -> Check {
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
        self.ring.holds(self.buffer, self.stamp)?;
        self.stamp += 1;
        self.ring.fill(self.buffer, self.stamp)
    }

    fn let_go(&mut self) -> Check {
        self.ring.holds(self.buffer, self.stamp)?;
        self.ring.unpin(self.buffer.slot)?;
        Ok(())
    }
}
