// SPDX-License-Identifier: GPL-2.0

//! 1 GiB pages that do not come because somebody's file system (FUSE) does not answer. To make room for
//! one the kernel moves what is there, and waits for each page of a file that is locked, as one is until
//! its file system has read it. Who wants the page waits for as long as the server likes; nobody else may.

use std::fs;

use guest::access;
use guest::child::{fork, in_child, Child};
use guest::file::Huge;
use guest::map::{Map, Request};
use guest::memory::{self, free_pages_on, huge_pages, BASE_PAGE};
use guest::policy::{run_on_cpu, Policy};
use guest::pool::{Pool, Resized, OURS_1G};
use guest::{check, poll, same, Check, Errno, GIGANTIC, HUGE};

use crate::slow::{End, Slow};
use crate::stall::BYTES;

const POOL: Pool = OURS_1G;
/// Where a page ends.
const PAGE: u64 = GIGANTIC as u64;

/// The node that has all the places. CPU 0 is another's, and who runs there has the kernel's own pages
/// there, too: one that lies in a place rules it out.
const FAR: usize = 1;
/// How many huge pages are taken for each page of the file that is read ahead.
const STEP: usize = 16;
/// How many of those in base pages. The file's page comes from a block that these have begun, and they
/// use up the one before.
const SMALL: usize = 2;
/// Huge pages that are left to the rest of the guest: half of a place.
const SPARE: usize = 256;
/// Locked pages in each place where a 1 GiB page could be: more than others may have locked by chance.
const ENOUGH: usize = 8;

/// Pages past the end of a file, each under the fault lock that its index falls to. There are eight of
/// them for each CPU, and so many in a row reach each one often.
const BEYOND: usize = 256;

pub fn a_touch_that_waits_for_memory_keeps_nobody() -> Check {
    keeps_nobody("a touch", |file| {
        access::catch()?;
        let map = file.map(Request::of(POOL, 1).unreserved())?;
        Ok(map.try_write(0, 1).is_ok())
    })
}

pub fn pages_beforehand_that_wait_for_memory_keep_nobody() -> Check {
    keeps_nobody("preallocate", |file| {
        got(file.preallocate(0, PAGE), libc::ENOSPC)
    })
}

pub fn a_promise_that_waits_for_memory_keeps_nobody() -> Check {
    keeps_nobody("mmap", |file| {
        got(file.map(Request::of(POOL, 1)), libc::ENOMEM)
    })
}

/// Whether a call got its page; there may be none in the end.
fn got<T>(seen: Result<T, Errno>, none: i32) -> Check<bool> {
    match seen {
        Ok(_) => Ok(true),
        Err(errno) => {
            same!(errno, Errno(none), "without a page");
            Ok(false)
        }
    }
}

/// Has a process `ask` for a page of a file that the pool does not have, while no place for one is without
/// a locked page; and others use the pool.
fn keeps_nobody(name: &'static str, ask: impl Fn(&Huge) -> Check<bool>) -> Check {
    run_on_cpu(0)?;
    let _pool = Resized::of(POOL, 1)?;
    there_is_room()?;
    let of = Targets::new()?;
    POOL.set_overcommit(1)?;
    let before = POOL.counts()?;
    same!(before.row(), (1, 0, 0), "nr, free and surplus");

    let mut slow = Slow::mount(&vec![0; huge_pages("MemTotal")? / STEP * BYTES])?;
    lock_pages(&slow)?;
    let held = places()?;
    check!(are_held(&held), "locked pages in each place: {held:?}");
    let file = Huge::new(POOL)?;
    let around = file.map(Request::of(POOL, 2).unreserved())?;
    let child = fork(|link| {
        let got = ask(&file)?;
        println!("# {name} got a page in the end: {got}");
        link.send(got.into())
    })?;
    // It has found a place, and no other page is tried before this one is unlocked.
    slow.stalls_in(name, child, &["alloc_contig_", "folio_wait_bit"])?;
    let child = fork(|link| {
        access::catch()?;
        link.send(around.try_write(GIGANTIC, 1).is_ok().into())
    })?;
    // It waits for memory, too, or for the first: not with what others need.
    slow.stalls_in("a touch of the same file", child, &["handle_mm_fault"])?;
    same!(POOL.counts()?, before, "the pool while {name} waits");
    let others = of.others()?;
    let left = || {
        let waits = |(name, child): &(&'static str, Child)| match child.link.has_message() {
            Ok(false) => Some(*name),
            _ => None,
        };
        Ok(others.iter().filter_map(waits).collect::<Vec<_>>())
    };
    let served = poll::until("who has to wait, too", left, Vec::is_empty);
    // Before anything else: until then nobody of those who wait can be killed.
    let ended = slow.end(End::Dies);
    served?;
    ended?;
    others
        .into_iter()
        .try_for_each(|(_, child)| child.finish())?;

    drop((file, around));
    poll::until("the pool", || POOL.counts(), |seen| *seen == before)?;
    slow.unmount()?;
    drop(of);
    POOL.settles_at_free(1)?;
    there_is_room()
}

/// Fails unless the kernel finds memory for one more page.
fn there_is_room() -> Check {
    POOL.reach(2)?;
    POOL.set(1)?;
    POOL.settles_at_nr(1)
}

/// Has the kernel lock pages all over the far node, as a process takes its memory and reads ahead by turns.
fn lock_pages(slow: &Slow) -> Check {
    in_child(|| {
        fs::write("/proc/self/oom_score_adj", "1000")?;
        let file = slow.open(0)?;
        let steps = (free_pages_on(FAR)? as usize).saturating_sub(SPARE) / STEP;
        let large = far(steps * (STEP - SMALL), libc::MADV_HUGEPAGE)?;
        let small = far(steps * SMALL, libc::MADV_NOHUGEPAGE)?;
        for step in 0..steps {
            take(&large, step, STEP - SMALL);
            take(&small, step, SMALL);
            let _there = Policy::bind(&[FAR]).set()?;
            slow.read_ahead(&file, step * BYTES)?;
        }
        Ok(())
    })?;
    // A page that is new waits in a batch of its CPU's, and until it is in a list of the LRU's it counts
    // as one of the kernel's own. This empties the batches; locked pages stay.
    Ok(fs::write("/proc/sys/vm/drop_caches", "1")?)
}

/// Memory of the far node with an advice, none of it there yet.
fn far(pages: usize, advice: libc::c_int) -> Check<Map> {
    let map = Map::anonymous(pages)?;
    Policy::bind(&[FAR]).set_on(&map)?;
    map.advise(advice)?;
    Ok(map)
}

/// Takes the part of that number of some memory, in parts of so many huge pages.
fn take(memory: &Map, part: usize, pages: usize) {
    let bytes = pages * HUGE;
    (part * bytes..(part + 1) * bytes)
        .step_by(BASE_PAGE as usize)
        .for_each(|offset| memory.write(offset, 1));
}

/// Each place for a 1 GiB page, by number, and how many frames in it are locked, none of them a process's.
/// It is aligned, and has nothing that was there before the page allocator; one that is taken is none.
fn places() -> Check<Vec<(u64, usize)>> {
    const LOCKED: u64 = 1 << 0;
    const ANON: u64 = 1 << 12;
    const TAIL: u64 = 1 << 16;
    const RESERVED: u64 = 1 << 32;
    const FRAMES: usize = GIGANTIC / BASE_PAGE as usize;
    let mut places = Vec::new();
    for number in 0.. {
        let flags = memory::flags(number * FRAMES as u64, FRAMES)?;
        if flags.len() < FRAMES {
            break;
        }
        // A hole in the memory is all zeroes.
        let is_memory = flags.iter().any(|flags| *flags != 0)
            && flags.iter().all(|flags| flags & RESERVED == 0);
        let is_one_page = flags[1..].iter().all(|flags| flags & TAIL != 0);
        if is_memory && !is_one_page {
            let locked = flags
                .iter()
                .filter(|flags| *flags & (LOCKED | ANON) == LOCKED);
            places.push((number, locked.count()));
        }
    }
    Ok(places)
}

/// Whether there are places, and each has enough locked frames.
fn are_held(places: &[(u64, usize)]) -> bool {
    !places.is_empty() && places.iter().all(|(_, locked)| *locked >= ENOUGH)
}

/// What others use meanwhile.
struct Targets {
    /// A file with the pool's page.
    file: Huge,
    /// Pages that are past the end of their file.
    beyond: Map,
}

impl Targets {
    fn new() -> Check<Self> {
        let file = Huge::new(POOL)?;
        file.map(Request::of(POOL, 1))?.write(0, 1);
        let short = Huge::new(POOL)?;
        let beyond = short.map(Request::of(POOL, BEYOND).unreserved())?;
        short.set_size(0)?;
        Ok(Self { file, beyond })
    }

    /// A process for each thing that somebody may want, which fails or is done.
    fn others(&self) -> Check<Vec<(&'static str, Child)>> {
        let sizes = fork(|_| {
            let file = Huge::new(POOL)?;
            file.set_size(PAGE)?;
            Ok(file.set_size(0)?)
        })?;
        let touches = fork(|_| {
            access::catch()?;
            for page in 0..BEYOND {
                let seen = self.beyond.try_read(page * GIGANTIC);
                same!(
                    seen,
                    Err(access::Bus(libc::BUS_ADRERR)),
                    "a touch past the end"
                );
            }
            Ok(())
        })?;
        let present = fork(|_| {
            let map = self.file.map(Request::of(POOL, 1))?;
            same!(map.read(0), 1, "the word in the page");
            map.write(8, 2);
            same!(self.file.state()?.allocated, PAGE, "what the file has");
            Ok(())
        })?;
        let files = fork(|_| {
            for name in ["nr_hugepages", "explain", "can_grow"] {
                let path = POOL.file(name);
                check!(!fs::read(&path)?.is_empty(), "{path} is empty");
            }
            POOL.set_overcommit(2)?;
            POOL.set_overcommit(1)
        })?;
        Ok(vec![
            ("sizes of a new file", sizes),
            ("touches under each lock", touches),
            ("a page that is there", present),
            ("the pool's files", files),
        ])
    }
}
