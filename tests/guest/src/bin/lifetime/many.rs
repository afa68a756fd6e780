// SPDX-License-Identifier: GPL-2.0

//! The end of more pages than go back in one go.

use guest::beside::beside;
use guest::kind::{beside_both, Kind};
use guest::pipe::Pipe;
use guest::{Check, HUGE};

const PAGES: usize = 100;
const PERSISTENT: u64 = 60;

/// Not all are touched: there are gaps.
fn is_touched(page: usize) -> bool {
    page % 7 != 3
}

pub fn with_gaps_and_surplus() -> Check {
    beside_both(PERSISTENT, |side, kind| {
        side.pool().set_overcommit(PAGES as u64)?;
        let file = side.open()?;
        let map = kind.pages(PAGES).map(&file)?;
        for page in (0..PAGES).filter(|page| is_touched(*page)) {
            map.write(page * HUGE, 1);
        }
        side.note_counts("all touched")?;
        drop(map);
        side.note_counts("unmapped")?;
        drop(file);
        side.note_counts("closed")
    })
}

pub fn with_pins_among_them() -> Check {
    beside(PAGES as u64, |side| {
        let file = side.open()?;
        let map = Kind::Shared.pages(PAGES).map(&file)?;
        let mut pipe = Pipe::new()?;
        for page in 0..PAGES {
            map.write(page * HUGE, 7);
            if page % 20 == 10 {
                pipe.splice(&map, page * HUGE, 8)?;
            }
        }
        drop(map);
        drop(file);
        side.note_counts("closed, with pins")?;
        pipe.drain(5 * 8, 7)?;
        side.settles("unpinned", (PAGES as u64, PAGES as u64, 0, 0))
    })
}
