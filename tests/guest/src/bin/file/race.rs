// SPDX-License-Identifier: GPL-2.0

//! Readers and writers against what takes their pages away.
//!
//! A file is punched, cut off and preallocated while threads, a forked process and a private mapping
//! read and write it, and while a second file takes each page that comes free, writes to it and gives
//! it back. Every word says who wrote it, so that a page that is mapped where it does not belong shows
//! itself, on whichever side.
//!
//! Half of the pages have a lock each, which writers and the one who takes pages away hold: of those
//! it is known what must be there, and a word from before the last hole is a failure, too.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use fastrand::Rng;

use guest::access::{catch, Bus};
use guest::beside::beside;
use guest::child::{fork, Child};
use guest::file::Huge;
use guest::link::Link;
use guest::map::{Map, Request};
use guest::poll;
use guest::pool::{Pool, Resized, OURS};
use guest::stamp::{Stamp, SPOTS};
use guest::{check, fail, same, Check, Errno, HUGE};

use crate::pages;

/// Pages of the file, of which the first ones have locks.
const PAGES: usize = 6;
const LOCKED: usize = 3;
/// The second file, and the private mapping of the first one: with all three there are too few pages.
const OTHERS: usize = 4;
const POOL: u64 = 9;
/// Changes of the file in one test.
const ROUNDS: usize = 200;

/// Who writes.
const FILE: u16 = 1;
const OTHER: u16 = 2;
const PRIVATE: u16 = 3;
const CHILD: u16 = 4;

pub fn punching_against_readers_and_writers() -> Check {
    beside(POOL, |side| {
        race(side.pool(), punch_some)?;
        side.settles("in the end", (POOL, POOL, 0, 0))
    })
}

pub fn preallocating_against_punching() -> Check {
    beside(POOL, |side| {
        race(side.pool(), |race, random| match random.bool() {
            true => punch_some(race, random),
            false => race.preallocate(random.usize(..PAGES), 1),
        })?;
        side.settles("in the end", (POOL, POOL, 0, 0))
    })
}

// hugetlb has no part in what follows: a fault that found its page inside the file just before the
// file is cut off gets it all the same, and its accounts are wrong from then on (resv_hugepages below
// 0, until the next boot).

pub fn truncating_against_readers_and_writers() -> Check {
    alone(|race, random| race.truncate(random.usize(..PAGES)))
}

pub fn all_at_once() -> Check {
    alone(|race, random| match random.u32(..3) {
        0 => punch_some(race, random),
        1 => race.truncate(random.usize(..PAGES)),
        _ => race.preallocate(random.usize(..PAGES), 1),
    })
}

fn punch_some(race: &Race, random: &mut Rng) -> Check {
    let first = random.usize(..PAGES);
    race.punch(first, random.usize(1..=PAGES - first))
}

/// A race on the module's pool, which must be whole in the end.
fn alone(change: impl Fn(&Race, &mut Rng) -> Check) -> Check {
    let _pool = Resized::ours(POOL)?;
    race(OURS, change)?;
    let in_the_end = || Ok((OURS.nr()?, OURS.free()?, OURS.resv()?, OURS.surplus()?));
    poll::until("nr, free, resv, surplus", in_the_end, |seen| {
        *seen == (POOL, POOL, 0, 0)
    })
    .map(drop)
}

/// What the threads share.
struct Race {
    file: Huge,
    map: Map,
    sequence: AtomicU32,
    /// Of each locked page: the sequence of what was written to it last, if it has a page.
    content: [Mutex<Option<u32>>; LOCKED],
    /// Words with a smaller sequence are gone from that page.
    floor: [AtomicU32; LOCKED],
    over: AtomicBool,
}

fn race(pool: Pool, change: impl Fn(&Race, &mut Rng) -> Check) -> Check {
    catch()?;
    let file = Huge::new(pool)?;
    let map = file.map(Request::pages(PAGES).unreserved())?;
    let race = Race {
        file,
        map,
        sequence: AtomicU32::new(1),
        content: [const { Mutex::new(None) }; LOCKED],
        floor: [const { AtomicU32::new(0) }; LOCKED],
        over: AtomicBool::new(false),
    };
    let private = Request::pages(OTHERS).private().unreserved();
    let private = race.file.map(private)?;
    let other = Huge::new(pool)?;
    let others = other.map(Request::pages(OTHERS).unreserved())?;
    let child = fork(|link| race.live_apart(link))?;
    child.link.number()?;
    thread::scope(|scope| {
        let running = [
            scope.spawn(|| race.repeat(1, |random| race.read(random))),
            scope.spawn(|| race.repeat(2, |random| race.write(random))),
            scope.spawn(|| race.repeat(3, |random| recycle(&other, &others, random))),
            scope.spawn(|| race.repeat(4, |random| race.use_privately(&private, random))),
        ];
        let mut random = Rng::with_seed(5);
        let mut result = Ok(());
        for _ in 0..ROUNDS {
            if result.is_err() || race.over.load(SeqCst) {
                break;
            }
            result = change(&race, &mut random);
        }
        race.over.store(true, SeqCst);
        running.into_iter().fold(result, |result, thread| {
            let end = thread.join().unwrap_or_else(|_| fail_in_thread());
            result.and(end)
        })
    })?;
    finish(child)
}

fn fail_in_thread() -> Check {
    fail!("a thread panicked")
}

/// Has the child end, and hands on how it went.
fn finish(child: Child) -> Check {
    // It may have failed, and be gone.
    let _ = child.link.send(0);
    child.finish()
}

impl Race {
    /// Does something until the race is over, or it fails, which ends the race.
    fn repeat(&self, seed: u64, mut act: impl FnMut(&mut Rng) -> Check) -> Check {
        let mut random = Rng::with_seed(seed);
        while !self.over.load(SeqCst) {
            if let Err(why) = act(&mut random) {
                self.over.store(true, SeqCst);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Reads without a lock.
    fn read(&self, random: &mut Rng) -> Check {
        let (page, spot) = (random.usize(..PAGES), random.usize(..SPOTS.len()));
        let floor = self.floor.get(page).map_or(0, |floor| floor.load(SeqCst));
        let Ok(word) = self.map.try_read(page * HUGE + SPOTS[spot]) else {
            return Ok(());
        };
        let owners: &[u16] = match page {
            ..LOCKED => &[FILE],
            _ => &[FILE, CHILD],
        };
        if let Some(stamp) = Stamp::check(word, owners, page, spot)? {
            check!(
                stamp.sequence >= floor,
                "page {page} has {stamp:?}, and everything before {floor} is gone"
            );
        }
        Ok(())
    }

    fn write(&self, random: &mut Rng) -> Check {
        let page = random.usize(..PAGES);
        let lock = self.content.get(page).map(lock);
        let sequence = self.sequence.fetch_add(1, SeqCst);
        let Some(mut content) = lock else {
            let _ = stamp(&self.map, FILE, page, sequence);
            return Ok(());
        };
        // As somebody left it.
        for (spot, offset) in SPOTS.into_iter().enumerate() {
            let want = content.map_or(0, |sequence| word(FILE, page, spot, sequence));
            match self.map.try_read(page * HUGE + offset) {
                Ok(seen) => same!(seen, want, "page {page} at {offset:#x}, {sequence}"),
                Err(Bus(code)) => {
                    same!(code, libc::BUS_ADRERR, "si_code");
                    same!(*content, None, "what page {page} had, which is SIGBUS now");
                    return Ok(());
                }
            }
        }
        if let Err(bus) = stamp(&self.map, FILE, page, sequence) {
            fail!("page {page} was there, and is {bus:?} now");
        }
        *content = Some(sequence);
        Ok(())
    }

    /// The locks of what has one of `count` pages from `first`.
    fn lock(&self, first: usize, count: usize) -> Vec<(usize, MutexGuard<'_, Option<u32>>)> {
        (first..(first + count).min(LOCKED))
            .map(|page| (page, lock(&self.content[page])))
            .collect()
    }

    fn punch(&self, first: usize, count: usize) -> Check {
        let mut locked = self.lock(first, count);
        self.file.punch(pages(first as u64), pages(count as u64))?;
        self.gone(&mut locked);
        Ok(())
    }

    fn truncate(&self, size: usize) -> Check {
        let mut locked = self.lock(size, PAGES);
        self.file.set_size(pages(size as u64))?;
        self.gone(&mut locked);
        drop(locked);
        // Whatever was being faulted in meanwhile.
        self.nothing_past(size)?;
        self.file.set_size(pages(PAGES as u64))?;
        Ok(())
    }

    /// Fails unless the file ends after `size` pages, for its mappings and for itself.
    fn nothing_past(&self, size: usize) -> Check {
        for page in size..PAGES {
            let seen = self.map.try_read(page * HUGE);
            same!(
                seen,
                Err(Bus(libc::BUS_ADRERR)),
                "page {page} of a file of {size} pages"
            );
        }
        let state = self.file.state()?;
        check!(
            state.allocated <= state.size,
            "more is allocated than the file is large: {state:?}"
        );
        Ok(())
    }

    fn preallocate(&self, first: usize, count: usize) -> Check {
        match self
            .file
            .preallocate(pages(first as u64), pages(count as u64))
        {
            Ok(()) | Err(Errno(libc::ENOSPC)) => Ok(()),
            Err(errno) => fail!("preallocating: {errno}"),
        }
    }

    /// The pages are gone, and with them all that was written so far.
    fn gone(&self, locked: &mut [(usize, MutexGuard<'_, Option<u32>>)]) {
        for (page, content) in locked {
            **content = None;
            self.floor[*page].store(self.sequence.load(SeqCst), SeqCst);
        }
    }

    /// A mapping that has the file's words, or zeros, until it writes its own.
    fn use_privately(&self, map: &Map, random: &mut Rng) -> Check {
        let (page, spot) = (random.usize(..OTHERS), random.usize(..SPOTS.len()));
        if let Ok(word) = map.try_read(page * HUGE + SPOTS[spot]) {
            Stamp::check(word, &[FILE, CHILD, PRIVATE], page, spot)?;
        }
        if random.u32(..4) == 0 {
            let _ = stamp(map, PRIVATE, page, self.sequence.load(SeqCst));
        }
        Ok(())
    }

    /// Another process, with the pages that have no lock, until it is told to end.
    fn live_apart(&self, link: &Link) -> Check {
        link.send(1)?;
        let mut random = Rng::with_seed(6);
        let mut sequence = 0;
        while !link.has_message()? {
            let (page, spot) = (random.usize(LOCKED..PAGES), random.usize(..SPOTS.len()));
            if let Ok(word) = self.map.try_read(page * HUGE + SPOTS[spot]) {
                Stamp::check(word, &[FILE, CHILD], page, spot)?;
            }
            sequence += 1;
            let _ = stamp(&self.map, CHILD, page, sequence);
        }
        Ok(())
    }
}

/// Takes pages for a file of its own, looks at them, and gives them back.
fn recycle(file: &Huge, map: &Map, random: &mut Rng) -> Check {
    let sequence = random.u32(..);
    let mut written = [false; OTHERS];
    for (page, written) in written.iter_mut().enumerate() {
        // Whose it was does not show.
        let first = map.try_read(page * HUGE);
        if let Ok(word) = first {
            same!(word, 0, "page {page} of the second file, new");
            *written = stamp(map, OTHER, page, sequence).is_ok();
            check!(*written, "page {page} of the second file was there");
        }
    }
    for (page, _) in written.iter().enumerate().filter(|(_, written)| **written) {
        for (spot, offset) in SPOTS.into_iter().enumerate() {
            let seen = map.try_read(page * HUGE + offset);
            let want = Ok(word(OTHER, page, spot, sequence));
            same!(seen, want, "page {page} of the second file at {offset:#x}");
        }
    }
    file.punch(0, pages(OTHERS as u64))?;
    Ok(())
}

/// Writes to all spots of a page.
fn stamp(map: &Map, owner: u16, page: usize, sequence: u32) -> Result<(), Bus> {
    for (spot, offset) in SPOTS.into_iter().enumerate() {
        map.try_write(page * HUGE + offset, word(owner, page, spot, sequence))?;
    }
    Ok(())
}

fn word(owner: u16, page: usize, spot: usize, sequence: u32) -> u64 {
    Stamp {
        owner,
        page,
        spot,
        sequence,
    }
    .word()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
