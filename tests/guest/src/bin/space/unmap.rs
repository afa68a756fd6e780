// SPDX-License-Identifier: GPL-2.0

//! munmap and mprotect of parts that cut a huge page, and of parts that do not.

use guest::beside::Side;
use guest::kind::{beside_both, half_touched, look, stamped, Kind};
use guest::map::{Map, Request, NONE, READ};
use guest::{call, vmas, Check, Errno, HUGE};

/// Parts of a mapping of two pages that cut a huge page.
const CUTS: [(usize, usize); 7] = [
    (0, 4096),
    (4096, 4096),
    (4096, HUGE),
    (HUGE - 4096, 4096),
    (HUGE - 4096, 8192),
    (HUGE, HUGE - 4096),
    (4096, 2 * HUGE - 4096),
];

pub fn cuts_are_refused() -> Check {
    beside_both(4, |side, kind| {
        let (_file, map) = stamped(side, kind, 2)?;
        for (offset, bytes) in CUTS {
            side.note(
                format_args!("munmap of {bytes} at {offset}"),
                map.unmap(offset, bytes),
            );
            for to in [NONE, READ] {
                side.note(
                    format_args!("mprotect of {bytes} at {offset} to {to}"),
                    map.protect(offset, bytes, to),
                );
            }
        }
        side.note("borders", vmas::borders(map.base(), map.bytes())?);
        map.holds(0, 10)?;
        map.holds(1, 11)?;
        look(side, "after all", &map)
    })
}

/// `pages` pages of a new file between base pages of anonymous memory: those, and the pages.
fn between(side: &Side, kind: Kind, pages: usize) -> Check<(Map, Map)> {
    let (range, aligned) = Map::reserve(pages + 2)?;
    let request = Request {
        address: aligned.wrapping_add(HUGE),
        flags: kind.pages(1).flags | libc::MAP_FIXED,
        ..kind.pages(pages)
    };
    let map = request.map(&side.open()?)?;
    Ok((range, map))
}

/// munmap of `bytes` bytes from `before` bytes in front of a mapping.
fn unmap_from(map: &Map, before: usize, bytes: usize) -> Result<i64, Errno> {
    // SAFETY: What lies around the mapping was reserved by `between`.
    call(unsafe { libc::munmap(map.base().wrapping_sub(before).cast(), bytes) })
}

pub fn cuts_from_a_neighbour_are_refused() -> Check {
    beside_both(4, |side, kind| {
        let (_range, map) = between(side, kind, 2)?;
        map.fill(0, 1);
        map.fill(1, 2);
        let around = map.base().wrapping_sub(4096);
        side.note("first half page", unmap_from(&map, 4096, 8192));
        side.note("to the last base page", unmap_from(&map, 4096, 2 * HUGE));
        side.note("borders", vmas::borders(around, 2 * HUGE + 8192)?);
        map.holds(0, 1)?;
        map.holds(1, 2)?;
        side.note_counts("after the refusals")?;
        side.note("with neighbours", unmap_from(&map, 4096, 2 * HUGE + 8192));
        side.note("borders left", vmas::borders(around, 2 * HUGE + 8192)?);
        side.note_counts("after all")
    })
}

pub fn every_order_of_unmapping() -> Check {
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    beside_both(6, |side, kind| {
        for order in ORDERS {
            let (file, map) = half_touched(side, kind, 3)?;
            side.note_counts(format_args!("{order:?}, mapped"))?;
            for page in order {
                map.unmap(page * HUGE, HUGE)?;
                side.note_counts(format_args!("{order:?}, without page {page}"))?;
            }
            drop(file);
            side.settles(format_args!("{order:?}, closed"), (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

pub fn what_is_unmapped_can_be_mapped_again() -> Check {
    beside_both(8, |side, kind| {
        let (file, map) = stamped(side, kind, 3)?;
        map.unmap(HUGE, HUGE)?;
        look(side, "with a hole", &map)?;
        let request = Request {
            address: map.at(HUGE),
            flags: kind.pages(1).flags | libc::MAP_FIXED_NOREPLACE,
            offset: HUGE as i64,
            ..kind.pages(1)
        };
        let again = request.map(&file)?;
        look(side, "with the hole filled", &map)?;
        again.fill(0, 77);
        side.note("borders", vmas::borders(map.base(), map.bytes())?);
        // One call ends both mappings.
        map.unmap(0, 3 * HUGE)?;
        side.note("borders left", vmas::borders(map.base(), map.bytes())?);
        side.note_counts("unmapped")?;
        std::mem::forget(again);
        let whole = kind.pages(3).map(&file)?;
        look(side, "mapped as a whole", &whole)
    })
}
