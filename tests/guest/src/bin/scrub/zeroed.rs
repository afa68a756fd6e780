// SPDX-License-Identifier: GPL-2.0

//! What is counted: pages known to be zero, faults that cleared and faults that had no need to.

use std::time::{Duration, Instant};

use guest::child::in_child;
use guest::device::open;
use guest::file::Huge;
use guest::kind::Kind;
use guest::map::{Map, Request};
use guest::pool::{memory_nodes, Resized, OURS};
use guest::scrub::{faults, set, settles, Share};
use guest::{same, Check, HUGE};

const PAGES: usize = 6;

/// Has another process write to all pages of the pool and end.
fn used_by_another() -> Check {
    in_child(|| {
        let map = Map::of_new_file(PAGES)?;
        (0..PAGES).for_each(|page| map.mark(page, 77));
        Ok(())
    })?;
    OURS.settles_at_free(PAGES as u64)
}

/// Long enough for a scrubber to begin that should not.
fn watch(mut look: impl FnMut() -> Check) -> Check {
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        look()?;
        std::thread::yield_now();
    }
    Ok(())
}

pub fn off_leaves_pages_as_they_are() -> Check {
    let _empty = Resized::ours(0)?;
    let _share = Share::of(OURS, 0)?;
    let pages = PAGES as u64;
    OURS.set(pages)?;
    same!(OURS.zeroed()?, pages, "zeroed_hugepages of a fresh pool");
    let map = Map::of_new_file(2)?;
    map.write(0, 1);
    same!(
        OURS.zeroed()?,
        pages - 1,
        "zeroed_hugepages with one in use"
    );
    // Read, or written: the module is not told.
    map.read(HUGE);
    drop(map);
    same!(
        (OURS.free()?, OURS.zeroed()?),
        (pages, pages - 2),
        "free_hugepages and zeroed_hugepages when two were used"
    );
    used_by_another()?;
    watch(|| {
        same!(OURS.zeroed()?, 0, "zeroed_hugepages with the scrubber off");
        Ok(())
    })?;
    // What is given back first is not known to be zero, and what comes is.
    OURS.set(pages + 2)?;
    same!(OURS.zeroed()?, 2, "zeroed_hugepages with 2 fresh pages");
    OURS.set(pages)?;
    same!(OURS.zeroed()?, 2, "zeroed_hugepages with 2 pages less");
    Ok(())
}

pub fn settles_at_all_free_pages() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 0)?;
    used_by_another()?;
    // Those of one mapping stay in use.
    let map = Map::of_new_file(1)?;
    map.mark(0, 5);
    set(OURS, 100)?;
    settles(OURS, PAGES as u64 - 1)?;
    for node in memory_nodes()? {
        let [zeroed, free] =
            ["zeroed_hugepages", "free_hugepages"].map(|name| OURS.read(Some(node), name));
        same!(zeroed?, free?, "zeroed_hugepages of node {node}");
    }
    map.marked(0, 5)?;
    drop(map);
    // Woken by the page itself.
    settles(OURS, PAGES as u64)
}

pub fn faults_count_what_they_clear() -> Check {
    let _empty = Resized::ours(0)?;
    let _share = Share::of(OURS, 0)?;
    let pages = PAGES as u64;
    OURS.set(pages)?;
    for kind in Kind::BOTH {
        let touch = |what: &str, expected: (u64, u64)| {
            let before = faults(OURS)?;
            in_child(|| {
                let map = kind.pages(PAGES).map(&open()?)?;
                (0..PAGES).try_for_each(|page| map.unmarked(page))?;
                (0..PAGES).for_each(|page| map.fill(page, 0xdead_beef));
                Ok(())
            })?;
            let after = faults(OURS)?;
            same!(
                (after.0 - before.0, after.1 - before.1),
                expected,
                "{kind:?}, {what}: faults that cleared, and that found zeros"
            );
            OURS.settles_at_free(pages)
        };
        touch("known zero", (0, pages))?;
        touch("used before", (pages, 0))?;
        set(OURS, 100)?;
        settles(OURS, pages)?;
        set(OURS, 0)?;
        touch("scrubbed", (0, pages))?;
        // For the other kind.
        set(OURS, 100)?;
        settles(OURS, pages)?;
        set(OURS, 0)?;
    }
    // Preallocated pages count as if they were touched.
    let before = faults(OURS)?;
    let file = Huge::new(OURS)?;
    file.preallocate(0, (2 * HUGE) as u64)?;
    let map = file.map(Request::pages(2))?;
    (0..2).try_for_each(|page| map.holds(page, 0))?;
    let after = faults(OURS)?;
    same!(
        (after.0 - before.0, after.1 - before.1),
        (0, 2),
        "faults, preallocated"
    );
    Ok(())
}

pub fn copies_and_second_faults_count_nothing() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let _share = Share::of(OURS, 0)?;
    let file = open()?;
    let shared = Request::pages(1).map(&file)?;
    shared.mark(0, 3);
    let before = faults(OURS)?;
    // The page is there.
    let again = Request::pages(1).map(&file)?;
    again.marked(0, 3)?;
    // A copy of it takes a page, too, but nobody clears that.
    let private = Request::pages(1).private().map(&file)?;
    private.mark(0, 4);
    private.marked(0, 4)?;
    again.marked(0, 3)?;
    same!(
        faults(OURS)?,
        before,
        "faults that cleared, and that found zeros"
    );
    Ok(())
}
