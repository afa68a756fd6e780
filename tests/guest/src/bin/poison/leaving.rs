// SPDX-License-Identifier: GPL-2.0

//! A broken page leaves its pool, and nobody gets it again.

use guest::access;
use guest::beside::{beside, Side};
use guest::broken::{is_nobodys, poison, Counted};
use guest::kmod::{load, unload, users, Log, Reloaded};
use guest::map::Map;
use guest::memory::{frame_of, settled_free_kib};
use guest::pool::{Resized, OURS};
use guest::{check, memory, poll, same, Check, HUGE};

use crate::{head, inside};

/// Frames inside `count` pages, from the second on, of `pages` ones that are free again.
fn frames(side: &Side, pages: usize, count: usize) -> Check<Vec<u64>> {
    let map = side.map(pages)?;
    (0..pages).for_each(|page| map.write(page * HUGE, 1));
    (1..=count).map(|page| inside(&map, page)).collect()
}

/// Fails if one of the `pages` pages of a new mapping is one of those, or is not zero.
fn are_others(side: &Side, pages: usize, broken: &[u64]) -> Check {
    let map = side.map(pages)?;
    for page in 0..pages {
        map.holds(page, 0)?;
        let frame = frame_of(map.at(page * HUGE))?;
        let is_broken = broken.iter().any(|broken| head(*broken) == frame);
        check!(!is_broken, "page {page} of a new mapping is a broken one");
    }
    Ok(())
}

pub fn a_free_page() -> Check {
    beside(4, |side| {
        let broken = frames(side, 4, 1)?;
        let before = side.pool().is_ours().then(|| OURS.poisoned()).transpose()?;
        poison(side.pool(), broken[0])?;
        side.counts("without the broken page", (3, 3, 0, 0))?;
        if let Some(before) = before {
            same!(OURS.poisoned()?, before + 1, "poisoned_hugepages");
        }
        are_others(side, 3, &broken)?;
        side.refuses("mapping one more than there are", |side| side.map(4))?;
        side.pool().set(4)?;
        side.counts("with another page", (4, 4, 0, 0))?;
        are_others(side, 4, &broken)
    })
}

pub fn a_node_counts_its_own() -> Check {
    let _pool = Resized::ours(8)?;
    let before = Counted::of(OURS)?;
    let map = Map::of_new_file(8)?;
    (0..8).for_each(|page| map.write(page * HUGE, 1));
    for page in [2, 5, 7] {
        memory::poison(inside(&map, page)?)?;
    }
    drop(map);
    OURS.settles_at_nr(5)?;
    before.has_lost(3)
}

/// Nobody asks for a file that has the pool looked at.
pub fn a_page_goes_by_itself() -> Check {
    let _pool = Resized::ours(4)?;
    let map = Map::of_new_file(4)?;
    (0..4).for_each(|page| map.write(page * HUGE, 1));
    let used = inside(&map, 3)?;
    map.unmap(0, 3 * HUGE)?;
    memory::poison(used)?;
    access::catch()?;
    let touch = || Ok(map.try_write(3 * HUGE, 2));
    poll::until("a touch", touch, Result::is_err).map(drop)?;
    drop(map);
    OURS.settles_at_nr(3)?;

    let map = Map::of_new_file(3)?;
    (0..3).for_each(|page| map.write(page * HUGE, 1));
    let free = inside(&map, 2)?;
    drop(map);
    memory::poison(free)?;
    OURS.settles_at_nr(2)?;
    same!(OURS.free()?, 2, "free_hugepages");
    Ok(())
}

/// More than one in one look, and two base pages of one page.
pub fn several_free_pages() -> Check {
    beside(8, |side| {
        let broken = frames(side, 8, 3)?;
        broken.iter().try_for_each(|frame| memory::poison(*frame))?;
        if side.pool().is_ours() {
            memory::poison(broken[0] + 7)?;
            let before = OURS.poisoned()?;
            same!(OURS.poisoned()?, before, "poisoned_hugepages, read again");
        }
        side.counts("without the broken pages", (5, 5, 0, 0))?;
        are_others(side, 5, &broken)
    })
}

/// What is lost are the base pages that broke.
pub fn the_rest_of_a_page_is_given_back() -> Check {
    const PAGES: usize = 8;
    beside(PAGES as u64, |side| {
        let broken = frames(side, PAGES, PAGES - 1)?;
        let before = settled_free_kib()?;
        broken.iter().try_for_each(|frame| memory::poison(*frame))?;
        side.pool().set(0)?;
        side.counts("without pages", (0, 0, 0, 0))?;
        // Once this is read, no page is on its way any more.
        OURS.poisoned()?;
        let free = settled_free_kib()?;
        // It was a page each of all but one, and some memory is always on its way elsewhere.
        let least = before + (PAGES as u64 - 2) * (HUGE as u64 >> 10);
        check!(free >= least, "{free} kB free, {before} kB before");
        broken.iter().try_for_each(|frame| is_nobodys(*frame))
    })
}

pub fn a_page_that_is_given_back_at_once() -> Check {
    let _pool = Resized::ours(4)?;
    let before = OURS.poisoned()?;
    let map = Map::of_new_file(4)?;
    (0..4).for_each(|page| map.write(page * HUGE, 1));
    let frames = [inside(&map, 1)?, inside(&map, 2)?];
    drop(map);
    frames.iter().try_for_each(|frame| memory::poison(*frame))?;
    OURS.set(0)?;
    same!((OURS.nr()?, OURS.free()?), (0, 0), "nr and free");
    same!(OURS.poisoned()?, before + 2, "poisoned_hugepages");
    frames.into_iter().try_for_each(is_nobodys)
}

pub fn a_page_of_an_unloaded_module() -> Check {
    let _reloaded = Reloaded::after_test()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    load("hugepages_2M=2")?;
    let map = Map::of_new_file(2)?;
    map.write(0, 1);
    map.write(HUGE, 1);
    let frame = inside(&map, 1)?;
    drop(map);
    poll::until("users of the module", users, |count| *count == 0)?;
    let mut log = Log::from_now()?;
    memory::poison(frame)?;
    unload()?;
    let said = log.lines()?;
    let line = said.iter().filter(|line| line.contains("is broken"));
    same!(line.count(), 1, "lines of a broken page in {said:?}");
    load("hugepages_2M=2")?;
    same!(OURS.poisoned()?, 0, "poisoned_hugepages of a new module");
    is_nobodys(frame)?;
    Ok(())
}
