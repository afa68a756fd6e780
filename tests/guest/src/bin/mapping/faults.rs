// SPDX-License-Identifier: GPL-2.0

//! The first touch: zeroes, never another's data, and SIGBUS where the pool ends.

use std::sync::Barrier;
use std::thread;

use guest::bus::{touch_all, Touch, Touched};
use guest::child::in_child;
use guest::device::open;
use guest::map::{Map, Request, READ, WRITE};
use guest::pool::{Resized, OURS};
use guest::{check, refused, same, smaps, Check, HUGE};

/// si_code of a SIGBUS for an address with nothing behind it.
const BUS_ADRERR: i32 = 2;

pub fn new_pages_are_zero() -> Check {
    let _pool = Resized::ours(4)?;
    let map = Map::of_new_file(4)?;
    same!(OURS.free()?, 4, "free_hugepages before the first touch");
    for page in 0..4 {
        // Pages 0 and 1 are read first, 2 and 3 written first.
        if page > 1 {
            map.write(page * HUGE + 4096, 0);
        }
        map.holds(page, 0)?;
        same!(
            OURS.free()?,
            3 - page as u64,
            "free_hugepages after {page} and one more"
        );
    }
    Ok(())
}

pub fn no_stale_data_after_another_process() -> Check {
    const PAGES: usize = 3;
    let _pool = Resized::ours(PAGES as u64)?;
    for round in 0..4 {
        in_child(|| {
            let map = Map::of_new_file(PAGES)?;
            for page in 0..PAGES {
                // Half the rounds touch first with the write that dirties.
                if round % 2 == 0 {
                    map.holds(page, 0)?;
                }
                map.fill(page, 0xdead_0000 + round);
                map.holds(page, 0xdead_0000 + round)?;
            }
            Ok(())
        })?;
        OURS.settles_at_free(PAGES as u64)?;
    }
    // This process's turn: all pages of the pool, with what the child left.
    let map = Map::of_new_file(PAGES)?;
    for page in 0..PAGES {
        map.holds(page, 0)?;
    }
    Ok(())
}

fn past_the_pool(touch: Touch) -> Check {
    let _pool = Resized::ours(3)?;
    let map = Map::of_new_file_unreserved(5)?;
    same!(
        touch_all(&map, touch)?,
        Touched {
            pages: 3,
            bus: Some((3, BUS_ADRERR))
        },
        "pages touched, and the first too many"
    );
    same!(OURS.free()?, 0, "free_hugepages");
    // The pages before it are there as ever, in this process too.
    for page in 0..3 {
        let first = match touch {
            Touch::Read => 0,
            Touch::Write => page as u64 + 1,
        };
        same!(map.read(page * HUGE), first, "first word of page {page}");
        same!(
            map.read((page + 1) * HUGE - 8),
            0,
            "last word of page {page}"
        );
    }
    // And the page too many is there as soon as the pool has one.
    OURS.set(4)?;
    same!(
        touch_all(&map, touch)?,
        Touched {
            pages: 4,
            bus: Some((4, BUS_ADRERR))
        },
        "pages touched with one page more"
    );
    drop(map);
    OURS.settles_at_free(4)
}

pub fn writes_past_the_pool_are_sigbus() -> Check {
    past_the_pool(Touch::Write)
}

pub fn reads_past_the_pool_are_sigbus() -> Check {
    past_the_pool(Touch::Read)
}

pub fn populate_past_the_pool_is_an_error() -> Check {
    let _pool = Resized::ours(3)?;
    let map = Map::of_new_file(3)?;
    map.advise(libc::MADV_POPULATE_WRITE)?;
    same!(OURS.free()?, 0, "free_hugepages after populating 3 pages");
    smaps::all_huge(map.base(), 3)?;
    drop(map);
    OURS.settles_at_free(3)?;
    for advice in [libc::MADV_POPULATE_WRITE, libc::MADV_POPULATE_READ] {
        let map = Map::of_new_file_unreserved(4)?;
        refused!(map.advise(advice), libc::EFAULT, "populating 4 pages of 3");
        drop(map);
        OURS.settles_at_free(3)?;
    }
    Ok(())
}

pub fn protection_can_be_raised() -> Check {
    let _pool = Resized::ours(2)?;
    let file = open()?;
    let read_only = Request {
        protection: READ,
        ..Request::pages(2)
    };
    // Only a writable mapping makes the file grow.
    drop(Request::pages(2).map(&file)?);
    let map = read_only.map(&file)?;
    // One page is there before, one comes after.
    same!(map.read(0), 0, "the first word");
    map.protect(0, 2 * HUGE, READ | WRITE)?;
    for page in 0..2 {
        map.write(page * HUGE, 7);
        same!(map.read(page * HUGE), 7, "page {page} after a write");
    }
    same!(OURS.free()?, 0, "free_hugepages");
    smaps::all_huge(map.base(), 2)?;
    // Down again: the write is refused, the content stays.
    map.protect(0, 2 * HUGE, READ)?;
    same!(map.read(HUGE), 7, "page 1 after lowering");
    Ok(())
}

pub fn read_only_mappings_do_not_grow_the_file() -> Check {
    let _pool = Resized::ours(2)?;
    let file = open()?;
    let read_only = Request {
        protection: READ,
        ..Request::pages(2)
    };
    let past_the_end = |page| Touched {
        pages: page,
        bus: Some((page, BUS_ADRERR)),
    };
    let map = read_only.map(&file)?;
    same!(
        touch_all(&map, Touch::Read)?,
        past_the_end(0),
        "pages of an empty file"
    );
    drop(Request::pages(1).map(&file)?);
    same!(
        touch_all(&map, Touch::Read)?,
        past_the_end(1),
        "pages of a file of one page"
    );
    map.protect(0, 2 * HUGE, READ | WRITE)?;
    same!(
        touch_all(&map, Touch::Write)?,
        past_the_end(1),
        "pages after mprotect"
    );
    drop(Request::pages(2).map(&file)?);
    same!(
        touch_all(&map, Touch::Write)?,
        Touched {
            pages: 2,
            bus: None
        },
        "pages of a file of two pages"
    );
    Ok(())
}

/// Threads that touch at the same time, and rounds of it: a race needs its chances.
const THREADS: usize = 2;
const ROUNDS: usize = 40;

pub fn threads_touch_the_same_pages() -> Check {
    const PAGES: usize = 4;
    let _pool = Resized::ours(PAGES as u64 + 2)?;
    for round in 0..ROUNDS {
        let map = Map::of_new_file(PAGES)?;
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for id in 0..THREADS {
                let (map, barrier) = (&map, &barrier);
                scope.spawn(move || {
                    for page in 0..PAGES {
                        barrier.wait();
                        map.write(page * HUGE + id * 8, 1 + id as u64);
                    }
                });
            }
        });
        // A page that one thread got and the other did not see would lack a word.
        for page in 0..PAGES {
            for id in 0..THREADS {
                let word = map.read(page * HUGE + id * 8);
                same!(
                    word,
                    1 + id as u64,
                    "round {round}, page {page}, thread {id}"
                );
            }
        }
        same!(OURS.free()?, 2, "free_hugepages in round {round}");
        drop(map);
        OURS.settles_at_free(PAGES as u64 + 2)?;
    }
    Ok(())
}

pub fn threads_touch_different_pages() -> Check {
    const PAGES: usize = 8;
    let _pool = Resized::ours(PAGES as u64)?;
    for round in 0..ROUNDS {
        let map = Map::of_new_file(PAGES)?;
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for id in 0..THREADS {
                let (map, barrier) = (&map, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for page in (id..PAGES).step_by(THREADS) {
                        map.write(page * HUGE, 1 + page as u64);
                    }
                });
            }
        });
        for page in 0..PAGES {
            same!(
                map.read(page * HUGE),
                1 + page as u64,
                "round {round}, page {page}"
            );
        }
        same!(OURS.free()?, 0, "free_hugepages in round {round}");
        let again = OURS.counts()?;
        check!(again.surplus == 0, "surplus in round {round}: {again:?}");
        drop(map);
        OURS.settles_at_free(PAGES as u64)?;
    }
    Ok(())
}
