// SPDX-License-Identifier: GPL-2.0

//! Pages that nobody maps and a pipe still holds: in use until it is drained, and nobody else's.

use guest::bus::{touch_all, Touch};
use guest::child::in_child;
use guest::map::{Map, Request};
use guest::pipe::Pipe;
use guest::pool::{Resized, OURS};
use guest::{check, device, memory, poll, refused, same, Check, HUGE};

const POOL: u64 = 4;

/// What the pinned page holds, and what others write over every page they get.
const PINNED: u64 = 0x1111_2222_3333_4444;
const OTHER: u64 = 0x5555_6666_7777_8888;

/// One base page; a huge page is pinned by two, so that the pin can be given back in parts.
const PART: usize = 4096;

/// Maps a page of a new file, stamps it and puts two parts of it into the pipe.
fn splice_page(pipe: &Pipe) -> Check<Map> {
    let map = Map::of_new_file(1)?;
    map.fill(0, PINNED);
    pipe.splice(&map, HUGE - 2 * PART, 2 * PART)?;
    Ok(map)
}

/// Waits until so many pages are pinned, and fails unless so many are free then.
fn settles(pinned: u64, free: u64) -> Check {
    poll::until(
        "pinned_hugepages and free_hugepages",
        || Ok((OURS.pinned()?, OURS.free()?)),
        |seen| *seen == (pinned, free),
    )
    .map(drop)
}

/// Uses all pages that the pool gives: `count`, each of them new. They end up stamped.
fn others_get(count: usize) -> Check<Map> {
    let map = Map::of_new_file_unreserved(POOL as usize)?;
    let touched = touch_all(&map, Touch::Read)?;
    let end = touched.bus.map(|(page, _)| page);
    let past = (count < POOL as usize).then_some(count);
    same!(
        (touched.pages, end),
        (count, past),
        "pages that others get, and the first too many"
    );
    for page in 0..count {
        map.holds(page, 0)?;
        map.fill(page, OTHER);
    }
    Ok(map)
}

/// With one page of the pool pinned by `pipe`: nobody gets it, until it is drained.
fn is_not_handed_out(mut pipe: Pipe) -> Check {
    settles(1, POOL - 1)?;
    same!(OURS.nr()?, POOL, "nr_hugepages, the pinned page included");
    // Nor promised to anybody.
    let all = Request::pages(POOL as usize);
    refused!(
        all.map(&device::open()?),
        libc::ENOMEM,
        "reserving {POOL} pages with one pinned"
    );
    // More than once: the pages come back in another order than they went.
    for _ in 0..3 {
        let map = others_get(POOL as usize - 1)?;
        same!(
            (OURS.pinned()?, OURS.free()?),
            (1, 0),
            "pinned_hugepages and free_hugepages"
        );
        drop(map);
        OURS.settles_at_free(POOL - 1)?;
    }
    // Half a pin is a pin.
    pipe.drain(PART, PINNED)?;
    drop(others_get(POOL as usize - 1)?);
    settles(1, POOL - 1)?;
    pipe.drain(PART, PINNED)?;
    // The page is there for the next who needs it, with no counter read in between.
    let map = others_get(POOL as usize)?;
    same!(
        (OURS.pinned()?, OURS.free()?),
        (0, 0),
        "pinned_hugepages and free_hugepages"
    );
    drop(map);
    settles(0, POOL)?;
    same!(OURS.nr()?, POOL, "nr_hugepages in the end");
    all.map(&device::open()?)?;
    Ok(())
}

pub fn pinned_page_is_not_handed_out() -> Check {
    let _pool = Resized::ours(POOL)?;
    let pipe = Pipe::new()?;
    in_child(|| {
        // The child's end unmaps and closes.
        std::mem::forget(splice_page(&pipe)?);
        Ok(())
    })?;
    is_not_handed_out(pipe)
}

pub fn pinned_page_of_a_living_process_is_not_handed_out() -> Check {
    let _pool = Resized::ours(POOL)?;
    let pipe = Pipe::new()?;
    drop(splice_page(&pipe)?);
    is_not_handed_out(pipe)
}

pub fn every_page_pinned_leaves_none() -> Check {
    let _pool = Resized::ours(POOL)?;
    let mut pipes = Vec::new();
    for _ in 0..POOL {
        let pipe = Pipe::new()?;
        drop(splice_page(&pipe)?);
        pipes.push(pipe);
    }
    settles(POOL, 0)?;
    drop(others_get(0)?);
    for pipe in &mut pipes {
        pipe.drain(2 * PART, PINNED)?;
    }
    settles(0, POOL)?;
    drop(others_get(POOL as usize)?);
    OURS.settles_at_free(POOL)
}

pub fn mapped_pages_do_not_count_as_pinned() -> Check {
    let _pool = Resized::ours(POOL)?;
    let mut pipe = Pipe::new()?;
    let map = splice_page(&pipe)?;
    same!(
        (OURS.pinned()?, OURS.free()?),
        (0, POOL - 1),
        "pinned and free while mapped"
    );
    pipe.drain(2 * PART, PINNED)?;
    same!(
        (OURS.pinned()?, OURS.free()?),
        (0, POOL - 1),
        "pinned and free after the drain"
    );
    map.holds(0, PINNED)
}

pub fn shrink_leaves_a_pinned_page_in_use() -> Check {
    let _pool = Resized::ours(POOL)?;
    let mut pipe = Pipe::new()?;
    drop(splice_page(&pipe)?);
    settles(1, POOL - 1)?;
    let seen = || Ok::<_, guest::Fail>((OURS.nr()?, OURS.free()?, OURS.surplus()?, OURS.pinned()?));
    OURS.set(0)?;
    same!(
        seen()?,
        (1, 0, 1, 1),
        "nr, free, surplus, pinned after shrinking to 0"
    );
    // Growing makes it one of the pool's again, and shrinking a surplus page.
    OURS.set(3)?;
    same!(
        seen()?,
        (3, 2, 0, 1),
        "nr, free, surplus, pinned after growing to 3"
    );
    OURS.set(0)?;
    same!(
        seen()?,
        (1, 0, 1, 1),
        "nr, free, surplus, pinned after shrinking to 0"
    );
    pipe.drain(2 * PART, PINNED)?;
    OURS.settles_at_nr(0)?;
    same!(
        seen()?,
        (0, 0, 0, 0),
        "nr, free, surplus, pinned after the drain"
    );
    Ok(())
}

pub fn surplus_page_goes_back_when_its_pin_does() -> Check {
    let _pool = Resized::ours(1)?;
    let mut pipe = Pipe::new()?;
    let map = splice_page(&pipe)?;
    let frame = memory::frame_of(map.base())?;
    drop(map);
    settles(1, 0)?;
    OURS.set(0)?;
    check!(
        memory::is_compound(frame)?,
        "the pinned page was taken apart"
    );
    pipe.drain(2 * PART, PINNED)?;
    // No file of the module is read here, and none of its pages wanted: it looks by itself.
    let is_compound = || memory::is_compound(frame);
    poll::until("whether the page is still one", is_compound, |is| !is)?;
    same!((OURS.nr()?, OURS.pinned()?), (0, 0), "nr and pinned");
    Ok(())
}

pub fn shrink_leaves_mapped_pages_in_use() -> Check {
    let _pool = Resized::ours(POOL)?;
    let map = Map::of_new_file(2)?;
    map.fill(0, PINNED);
    map.fill(1, OTHER);
    OURS.set(0)?;
    let seen = || Ok::<_, guest::Fail>((OURS.nr()?, OURS.free()?, OURS.surplus()?, OURS.pinned()?));
    same!(
        seen()?,
        (2, 0, 2, 0),
        "nr, free, surplus, pinned after shrinking to 0"
    );
    map.holds(0, PINNED)?;
    map.holds(1, OTHER)?;
    drop(map);
    OURS.settles_at_nr(0)?;
    same!(
        seen()?,
        (0, 0, 0, 0),
        "nr, free, surplus, pinned after unmapping"
    );
    Ok(())
}
