// SPDX-License-Identifier: GPL-2.0

//! Pages that a pipe holds on to, whatever becomes of their mapping.

use guest::pipe::Pipe;
use guest::stamp::{Stamp, SPOTS};
use guest::{check, Check, HUGE};

use crate::area::{Area, Content, Kind};
use crate::arena::{Figure, FIRST_CHILD};

/// What is spliced: the first base page, with two words that are known.
const BYTES: usize = 4096;
const WORDS: usize = 2;

/// A base page in a pipe.
pub struct Pin {
    pipe: Pipe,
    owner: u16,
    page: usize,
    /// A forked process that has the page for itself, but for this pin, writes to it.
    forked: bool,
}

impl Pin {
    /// Splices a page that was written; none if it was not.
    pub fn new(area: &Area, page: usize) -> Check<Option<Self>> {
        if !matches!(area.content[page], Content::Written { .. }) {
            return Ok(None);
        }
        let pipe = Pipe::new()?;
        let number = area.number(page);
        pipe.splice(&area.map, number * HUGE, BYTES)?;
        area.arena.count(Figure::Pins);
        Ok(Some(Self {
            pipe,
            owner: area.owner,
            page: number,
            forked: area.kind != Kind::Shared,
        }))
    }

    /// Fails unless it is still the page that was pinned.
    pub fn check(mut self) -> Check {
        let content = self.pipe.take(BYTES)?;
        for (spot, offset) in SPOTS.into_iter().enumerate().take(WORDS) {
            let bytes = content[offset..offset + 8].try_into().unwrap_or_default();
            let stamp = Stamp::of(u64::from_ne_bytes(bytes));
            let right = stamp.is_some_and(|stamp| {
                let forked = self.forked && stamp.owner >= FIRST_CHILD;
                (stamp.owner == self.owner || forked)
                    && (stamp.page, stamp.spot) == (self.page, spot)
            });
            check!(
                right,
                "a pinned page of {:#x}, page {}, spot {spot}, has {stamp:x?}",
                self.owner,
                self.page
            );
        }
        Ok(())
    }
}
