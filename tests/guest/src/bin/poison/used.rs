// SPDX-License-Identifier: GPL-2.0

//! A page breaks that somebody uses: a touch of it is a SIGBUS that says why; all else goes on.
//!
//! hugetlb comes last, and once: its pool has such a page in use ever after.

use std::fs::File;

use guest::access;
use guest::broken::{all_but_one, poison, AR};
use guest::child::fork;
use guest::file::Huge;
use guest::kind::Kind;
use guest::map::Map;
use guest::pipe::Pipe;
use guest::pool::{Pool, Resized, HUGETLB, OURS};
use guest::{check, device, poll, refused, same, word, Check, Errno, Fail, HUGE};

use crate::inside;

const PAGES: usize = 3;

/// The page of those that breaks.
const BROKEN: usize = 1;

/// Both kinds of mapping with pages of the module; each time one page less comes back.
fn both(act: impl Fn(Pool, Kind) -> Check) -> Check {
    for kind in Kind::BOTH {
        let _pool = Resized::ours(4)?;
        let before = OURS.poisoned()?;
        act(OURS, kind).map_err(|Fail(why)| Fail(format!("{kind:?}: {why}")))?;
        OURS.settles_at_nr(3)?;
        same!(
            (OURS.free()?, OURS.resv()?, OURS.poisoned()?),
            (3, 0, before + 1),
            "free, resv and poisoned in the end, {kind:?}"
        );
    }
    Ok(())
}

fn stamped(pool: Pool, kind: Kind) -> Check<(File, Map)> {
    let file = device::open_of(pool)?;
    let map = kind.pages(PAGES).map(&file)?;
    (0..PAGES).for_each(|page| map.fill(page, 9));
    Ok((file, map))
}

pub fn a_touch_is_a_sigbus() -> Check {
    both(touched)
}

fn touched(pool: Pool, kind: Kind) -> Check {
    access::catch()?;
    let (file, map) = stamped(pool, kind)?;
    let other = kind.pages(PAGES).unreserved().map(&file)?;
    if kind == Kind::Shared {
        other.read(BROKEN * HUGE);
    }
    poison(pool, inside(&map, BROKEN)?)?;
    all_but_one(&map, BROKEN, 9, "words")?;
    all_but_one(&map, BROKEN, 7, "words, again")?;
    if kind == Kind::Shared {
        all_but_one(&other, BROKEN, 7, "words of another mapping")?;
    }
    Ok(())
}

/// The child of who has a broken page has a broken page.
pub fn where_somebody_forks() -> Check {
    both(forked)
}

fn forked(pool: Pool, kind: Kind) -> Check {
    access::catch()?;
    let (_file, map) = stamped(pool, kind)?;
    let frame = inside(&map, BROKEN)?;
    let look = |when: &str| -> Check {
        same!(
            map.try_write(BROKEN * HUGE, 8),
            Err(AR),
            "writes, forked {when}"
        );
        same!(map.try_read(BROKEN * HUGE), Err(AR), "reads, forked {when}");
        same!(map.try_read(0), Ok(9), "reads another page, forked {when}");
        Ok(())
    };
    let before = fork(|link| {
        link.receive()?;
        look("before")
    })?;
    poison(pool, frame)?;
    before.link.send(1)?;
    before.finish()?;
    fork(|_| look("after"))?.finish()
}

/// The kernel does not use it for somebody, either.
pub fn what_else_is_refused() -> Check {
    both(unreachable)
}

fn unreachable(pool: Pool, kind: Kind) -> Check {
    const EFAULT: Errno = Errno(libc::EFAULT);
    let (_file, map) = stamped(pool, kind)?;
    poison(pool, inside(&map, BROKEN)?)?;
    let pipe = Pipe::new()?;
    let spliced = pipe.splice(&map, BROKEN * HUGE, 4096);
    let Err(Fail(why)) = spliced else {
        guest::fail!("a broken page was spliced");
    };
    check!(why.contains("os error 14"), "splice: {why}, not EFAULT");
    same!(
        word::load(&map, BROKEN * HUGE),
        Err(EFAULT),
        "write(2) from it"
    );
    same!(
        word::store(&map, BROKEN * HUGE, 1),
        Err(EFAULT),
        "read(2) into it"
    );
    same!(word::load(&map, 0), Ok(9), "write(2) from another");
    Ok(())
}

/// What is there then is a new page.
pub fn a_hole_takes_it_away() -> Check {
    both(|pool, kind| {
        access::catch()?;
        let file = Huge::new(pool)?;
        let map = file.map(kind.pages(PAGES))?;
        (0..PAGES).for_each(|page| map.fill(page, 9));
        poison(pool, inside(&map, BROKEN)?)?;
        let whole = HUGE as u64;
        file.punch(BROKEN as u64 * whole, whole)?;
        same!(map.try_read(BROKEN * HUGE), Ok(0), "a word in the hole");
        map.holds(BROKEN, 0)?;
        map.holds(0, 9)
    })
}

pub fn a_pinned_page_leaves_when_it_is_unpinned() -> Check {
    both(|pool, kind| {
        let before = pool.poisoned()?;
        let map = kind.pages(1).map(&device::open()?)?;
        map.fill(0, 9);
        let frame = inside(&map, 0)?;
        let mut pipe = Pipe::new()?;
        pipe.splice(&map, HUGE - 4096, 4096)?;
        drop(map);
        poll::until("pinned_hugepages", || OURS.pinned(), |count| *count == 1)?;
        poison(pool, frame)?;
        same!(
            (pool.nr()?, pool.free()?, pool.poisoned()?),
            (4, 3, before),
            "nr, free and poisoned while it is pinned"
        );
        pipe.drain(4096, 9)?;
        let all = kind.pages(4).map(&device::open()?);
        refused!(all, libc::ENOMEM, "mapping as many as there were");
        Ok(())
    })
}

/// One that breaks while it is pinned and mapped.
pub fn a_pinned_page_of_a_mapping() -> Check {
    both(|pool, kind| {
        access::catch()?;
        let (_file, map) = stamped(pool, kind)?;
        let mut pipe = Pipe::new()?;
        pipe.splice(&map, BROKEN * HUGE + HUGE - 4096, 4096)?;
        poison(pool, inside(&map, BROKEN)?)?;
        all_but_one(&map, BROKEN, 9, "words")?;
        drop((_file, map));
        poll::until("pinned_hugepages", || OURS.pinned(), |count| *count == 1)?;
        pipe.drain(4096, 9)
    })
}

pub fn hugetlb_says_the_same() -> Check {
    for kind in Kind::BOTH {
        for act in [touched, forked, unreachable] {
            HUGETLB.set(HUGETLB.nr()? - HUGETLB.free()? + PAGES as u64)?;
            act(HUGETLB, kind).map_err(|Fail(why)| Fail(format!("{kind:?}: {why}")))?;
        }
    }
    HUGETLB.set(0)
}
