// SPDX-License-Identifier: GPL-2.0

//! A page breaks that somebody uses: a touch of it is a SIGBUS that says why, and all else goes on. When
//! its users are gone it leaves its pool, and what is not broken of it goes back to the kernel.
//!
//! Poison cannot be undone, and a range with a broken base page is no 1 GiB page again: each test costs
//! one of the few that the guest has, so these are few, and come last. That is why hugetlb is not asked,
//! either: such a page of its own stays in its pool ever after. `poison used::hugetlb_says_the_same` asks
//! it for 2 MiB, where there are enough.

use guest::access;
use guest::broken::{all_but_one, is_nobodys, poison, Counted, AR};
use guest::child::fork;
use guest::device::open_of;
use guest::file::Huge;
use guest::former::{all_unmarked, exits, mark_all};
use guest::map::{Map, Request};
use guest::memory::{self, settled_free_kib, BASE_PAGE};
use guest::pipe::Pipe;
use guest::pool::{Resized, OURS, OURS_1G};
use guest::scrub::Share;
use guest::{check, poll, refused, same, Check, HUGE};

use crate::base::frame_of;
use crate::PAGE;

/// The base page of those of a page that breaks.
const INSIDE: u64 = 3;

/// Words of a page, in base pages that are whole.
const OFFSETS: [usize; 3] = [0, PAGE / 2, PAGE - 8];

/// Runs `act` with `pages` free pages, of which it breaks one and is done with it: the frame that broke.
fn loses_one(pages: u64, act: impl FnOnce() -> Check<u64>) -> Check {
    let _pool = Resized::ours_1g(pages)?;
    let before = Counted::of(OURS_1G)?;
    let free = settled_free_kib()?;
    let frame = act()?;
    OURS_1G.settles_at_nr(pages - 1)?;
    same!(
        (OURS_1G.free()?, OURS_1G.resv()?, OURS_1G.pinned()?),
        (pages - 1, 0, 0),
        "free, resv and pinned in the end"
    );
    before.has_lost(1)?;
    // All but what somebody may have taken since.
    let back = settled_free_kib()?.saturating_sub(free);
    check!(back > 1000 << 10, "{back} kB came back of the broken page");
    is_nobodys(frame)
}

/// Fails unless words of the page are there for nobody, whole base pages or not.
fn is_broken(map: &Map) -> Check {
    for offset in OFFSETS
        .into_iter()
        .chain([(INSIDE * BASE_PAGE) as usize, PAGE / 4])
    {
        same!(
            (map.try_read(offset), map.try_write(offset, 8)),
            (Err(AR), Err(AR)),
            "reading and writing {offset:#x}"
        );
    }
    Ok(())
}

pub fn a_touch_is_a_sigbus() -> Check {
    /// The page of two that breaks.
    const BROKEN: usize = 1;
    loses_one(2, || {
        access::catch()?;
        let file = open_of(OURS_1G)?;
        let two = Request::of(OURS_1G, 2);
        let (map, other) = (two.map(&file)?, two.map(&file)?);
        let touch = |map: &Map| (0..2).for_each(|page| map.write(page * PAGE, 9));
        let frame = {
            touch(&map);
            frame_of(&file, BROKEN)? + INSIDE
        };
        let child = fork(|link| {
            touch(&map);
            link.send(1)?;
            link.number()?;
            all_but_one(&map, BROKEN, 7, "words of another process")
        })?;
        child.link.number()?;
        // All have their entries now.
        touch(&other);
        touch(&map);
        poison(OURS_1G, frame)?;
        all_but_one(&map, BROKEN, 9, "words")?;
        all_but_one(&map, BROKEN, 7, "words, again")?;
        all_but_one(&other, BROKEN, 7, "words of another mapping")?;
        let last = Request {
            offset: (BROKEN * PAGE) as i64,
            ..Request::of(OURS_1G, 1).unreserved()
        };
        is_broken(&last.map(&file)?)?;
        child.link.send(1)?;
        child.finish()?;
        Ok(frame)
    })
}

/// What is there then is another page, and nothing of its last owner.
pub fn in_base_pages_until_a_hole_takes_it_away() -> Check {
    loses_one(2, || {
        access::catch()?;
        let _share = Share::of(OURS_1G, 0)?;
        exits(OURS_1G, Request::of(OURS_1G, 2))?;
        OURS_1G.settles_at_free(2)?;
        let file = Huge::new(OURS_1G)?;
        let one = Request::of(OURS_1G, 1);
        let map = file.map(one)?;
        map.advise(libc::MADV_NOHUGEPAGE)?;
        OFFSETS.iter().for_each(|offset| map.write(*offset, 9));
        let first = memory::frame_of(map.base())?;
        poison(OURS_1G, first + INSIDE)?;
        is_broken(&map)?;
        file.punch(0, PAGE as u64)?;
        for offset in OFFSETS {
            same!(
                map.try_read(offset),
                Ok(0),
                "word at {offset:#x} of the hole"
            );
        }
        check!(memory::frame_of(map.base())? != first, "the same page");
        all_unmarked(&file.map(one)?)?;
        Ok(first + INSIDE)
    })
}

/// It is nobody's but a pipe's when it breaks, which has its content still.
pub fn a_pinned_page_leaves_when_it_is_unpinned() -> Check {
    const PART: usize = 4096;
    loses_one(1, || {
        let before = OURS_1G.poisoned()?;
        let file = open_of(OURS_1G)?;
        let map = Request::of(OURS_1G, 1).map(&file)?;
        map.fill_part(PAGE - PART, PART, 9);
        let frame = frame_of(&file, 0)? + INSIDE;
        let mut pipe = Pipe::new()?;
        pipe.splice(&map, PAGE - PART, PART)?;
        drop((map, file));
        poll::until("pinned_hugepages", || OURS_1G.pinned(), |count| *count == 1)?;
        poison(OURS_1G, frame)?;
        same!(
            (OURS_1G.nr()?, OURS_1G.free()?, OURS_1G.poisoned()?),
            (1, 0, before),
            "nr, free and poisoned while it is pinned"
        );
        pipe.drain(PART, 9)?;
        let one = Request::of(OURS_1G, 1).map(&open_of(OURS_1G)?);
        refused!(one, libc::ENOMEM, "mapping as many as there were");
        Ok(frame)
    })
}

/// It was not cleared before it left.
pub fn the_rest_shows_nothing_of_its_last_owner() -> Check {
    loses_one(1, || {
        let _share = Share::of(OURS_1G, 0)?;
        let file = open_of(OURS_1G)?;
        let map = Request::of(OURS_1G, 1).map(&file)?;
        mark_all(&map);
        let first = frame_of(&file, 0)?;
        drop((map, file));
        OURS_1G.settles_at_free(1)?;
        poison(OURS_1G, first + INSIDE)?;
        OURS_1G.settles_at_nr(0)?;
        small_pages_of(first)?;
        Ok(first + INSIDE)
    })
}

/// Has the kernel give 2 MiB pages until half of the 1 GiB from that frame on is among them, and fails
/// unless that is zero.
fn small_pages_of(first: u64) -> Check {
    const ENOUGH: usize = PAGE / HUGE / 2;
    let frames = first..first + PAGE as u64 / BASE_PAGE;
    let _pool = Resized::ours(0)?;
    for pages in (ENOUGH..).step_by(ENOUGH) {
        OURS.reach(pages as u64)?;
        let map = Map::of(OURS, pages)?;
        let mut seen = 0;
        for page in 0..pages {
            map.read(page * HUGE);
            if frames.contains(&memory::frame_of(map.at(page * HUGE))?) {
                map.unmarked(page)?;
                seen += 1;
            }
        }
        if seen >= ENOUGH {
            break;
        }
    }
    Ok(())
}
