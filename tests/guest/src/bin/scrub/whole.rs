// SPDX-License-Identifier: GPL-2.0

//! The pool is whole while pages of it are being cleared: all can be had, given back and reserved.

use guest::child::in_child;
use guest::device::open;
use guest::kind::Kind;
use guest::kmod::{load, unload, users, Reloaded};
use guest::map::{Map, Request};
use guest::memory::{all_is_back, settled_free_kib};
use guest::pool::{Resized, OURS};
use guest::scrub::{faults, set, Share};
use guest::{poll, refused, same, Check};

const PAGES: usize = 8;
const ROUNDS: u64 = 24;

/// All pages used and free again, in the moment in which so many of them are clear at least.
fn used_until(zeroed: u64) -> Check {
    let map = Map::of_new_file(PAGES)?;
    (0..PAGES).for_each(|page| map.mark(page, 9));
    drop(map);
    let enough = |seen: &u64| *seen >= zeroed;
    poll::until("zeroed_hugepages", || OURS.zeroed(), enough).map(drop)
}

pub fn all_pages_can_be_had_while_scrubbing() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 100)?;
    let before = faults(OURS)?;
    for round in 0..ROUNDS {
        let zeroed = round % PAGES as u64;
        let enough = |seen: &u64| round < 2 || *seen >= zeroed;
        poll::until("zeroed_hugepages", || OURS.zeroed(), enough)?;
        in_child(|| {
            let kind = Kind::BOTH[round as usize % 2];
            let map = kind.pages(PAGES).map(&open()?)?;
            same!(
                OURS.free()?,
                PAGES as u64,
                "free_hugepages in round {round}"
            );
            // A SIGBUS is the end of the child.
            (0..PAGES).try_for_each(|page| map.unmarked(page))?;
            same!(
                (OURS.free()?, OURS.zeroed()?),
                (0, 0),
                "free and zeroed pages in round {round}"
            );
            (0..PAGES).for_each(|page| map.mark(page, round + 1));
            (0..PAGES).try_for_each(|page| map.marked(page, round + 1))
        })?;
        same!(
            (OURS.nr()?, OURS.free()?, OURS.resv()?),
            (PAGES as u64, PAGES as u64, 0),
            "nr, free, resv after round {round}"
        );
    }
    let after = faults(OURS)?;
    same!(
        after.0 + after.1 - before.0 - before.1,
        ROUNDS * PAGES as u64,
        "faults that cleared or found zeros"
    );
    Ok(())
}

pub fn reservations_hold_while_scrubbing() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 100)?;
    for round in 0..ROUNDS {
        used_until(round % PAGES as u64)?;
        let map = Map::of_new_file(PAGES)?;
        refused!(
            Request::pages(1).map(&open()?),
            libc::ENOMEM,
            "a page too many, round {round}"
        );
        (0..PAGES).try_for_each(|page| map.unmarked(page))?;
    }
    Ok(())
}

pub fn shrinks_to_nothing_while_scrubbing() -> Check {
    let _pool = Resized::ours(0)?;
    let _share = Share::of(OURS, 100)?;
    let before = settled_free_kib()?;
    for round in 0..ROUNDS {
        OURS.reach(PAGES as u64)?;
        used_until(round % PAGES as u64)?;
        OURS.set(0)?;
        same!(
            OURS.counts()?.row(),
            (0, 0, 0),
            "nr, free, surplus, round {round}"
        );
        same!(OURS.zeroed()?, 0, "zeroed_hugepages, round {round}");
    }
    all_is_back(before, settled_free_kib()?)
}

pub fn goes_with_the_module_while_scrubbing() -> Check {
    let _reloaded = Reloaded::after_test()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    load("")?;
    unload()?;
    let before = settled_free_kib()?;
    for zeroed in [0, 1, 2, PAGES as u64 / 2] {
        load(&format!("hugepages_2M={PAGES}"))?;
        same!(
            OURS.read(None, "scrub_percent")?,
            10,
            "scrub_percent at load"
        );
        set(OURS, 100)?;
        used_until(zeroed)?;
        poll::until("users of the module", users, |count| *count == 0)?;
        unload()?;
    }
    // A debug kernel lets go of the module's objects seconds after it.
    poll::until("free KiB", settled_free_kib, |now| {
        all_is_back(before, *now).is_ok()
    })
    .map(drop)
}
