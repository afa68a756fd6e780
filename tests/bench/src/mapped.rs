// SPDX-License-Identifier: GPL-2.0

//! A file of a pool and one mapping of it, with what its making, touching and end take.

use guest::file::Huge;
use guest::map::{Map, Request};
use guest::pool::Pool;
use guest::Check;

use crate::clock::{now, own_cost, time};

pub struct Mapped {
    file: Huge,
    map: Map,
}

/// What an end took.
pub struct End {
    pub unmap: u64,
    pub close: u64,
}

impl Mapped {
    /// A new file of `pool` and `pages` pages of it.
    pub fn new(pool: Pool, pages: usize) -> Check<Self> {
        Self::with(pool, Request::of(pool, pages)).map(|(_, mapped)| mapped)
    }

    /// A new file of `pool`, mapped in this way; and what mmap took.
    pub fn with(pool: Pool, request: Request) -> Check<(u64, Self)> {
        let file = Huge::new(pool)?;
        let (span, map) = time(|| file.map(request));
        Ok((span, Self { file, map: map? }))
    }

    /// Maps the file anew: its pages stay, and are in no page table.
    pub fn anew(mut self, pool: Pool) -> Check<Self> {
        self.map = self.file.map(Request::of(pool, self.map.pages()))?;
        Ok(self)
    }

    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Writes a word to each of the first `pages` pages; what each write took.
    pub fn touch(&self, pages: usize) -> Vec<u64> {
        let cost = own_cost();
        (0..pages)
            .map(|page| {
                let offset = page * self.map.page_bytes();
                let start = now();
                self.map.write(offset, 1);
                (now() - start).saturating_sub(cost)
            })
            .collect()
    }

    /// Unmaps, and closes the file, which gives its pages back.
    pub fn end(self) -> Check<End> {
        let Self { file, mut map } = self;
        let (unmap, result) = time(|| map.cut(0));
        result?;
        // There is nothing left to unmap.
        std::mem::forget(map);
        let (close, ()) = time(|| drop(file));
        Ok(End { unmap, close })
    }
}
