// SPDX-License-Identifier: GPL-2.0

//! mremap. The kernel takes a 1 GiB entry for a broken table: it logs "bad pud" and loses the page's
//! reference. So there must be none where it moves, whoever touches the page meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use guest::child::fork;
use guest::map::{Map, Request};
use guest::pool::OURS_1G;
use guest::{access, check, fail, same, Check, Errno, HUGE};

use crate::balance::{balanced, marked_in_one_entry, warm, Resident};
use crate::PAGE;

/// Moves of each kind.
const MOVES: usize = 2000;

/// Two places to be at.
fn places() -> Check<([Map; 2], [*mut u8; 2])> {
    let one = Request::of(OURS_1G, 1);
    let (first, second) = (Map::reserve_for(one)?, Map::reserve_for(one)?);
    Ok(([first.0, second.0], [first.1, second.1]))
}

fn moved(map: Map, to: *mut u8) -> Check<Map> {
    match map.move_to(to) {
        Ok(map) => {
            same!(map.base(), to, "the new address");
            Ok(map)
        }
        Err((_, errno)) => fail!("mremap to {to:?}: {errno}"),
    }
}

/// The word that [`Map::mark`] writes to that base page with stamp 1, and where.
fn mark(number: usize) -> (usize, u64) {
    (number * 4096 + number % 512 * 8, (1 << 32) | number as u64)
}

/// A base page for each number, all over the page.
fn scattered(number: usize) -> usize {
    number * 7919 % (PAGE / 4096)
}

pub fn to_and_fro() -> Check {
    balanced(1, || {
        warm()?;
        let resident = Resident::now()?;
        let mut map = Request::of(OURS_1G, 2)
            .unreserved()
            .map(&guest::device::open_of(OURS_1G)?)?;
        map.mark(0, 1);
        let (_ranges, places) = places()?;
        for beside in [4096, HUGE, PAGE - HUGE] {
            map = match map.move_to(places[0].wrapping_sub(PAGE).wrapping_add(beside)) {
                Ok(_) => fail!("mremap to {beside} bytes beside succeeded"),
                Err((map, errno)) => {
                    same!(errno, Errno(libc::EINVAL), "mremap {beside} bytes beside");
                    map
                }
            };
            marked_in_one_entry(&map, 0, 1)?;
        }
        for bytes in [HUGE, PAGE + HUGE, 2 * PAGE - 4096] {
            map = match map.resize(bytes) {
                Ok(_) => fail!("mremap to {bytes} bytes succeeded"),
                Err((map, errno)) => {
                    same!(errno, Errno(libc::EINVAL), "mremap to {bytes} bytes");
                    map
                }
            };
            marked_in_one_entry(&map, 0, 1)?;
        }
        map = match map.resize(3 * PAGE) {
            Ok(_) => fail!("mremap to three pages succeeded"),
            Err((map, errno)) => {
                same!(errno, Errno(libc::EFAULT), "mremap to three pages");
                map
            }
        };
        map = match map.resize(PAGE) {
            Ok(map) => map,
            Err((_, errno)) => fail!("mremap to one page: {errno}"),
        };
        for number in 0..MOVES {
            map = moved(map, places[number % 2])?;
            let (offset, word) = mark(scattered(number));
            same!(
                map.read(offset),
                word,
                "word at {offset} after {number} moves"
            );
        }
        resident.grew_by(PAGE)?;
        marked_in_one_entry(&map, 0, 1)?;
        same!(
            (OURS_1G.free()?, OURS_1G.pinned()?),
            (0, 0),
            "free and pinned"
        );
        drop(map);
        resident.grew_by(0)
    })
}

pub fn under_threads_that_touch() -> Check {
    const THREADS: usize = 2;
    access::catch_unmapped()?;
    balanced(1, || {
        let resident = Resident::now()?;
        let map = Map::of(OURS_1G, 1)?;
        map.mark(0, 1);
        let (_ranges, places) = places()?;
        let (done, at) = (
            AtomicBool::new(false),
            AtomicUsize::new(map.base() as usize),
        );
        let touches = [const { AtomicUsize::new(0) }; THREADS];
        let (map, wrong) = thread::scope(|scope| {
            let threads = touches.each_ref().map(|touches| {
                let (done, at) = (&done, &at);
                scope.spawn(move || touch_until(done, at, touches))
            });
            let result: Check<Map> = (0..MOVES).try_fold(map, |map, number| {
                let map = moved(map, places[number % 2])?;
                at.store(map.base() as usize, Relaxed);
                // There is an entry each time, to be moved or lost.
                map.read(mark(scattered(number)).0);
                Ok(map)
            });
            done.store(true, Relaxed);
            let wrong = threads.map(|thread| thread.join());
            result.map(|map| (map, wrong))
        })?;
        for wrong in wrong {
            same!(wrong.ok(), Some(None), "words that were wrong");
        }
        for touches in touches {
            let touches = touches.into_inner();
            check!(
                touches > MOVES / 10,
                "a thread touched {touches} times only"
            );
        }
        // Perhaps in base pages by now (DEVIATIONS.md).
        map.marked(0, 1)?;
        resident.grew_by(PAGE)?;
        same!(
            (OURS_1G.free()?, OURS_1G.pinned()?),
            (0, 0),
            "free and pinned"
        );
        drop(map);
        resident.grew_by(0)
    })
}

/// Reads all over the page, wherever it is. The first word that is not as marked.
fn touch_until(done: &AtomicBool, at: &AtomicUsize, touches: &AtomicUsize) -> Option<(usize, u64)> {
    for number in 0.. {
        if done.load(Relaxed) {
            break;
        }
        let (offset, want) = mark(scattered(number));
        let address = std::ptr::with_exposed_provenance::<u64>(at.load(Relaxed) + offset);
        // SAFETY: It is aligned; a mapping that has just moved on is a SIGSEGV, which is caught.
        if let Ok(word) = unsafe { access::load(address) } {
            if word != want {
                return Some((offset, word));
            }
            touches.fetch_add(1, Relaxed);
        }
    }
    None
}

pub fn under_a_process_that_touches() -> Check {
    balanced(1, || {
        let map = Map::of(OURS_1G, 1)?;
        map.mark(0, 1);
        let child = fork(|link| {
            let mut number = 0;
            while number < 100 || !link.has_message()? {
                let (offset, word) = mark(scattered(number));
                same!(map.read(offset), word, "word at {offset}");
                if number == 0 {
                    link.send(1)?;
                }
                number += 1;
            }
            map.marked(0, 1)
        })?;
        child.link.number()?;
        let resident = Resident::now()?;
        let (_ranges, places) = places()?;
        let map = (0..MOVES / 4).try_fold(map, |map, number| {
            let map = moved(map, places[number % 2])?;
            map.read(mark(scattered(number)).0);
            Ok::<_, guest::Fail>(map)
        })?;
        resident.grew_by(0)?;
        child.link.send(1)?;
        child.finish()?;
        map.marked(0, 1)
    })
}
