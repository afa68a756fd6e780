// SPDX-License-Identifier: GPL-2.0

//! Ranges of one file: each page is charged once.

use std::fs::File;

use guest::beside::beside;
use guest::map::{Map, Request};
use guest::{Check, Errno, HUGE};

/// Maps `pages` pages from page `first` on.
fn map_at(file: &File, first: usize, pages: usize) -> Result<Map, Errno> {
    let request = Request {
        offset: (first * HUGE) as i64,
        ..Request::pages(pages)
    };
    request.map(file)
}

pub fn the_same_range_charges_once() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        let one = map_at(&file, 0, 3)?;
        let two = map_at(&file, 0, 3)?;
        side.counts("with two mappings", (4, 4, 3, 0))?;
        one.write(0, 1);
        two.write(0, 2);
        two.write(HUGE, 2);
        side.counts("with two pages touched", (4, 2, 1, 0))?;
        drop(one);
        side.counts("with one mapping left", (4, 2, 1, 0))?;
        two.write(2 * HUGE, 2);
        side.counts("with all pages touched", (4, 1, 0, 0))?;
        drop((two, file));
        side.settles("in the end", (4, 4, 0, 0))
    })
}

pub fn overlapping_ranges_charge_what_is_new() -> Check {
    beside(12, |side| {
        let file = side.open()?;
        let mut maps = Vec::new();
        for (first, pages, resv) in [
            (0, 3, 3),
            (2, 3, 5),
            (8, 2, 7),
            (1, 2, 7),
            (4, 5, 10),
            (11, 1, 11),
            (0, 12, 12),
        ] {
            maps.push(map_at(&file, first, pages)?);
            let what = format!("after mapping {pages} from {first}");
            side.counts(what, (12, 12, resv, 0))?;
        }
        side.refuses("mapping a page more", |_| map_at(&file, 12, 1))?;
        side.refuses("mapping one more beside all", |_| map_at(&file, 0, 13))?;
        side.touches("all pages", &maps[6], 12)?;
        side.counts("with all touched", (12, 0, 0, 0))?;
        drop((maps, file));
        side.settles("in the end", (12, 12, 0, 0))
    })
}

pub fn touched_pages_are_not_charged_again() -> Check {
    beside(5, |side| {
        let file = side.open()?;
        let map = Request::pages(5).unreserved().map(&file)?;
        for page in [0, 2, 4] {
            map.write(page * HUGE, 1);
        }
        side.counts("with three pages touched", (5, 2, 0, 0))?;
        let whole = map_at(&file, 0, 5)?;
        side.counts("with the rest reserved", (5, 2, 2, 0))?;
        // Touched through the mapping that did not reserve.
        map.write(HUGE, 1);
        side.counts("with one of the rest touched", (5, 1, 1, 0))?;
        side.touches("all pages", &whole, 5)?;
        drop((map, whole, file));
        side.settles("in the end", (5, 5, 0, 0))
    })
}

pub fn unmapping_keeps_the_charge_with_the_file() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        let map = map_at(&file, 0, 4)?;
        map.write(0, 1);
        map.unmap(HUGE, 2 * HUGE)?;
        side.counts("with the middle unmapped", (4, 3, 3, 0))?;
        drop(map);
        side.counts("with all unmapped", (4, 3, 3, 0))?;
        side.refuses("mapping another file", |side| side.map(1))?;
        let again = map_at(&file, 0, 4)?;
        side.counts("with all mapped again", (4, 3, 3, 0))?;
        side.touches("all pages", &again, 4)?;
        drop((again, file));
        side.settles("in the end", (4, 4, 0, 0))
    })
}

pub fn offsets_at_the_end_of_the_file_size() -> Check {
    const LAST: i64 = i64::MAX - (HUGE as i64 - 1);
    beside(4, |side| {
        for (offset, pages) in [
            (LAST, 1),
            (LAST, 2),
            (LAST - HUGE as i64, 1),
            (LAST - HUGE as i64, 2),
            (i64::MIN, 1),
            (-(HUGE as i64), 1),
            (-2 * HUGE as i64, 3),
        ] {
            let request = Request {
                offset,
                ..Request::pages(pages)
            };
            let what = format!("{pages} pages at {offset:#x}");
            let file = side.open()?;
            let map = request.map(&file);
            side.note(format!("mapping {what}"), map.as_ref().map(Map::pages));
            side.note_counts(format!("after mapping {what}"))?;
            let unreserved = request.unreserved().map(&file);
            side.note(
                format!("mapping {what} without reservation"),
                unreserved.as_ref().map(Map::pages),
            );
            if let Ok(map) = &map {
                side.touch(format!("of {what}"), map)?;
                side.note_counts(format!("after touching {what}"))?;
            }
            drop((map, unreserved, file));
            side.settles(format!("after {what}"), (4, 4, 0, 0))?;
        }
        Ok(())
    })
}
