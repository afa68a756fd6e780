// SPDX-License-Identifier: GPL-2.0

//! What a private mapping reserves, and what of it ends when: unmapped in parts, moved, replaced.

use guest::beside::beside;
use guest::map::{Map, Request, READ, WRITE};
use guest::{fail, word, Check, HUGE};

use crate::copy::private;

pub fn each_mmap_reserves_its_length() -> Check {
    beside(5, |side| {
        let file = side.open()?;
        let one = private(2).map(&file)?;
        side.counts("one mapping", (5, 5, 2, 0))?;
        let other = private(2).map(&file)?;
        side.counts("two mappings", (5, 5, 4, 0))?;
        side.refuses("a third of two pages", |_| private(2).map(&file))?;
        one.write(0, 1);
        side.counts("one page taken", (5, 4, 3, 0))?;
        drop(other);
        side.counts("one mapping again", (5, 4, 1, 0))?;
        drop(one);
        side.counts("none", (5, 5, 0, 0))
    })
}

pub fn unreserved_mappings_take_what_is_left() -> Check {
    beside(3, |side| {
        let file = side.open()?;
        let reserved = private(2).map(&file)?;
        let unreserved = private(3).unreserved().map(&file)?;
        side.note_counts("mapped")?;
        for page in 0..3 {
            let stored = word::store(&unreserved, page * HUGE, 1);
            side.note(format_args!("write to page {page}"), stored);
        }
        side.note_counts("all that is left taken")?;
        reserved.write(0, 1);
        reserved.write(HUGE, 1);
        side.note_counts("and what was promised")
    })
}

pub fn beyond_the_end_of_the_file() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        // Only mappings that can be written to make the file larger.
        let own = Request {
            protection: READ,
            ..private(2)
        }
        .map(&file)?;
        side.note("read", word::load(&own, 0));
        own.protect(0, 2 * HUGE, READ | WRITE)?;
        side.note("write", word::store(&own, 0, 1));
        let grown = private(1).map(&file)?;
        side.note("read of page 0", word::load(&own, 0));
        side.note("read of page 1", word::load(&own, HUGE));
        drop(grown);
        side.note_counts("in the end")
    })
}

pub fn a_part_unmapped_gives_its_pages_and_promises_back() -> Check {
    beside(6, |side| {
        let own = private(5).map(&side.open()?)?;
        own.fill(1, 1);
        own.fill(3, 3);
        side.counts("two of five pages taken", (6, 4, 3, 0))?;
        for (page, want) in [(1, (6, 5, 3, 0)), (2, (6, 5, 2, 0)), (4, (6, 5, 1, 0))] {
            own.unmap(page * HUGE, HUGE)?;
            side.counts(format_args!("page {page} unmapped"), want)?;
        }
        own.holds(3, 3)?;
        own.holds(0, 0)?;
        side.counts("another one taken", (6, 4, 0, 0))
    })
}

pub fn a_moved_mapping_keeps_its_pages_and_promises() -> Check {
    beside(4, |side| {
        let mut own = private(3).map(&side.open()?)?;
        own.fill(0, 1);
        own.fill(2, 3);
        for round in 0..3 {
            let (_range, target) = Map::reserve(3)?;
            own = match own.move_to(target) {
                Ok(map) => map,
                Err((_, errno)) => fail!("mremap: {errno}"),
            };
            // What follows lies outside the range that ends with this round.
            std::mem::forget(_range);
            own.holds(0, 1)?;
            own.holds(2, 3)?;
            side.counts(format_args!("moved, {round}"), (4, 2, 1, 0))?;
        }
        own.write(HUGE, 2);
        side.counts("the last page taken", (4, 1, 0, 0))?;
        drop(own);
        side.counts("unmapped", (4, 4, 0, 0))
    })
}

pub fn a_mapping_over_another_ends_that() -> Check {
    beside(6, |side| {
        let own = private(3).map(&side.open()?)?;
        own.fill(1, 1);
        side.counts("mapped", (6, 5, 2, 0))?;
        let over = Request {
            address: own.at(HUGE),
            flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
            ..private(1)
        }
        .map(&side.open()?)?;
        side.counts("another one over its page 1", (6, 6, 3, 0))?;
        over.holds(0, 0)?;
        own.write(0, 1);
        side.counts("both touched", (6, 4, 1, 0))?;
        // The range of both is the first one's to unmap.
        std::mem::forget(over);
        Ok(())
    })
}

pub fn split_by_mprotect_and_unmapped() -> Check {
    beside(4, |side| {
        let own = private(4).map(&side.open()?)?;
        for page in 0..4 {
            own.fill(page, 10 + page as u64);
        }
        own.protect(HUGE, 2 * HUGE, READ)?;
        for page in 0..4 {
            own.holds(page, 10 + page as u64)?;
        }
        own.unmap(2 * HUGE, 2 * HUGE)?;
        side.counts("the second half unmapped", (4, 2, 0, 0))?;
        own.protect(0, 2 * HUGE, READ | WRITE)?;
        own.holds(1, 11)?;
        own.write(HUGE, 1);
        side.counts("in the end", (4, 2, 0, 0))
    })
}

pub fn a_closed_file_lives_on() -> Check {
    beside(3, |side| {
        let file = side.open()?;
        let shared = Request::pages(1).map(&file)?;
        shared.fill(0, 9);
        let own = private(2).map(&file)?;
        drop((shared, file));
        side.note_counts("only the private mapping left")?;
        own.holds(0, 9)?;
        own.write(0, 1);
        own.write(HUGE, 1);
        side.note_counts("written")?;
        drop(own);
        side.settles("all gone", (3, 3, 0, 0))
    })
}
