// SPDX-License-Identifier: GPL-2.0

//! Surplus pages, made for mappings that the pool is too small for.

use guest::beside::beside;
use guest::Check;

pub fn surplus_is_made_at_mmap() -> Check {
    beside(2, |side| {
        side.pool().set_overcommit(3)?;
        let map = side.map(4)?;
        side.counts("after mmap", (4, 4, 4, 2))?;
        let other = side.map(1)?;
        side.counts("after another mmap", (5, 5, 5, 3))?;
        side.touches("all pages", &map, 4)?;
        side.counts("with 4 touched", (5, 1, 1, 3))?;
        drop(map);
        side.settles("with the first gone", (2, 2, 1, 0))?;
        drop(other);
        side.settles("in the end", (2, 2, 0, 0))
    })
}

pub fn surplus_is_made_at_a_touch_without_reservation() -> Check {
    beside(1, |side| {
        side.pool().set_overcommit(2)?;
        let map = side.map_unreserved(5)?;
        side.counts("after mmap", (1, 1, 0, 0))?;
        side.touches("without reservation", &map, 3)?;
        side.counts("with 3 touched", (3, 0, 0, 2))?;
        drop(map);
        side.settles("without the mapping", (1, 1, 0, 0))?;
        // With the free page reserved, a touch makes surplus, too.
        let reserved = side.map(1)?;
        let map = side.map_unreserved(5)?;
        side.touches("beside a reservation", &map, 2)?;
        side.counts("beside a reservation", (3, 1, 1, 2))?;
        side.touches("what was reserved", &reserved, 1)?;
        drop((map, reserved));
        side.settles("in the end", (1, 1, 0, 0))
    })
}

pub fn the_limit_is_kept_and_refusal_changes_nothing() -> Check {
    beside(2, |side| {
        side.pool().set_overcommit(1)?;
        side.refuses("mapping 4 pages of 2 and 1", |side| side.map(4))?;
        let map = side.map(3)?;
        side.counts("with 3 reserved", (3, 3, 3, 1))?;
        side.refuses("mapping 1 page more", |side| side.map(1))?;
        let other = side.map_unreserved(1)?;
        side.touches("with the limit reached", &other, 0)?;
        side.counts("after the SIGBUS", (3, 3, 3, 1))?;
        drop((map, other));
        side.settles("in the end", (2, 2, 0, 0))
    })
}

pub fn lowering_the_limit_keeps_what_is_there() -> Check {
    beside(1, |side| {
        side.pool().set_overcommit(4)?;
        let map = side.map(4)?;
        side.counts("with 4 reserved", (4, 4, 4, 3))?;
        side.pool().set_overcommit(1)?;
        side.counts("with a limit below the surplus", (4, 4, 4, 3))?;
        side.refuses("mapping 1 page more", |side| side.map(1))?;
        side.touches("what was reserved", &map, 4)?;
        drop(map);
        side.settles("without the mapping", (1, 1, 0, 0))?;
        let map = side.map(2)?;
        side.counts("with 2 reserved", (2, 2, 2, 1))?;
        drop(map);
        side.settles("in the end", (1, 1, 0, 0))
    })
}

pub fn no_limit_reserves_without_a_pool() -> Check {
    beside(0, |side| {
        side.pool().set_overcommit(u64::MAX)?;
        let map = side.map(3)?;
        side.counts("with 3 reserved", (3, 3, 3, 3))?;
        let other = side.map_unreserved(2)?;
        side.touches("without reservation", &other, 2)?;
        side.counts("with 2 more touched", (5, 3, 3, 5))?;
        side.touches("what was reserved", &map, 3)?;
        drop((map, other));
        side.settles("in the end", (0, 0, 0, 0))
    })
}

pub fn growing_makes_surplus_persistent() -> Check {
    beside(1, |side| {
        side.pool().set_overcommit(3)?;
        let map = side.map(4)?;
        for (count, want) in [
            (2, (4, 4, 4, 2)),
            (4, (4, 4, 4, 0)),
            (6, (6, 6, 4, 0)),
            (1, (4, 4, 4, 3)),
        ] {
            side.pool().set(count)?;
            side.counts(format!("after writing {count}"), want)?;
        }
        drop(map);
        side.settles("in the end", (1, 1, 0, 0))
    })
}
