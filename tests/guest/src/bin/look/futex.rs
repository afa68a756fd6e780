// SPDX-License-Identifier: GPL-2.0

//! Futexes inside huge pages: between processes, between mappings, between threads.

use std::ptr;
use std::thread;

use guest::child::fork;
use guest::kind::{beside_both, stamped, Kind};
use guest::map::{Map, Request, READ};
use guest::{call, poll, same, Check, Errno, HUGE};

const PRIVATE: libc::c_int = libc::FUTEX_PRIVATE_FLAG;

/// Words in the first and in the second page: ends of both, and of base pages.
const PLACES: [usize; 6] = [0, 4, 4096 + 64, HUGE - 4, HUGE, 2 * HUGE - 4];

fn address(map: &Map, place: usize) -> *mut u32 {
    map.at(place).cast()
}

/// Waits at `place` until it is woken.
fn wait(map: &Map, place: usize, flag: libc::c_int) -> Result<i64, Errno> {
    let no_timeout = ptr::null::<libc::timespec>();
    let operation = libc::FUTEX_WAIT | flag;
    // SAFETY: The words lie in the mapping.
    let expected = unsafe { address(map, place).read_volatile() };
    // SAFETY: As above.
    call(unsafe {
        libc::syscall(
            libc::SYS_futex,
            address(map, place),
            operation,
            expected,
            no_timeout,
        )
    })
}

/// Wakes one that waits at `place`: how many there were.
fn wake(map: &Map, place: usize, flag: libc::c_int) -> Result<i64, Errno> {
    let operation = libc::FUTEX_WAKE | flag;
    // SAFETY: The words lie in the mapping.
    call(unsafe { libc::syscall(libc::SYS_futex, address(map, place), operation, 1) })
}

/// How many wait at `place`, at most one: it is put from there to there.
fn waiters(map: &Map, place: usize, flag: libc::c_int) -> Result<i64, Errno> {
    let operation = libc::FUTEX_REQUEUE | flag;
    let word = address(map, place);
    // SAFETY: The words lie in the mapping; none are woken, and one may be moved.
    call(unsafe { libc::syscall(libc::SYS_futex, word, operation, 0, 1_usize, word) })
}

fn until_one_waits(map: &Map, place: usize, flag: libc::c_int) -> Check {
    poll::until(
        "waiters",
        || Ok(waiters(map, place, flag)?),
        |one| *one == 1,
    )
    .map(drop)
}

/// Whose place a waiter is found at.
fn wake_all_places(sleeps: &Map, wakes: &Map, flag: libc::c_int) -> Check {
    for place in PLACES {
        thread::scope(|scope| {
            let sleeper = scope.spawn(move || wait(sleeps, place, flag));
            let woken = poll::until(
                "woken",
                || Ok(wake(wakes, place, flag)?),
                |woken| *woken == 1,
            );
            if woken.is_err() {
                // Not to wait for it for ever.
                let _ = wake(sleeps, place, flag);
            }
            same!(sleeper.join().ok(), Some(Ok(0)), "FUTEX_WAIT at {place}");
            woken.map(drop)
        })?;
    }
    Ok(())
}

pub fn between_threads() -> Check {
    beside_both(4, |side, kind| {
        for flag in [0, PRIVATE] {
            let (_file, map) = stamped(side, kind, 2)?;
            wake_all_places(&map, &map, flag)?;
            // And of a page that is touched first by the call.
            let fresh = kind.pages(2).map(&side.open()?)?;
            side.note("nobody waits", wake(&fresh, 0, flag));
            side.note_counts(format_args!("flag {flag}, woken"))?;
            wake_all_places(&fresh, &fresh, flag)?;
            side.note_counts(format_args!("flag {flag}"))?;
        }
        Ok(())
    })
}

/// Two mappings of one file in one process are the same place, if they are shared and the call says
/// so.
pub fn between_mappings() -> Check {
    beside_both(6, |side, kind| {
        let (file, one) = stamped(side, Kind::Shared, 2)?;
        let other = Request::pages(2).map(&file)?;
        wake_all_places(&one, &other, 0)?;
        side.note("at two addresses", wake(&other, 0, PRIVATE));
        let third = kind.pages(2).map(&file)?;
        third.write(8, 1);
        if kind == Kind::Shared {
            wake_all_places(&one, &third, 0)?;
            // At an offset.
            let request = Request {
                offset: HUGE as i64,
                ..Request::pages(1)
            };
            let second_page = request.map(&file)?;
            thread::scope(|scope| {
                let one = &one;
                let sleeper = scope.spawn(move || wait(one, HUGE + 64, 0));
                until_one_waits(one, HUGE + 64, 0)?;
                side.note("elsewhere", wake(&second_page, 68, 0));
                side.note("by offset", wake(&second_page, 64, 0));
                same!(sleeper.join().ok(), Some(Ok(0)), "FUTEX_WAIT");
                Ok::<_, guest::Fail>(())
            })?;
        }
        side.note_counts("woken")
    })
}

pub fn between_processes() -> Check {
    beside_both(4, |side, kind| {
        if kind == Kind::Private {
            return of_a_private_page(side);
        }
        let (file, map) = stamped(side, kind, 2)?;
        for place in PLACES {
            // The child's is at another address.
            let child = fork(|_| {
                let own = Request::pages(2).map(&file)?;
                wait(&own, place, 0)?;
                Ok(())
            })?;
            until_one_waits(&map, place, 0)?;
            side.note(
                format_args!("at {place}, private"),
                wake(&map, place, PRIVATE),
            );
            side.note(format_args!("at {place}"), wake(&map, place, 0));
            child.finish()?;
        }
        side.note_counts("woken")
    })
}

/// A waiter in a child's private mapping: DEVIATIONS.md says whom a wake reaches.
fn of_a_private_page(side: &mut guest::beside::Side) -> Check {
    let (_file, map) = stamped(side, Kind::Private, 2)?;
    for flag in [0, PRIVATE] {
        let child = fork(|link| {
            thread::scope(|scope| {
                let map = &map;
                let sleeper = scope.spawn(move || wait(map, 64, flag));
                until_one_waits(map, 64, flag)?;
                link.send(1)?;
                link.number()?;
                // Nobody, if the parent's wake was for it.
                wake(map, 64, flag)?;
                same!(sleeper.join().ok(), Some(Ok(0)), "FUTEX_WAIT");
                Ok(())
            })
        })?;
        child.link.number()?;
        let woken = wake(&map, 64, flag);
        if flag == PRIVATE {
            side.note("a wake in the parent, private", woken);
        } else {
            side.deviates("a wake in the parent", woken, Ok(0), Ok(1))?;
        }
        child.link.send(1)?;
        child.finish()?;
    }
    side.note_counts("woken")
}

/// A place that cannot be written to can be waited at.
pub fn in_read_only_mappings() -> Check {
    beside_both(4, |side, kind| {
        let (file, map) = stamped(side, Kind::Shared, 2)?;
        let reads = Request {
            protection: READ,
            ..kind.pages(2)
        }
        .map(&file)?;
        if kind == Kind::Shared {
            wake_all_places(&reads, &map, 0)?;
        } else {
            wake_all_places(&reads, &reads, 0)?;
        }
        wake_all_places(&reads, &reads, PRIVATE)?;
        side.note_counts("woken")
    })
}

/// Two waiters, put from one page to another one.
pub fn requeued_to_another_page() -> Check {
    beside_both(4, |side, kind| {
        let (_file, map) = stamped(side, kind, 2)?;
        for flag in [0, PRIVATE] {
            thread::scope(|scope| {
                let map = &map;
                let sleeper = scope.spawn(move || wait(map, 8, flag));
                until_one_waits(map, 8, flag)?;
                let (from, to) = (address(map, 8), address(map, HUGE + 8));
                let operation = libc::FUTEX_REQUEUE | flag;
                // SAFETY: The words lie in the mapping.
                let moved = call(unsafe {
                    libc::syscall(libc::SYS_futex, from, operation, 0, 1_usize, to)
                });
                side.note("moved", moved);
                side.note("woken where it was", wake(map, 8, flag));
                side.note("woken where it is", wake(map, HUGE + 8, flag));
                same!(sleeper.join().ok(), Some(Ok(0)), "FUTEX_WAIT");
                Ok::<_, guest::Fail>(())
            })?;
        }
        Ok(())
    })
}
