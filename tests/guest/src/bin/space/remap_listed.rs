// SPDX-License-Identifier: GPL-2.0

//! mremap where DEVIATIONS.md lists a difference: growing, lengths that are no multiple, and
//! mappings that were split.

use guest::kind::{beside_both, stamped, Kind};
use guest::map::{Map, READ};
use guest::{same, vmas, Check, HUGE};

use crate::remap::{form, look, remap, Form, ALL, FIXED, MAYMOVE, PAGES};

/// A form, hugetlb's result, and ours.
const LISTED: [(Form, Result<(), i32>, Result<(), i32>); 8] = [
    (form("grow", (0, ALL, ALL + HUGE), 0, 0), EINVAL, EFAULT),
    (
        form("grow, might move", (0, ALL, ALL + HUGE), MAYMOVE, 0),
        EINVAL,
        EFAULT,
    ),
    (
        form("grow and move", (0, ALL, ALL + HUGE), FIXED, 0),
        EINVAL,
        EFAULT,
    ),
    (
        form(
            "unaligned, and nothing to do",
            (4096, HUGE, HUGE),
            MAYMOVE,
            0,
        ),
        EINVAL,
        Ok(()),
    ),
    (
        form("a base page", (0, 4096, 4096), FIXED, 0),
        Ok(()),
        EINVAL,
    ),
    (
        form("a base page more", (0, HUGE + 4096, HUGE + 4096), FIXED, 0),
        Ok(()),
        EINVAL,
    ),
    (
        form("shrink by a base page", (0, ALL, ALL - 4096), 0, 0),
        Ok(()),
        EINVAL,
    ),
    (
        form("shrink to a base page", (0, ALL, 4096), MAYMOVE, 0),
        Ok(()),
        EINVAL,
    ),
];
const EINVAL: Result<(), i32> = Err(libc::EINVAL);
const EFAULT: Result<(), i32> = Err(libc::EFAULT);

/// A length of 0 makes a second mapping of what is shared.
pub fn duplicating_is_growing() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = stamped(side, kind, PAGES)?;
        let (_range, target) = Map::reserve(PAGES + 1)?;
        let duplicate = form("duplicate", (0, 0, ALL), FIXED, 0);
        let seen = remap(&map, &duplicate, target).map(drop);
        match kind {
            Kind::Shared => {
                let seen = seen.map_err(|errno| errno.0);
                side.deviates("duplicate", seen, EINVAL, EFAULT)?;
            }
            Kind::Private => side.note("duplicate", seen),
        }
        look(side, "the mapping", &[("source", map.base())])
    })
}

/// What is no multiple is refused, when what was at the target is gone already.
pub fn a_target_is_lost_that_nothing_can_move_to() -> Check {
    beside_both(8, |side, kind| {
        for unaligned in [
            form("to an unaligned place", (0, ALL, ALL), FIXED, 4096),
            form("from an unaligned place", (4096, HUGE, HUGE), FIXED, 0),
        ] {
            let (_file, map) = stamped(side, kind, PAGES)?;
            let (_range, target) = Map::reserve(PAGES + 1)?;
            let name = unaligned.name;
            side.note(name, remap(&map, &unaligned, target).map(drop));
            let left = vmas::borders(target, (PAGES + 1) * HUGE)?;
            let bytes: usize = left.iter().map(|(_, bytes, ..)| bytes).sum();
            let all = (PAGES + 1) * HUGE;
            side.deviates(
                format_args!("{name}, bytes at the target"),
                bytes,
                all,
                all - unaligned.new,
            )?;
            look(side, name, &[("source", map.base())])?;
        }
        Ok(())
    })
}

/// Growing, and lengths that are no multiple.
pub fn listed_differences() -> Check {
    beside_both(8, |side, kind| {
        for (form, hugetlb, ours) in &LISTED {
            let (_file, map) = stamped(side, kind, PAGES)?;
            let (_range, target) = Map::reserve(PAGES + 1)?;
            let result = remap(&map, form, target);
            let seen = result.map(drop).map_err(|errno| errno.0);
            side.deviates(form.name, seen, *hugetlb, *ours)?;
            if result.is_err() {
                for page in 0..PAGES {
                    map.holds(page, 10 + page as u64)?;
                }
            }
        }
        Ok(())
    })
}

/// A mapping that mprotect split moves in parts only.
pub fn split_mappings() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = stamped(side, kind, PAGES)?;
        map.protect(HUGE, HUGE, READ)?;
        let (_range, target) = Map::reserve(PAGES + 1)?;
        let all = form("all three", (0, ALL, ALL), FIXED, 0);
        let moved = remap(&map, &all, target).is_ok();
        side.deviates("moving all three", moved, true, false)?;
        if !moved {
            for page in 0..PAGES {
                let one = form(
                    "one of three",
                    (page * HUGE, HUGE, HUGE),
                    FIXED,
                    page * HUGE,
                );
                same!(
                    remap(&map, &one, target),
                    Ok(target.wrapping_add(page * HUGE)),
                    "moving page {page} by itself"
                );
            }
        }
        look(side, "moved", &[("source", map.base()), ("target", target)])
    })
}
