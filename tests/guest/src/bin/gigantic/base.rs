// SPDX-License-Identifier: GPL-2.0

//! Mappings for which transparent huge pages are off: the kernel asks for base pages and gets those
//! of the same 1 GiB page.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use guest::child::{fork, in_child};
use guest::device::open_of;
use guest::file::Huge;
use guest::map::{Map, Request};
use guest::memory::{self, BASE_PAGE};
use guest::pipe::Pipe;
use guest::pool::OURS_1G;
use guest::thp::Setting;
use guest::{call, fail, poll, same, Check, Fail};

use crate::balance::{balanced, faults_of, warm, Resident};
use crate::PAGE;

/// Base pages that are touched, and bytes from one to the next: 16 MiB in all.
const TOUCHED: usize = 4096;
const STRIDE: usize = PAGE / TOUCHED;

/// Words in `TOUCHED` base pages.
fn words(stamp: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..TOUCHED).map(move |number| (number * STRIDE, (stamp << 32) | number as u64))
}

fn write(map: &Map, stamp: u64) {
    for (offset, word) in words(stamp) {
        map.write(offset, word);
    }
}

fn holds(map: &Map, stamp: u64) -> Check {
    for (offset, word) in words(stamp) {
        same!(map.read(offset), word, "word at {offset:#x}");
    }
    Ok(())
}

/// The first frame of a page of a file: /proc/PID/pagemap knows base pages' entries only.
pub fn frame_of(file: &impl AsRawFd, page: usize) -> Check<u64> {
    let map = Request {
        offset: (page * PAGE) as i64,
        ..Request::of(OURS_1G, 1).unreserved()
    };
    let map = map.map(file)?;
    map.advise(libc::MADV_NOHUGEPAGE)?;
    map.read(0);
    memory::frame_of(map.base())
}

/// The ways to say no to transparent huge pages, and the size of an entry that comes then; each ends
/// with the process or with its result.
type Way = (&'static str, usize, fn(&Map) -> Check<Option<Setting>>);

const WAYS: [Way; 3] = [
    ("MADV_NOHUGEPAGE", 4096, |map| {
        map.advise(libc::MADV_NOHUGEPAGE)?;
        Ok(None)
    }),
    ("PR_SET_THP_DISABLE", 4096, |_| {
        // SAFETY: prctl takes numbers.
        call(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })?;
        Ok(None)
    }),
    // Of no effect on S_DAX mappings.
    ("enabled=never", PAGE, |_| {
        Setting::change("never").map(Some)
    }),
];

pub fn where_thp_is_off() -> Check {
    balanced(1, || {
        let file = open_of(OURS_1G)?;
        let one = Request::of(OURS_1G, 1);
        for (stamp, (what, entry, turn_off)) in (1..).zip(WAYS) {
            let act = || {
                warm()?;
                let resident = Resident::now()?;
                let map = one.map(&file)?;
                let _setting = turn_off(&map)?;
                let faults = faults_of(|| {
                    if stamp > 1 {
                        holds(&map, stamp - 1)?;
                    }
                    write(&map, stamp);
                    holds(&map, stamp)
                })?;
                let entries = if entry == PAGE { 1 } else { TOUCHED };
                same!(faults, entries as i64, "faults");
                resident.grew_by(entries * entry)?;
                same!(OURS_1G.free()?, 0, "free_hugepages");
                drop(map);
                resident.grew_by(0)
            };
            in_child(act).map_err(|Fail(why)| Fail(format!("{what}: {why}")))?;
        }
        let map = one.map(&file)?;
        holds(&map, WAYS.len() as u64)
    })
}

pub fn until_it_is_unmapped() -> Check {
    balanced(1, || {
        warm()?;
        let file = open_of(OURS_1G)?;
        let one = Request::of(OURS_1G, 1);
        let resident = Resident::now()?;
        let map = one.map(&file)?;
        write(&map, 1);
        // An entry that is there stays.
        map.advise(libc::MADV_NOHUGEPAGE)?;
        same!(faults_of(|| holds(&map, 1))?, 0, "faults of what is there");
        resident.grew_by(PAGE)?;
        drop(map);
        let map = one.map(&file)?;
        map.advise(libc::MADV_NOHUGEPAGE)?;
        map.read(0);
        // A table of base pages that is there stays, too.
        map.advise(libc::MADV_HUGEPAGE)?;
        let faults = faults_of(|| holds(&map, 1))?;
        same!(faults, TOUCHED as i64 - 1, "faults beside a base page");
        resident.grew_by(TOUCHED * 4096)?;
        drop(map);
        resident.grew_by(0)?;
        let map = one.map(&file)?;
        same!(faults_of(|| holds(&map, 1))?, 1, "faults of a new mapping");
        resident.grew_by(PAGE)
    })
}

pub fn beside_a_huge_entry() -> Check {
    balanced(2, || {
        warm()?;
        let file = Huge::new(OURS_1G)?;
        let map = file.map(Request::of(OURS_1G, 1))?;
        write(&map, 1);
        let child = fork(|link| {
            map.advise(libc::MADV_NOHUGEPAGE)?;
            holds(&map, 1)?;
            write(&map, 2);
            // The move takes them out, and the next touch finds them.
            let (_range, place) = Map::reserve_for(Request::of(OURS_1G, 1))?;
            let map = match Request::of(OURS_1G, 1).map(&file)?.move_to(place) {
                Ok(map) => map,
                Err((_, errno)) => fail!("mremap: {errno}"),
            };
            map.advise(libc::MADV_NOHUGEPAGE)?;
            holds(&map, 2)?;
            link.send(1)?;
            link.number()?;
            // There is a hole now.
            for (offset, _) in words(0) {
                same!(map.read(offset), 0, "word at {offset:#x} of the hole");
            }
            map.write(PAGE - 8, 3);
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        holds(&map, 2)?;
        // A pin by way of a base page's entry is a pin of the page.
        let own = file.map(Request::of(OURS_1G, 1))?;
        own.advise(libc::MADV_NOHUGEPAGE)?;
        for offset in (PAGE / 2..PAGE / 2 + 4096).step_by(8) {
            own.write(offset, 9);
        }
        let mut pipe = Pipe::new()?;
        pipe.splice(&own, PAGE / 2, 4096)?;
        file.punch(0, PAGE as u64)?;
        same!(
            (OURS_1G.pinned()?, OURS_1G.free()?),
            (1, 1),
            "pinned and free"
        );
        child.link.send(1)?;
        child.link.number()?;
        same!(map.read(PAGE - 8), 3, "the child's word");
        same!(own.read(PAGE - 8), 3, "the child's word, in base pages");
        pipe.drain(4096, 9)?;
        poll::until(
            "pinned and free",
            || Ok((OURS_1G.pinned()?, OURS_1G.free()?)),
            |seen| *seen == (0, 1),
        )?;
        child.link.send(1)?;
        child.finish()
    })
}

/// The kernel enters a base page when the fault is over as far as the module goes. A hole waits for that:
/// an entry that came later would lead to the page that was punched out, and hold it.
pub fn holes_under_threads_that_touch() -> Check {
    const THREADS: usize = 4;
    const ROUNDS: usize = 8;
    /// Touched base pages of one page, so that all threads are at it.
    const ENOUGH: usize = 256;
    balanced(2, || {
        let file = Huge::new(OURS_1G)?;
        let map = file.map(Request::of(OURS_1G, 1))?;
        map.advise(libc::MADV_NOHUGEPAGE)?;
        let (done, touched) = (AtomicBool::new(false), AtomicUsize::new(0));
        let touch = |thread: usize| {
            // Each has a part of its own, and never the same entry twice before a hole.
            let part = thread * (PAGE / THREADS)..(thread + 1) * (PAGE / THREADS);
            for offset in part.step_by(BASE_PAGE as usize).cycle() {
                if done.load(Relaxed) {
                    return;
                }
                map.read(offset);
                touched.fetch_add(1, Relaxed);
            }
        };
        thread::scope(|scope| {
            (0..THREADS).for_each(|thread| drop(scope.spawn(move || touch(thread))));
            let result = (0..ROUNDS).try_for_each(|_| {
                let before = touched.load(Relaxed);
                while touched.load(Relaxed) < before + ENOUGH {
                    thread::yield_now();
                }
                file.punch(0, PAGE as u64)?;
                same!(OURS_1G.pinned()?, 0, "pages that are held after the hole");
                Ok(())
            });
            done.store(true, Relaxed);
            result
        })
    })
}
