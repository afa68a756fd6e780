// SPDX-License-Identifier: GPL-2.0

//! Processes that take more ordinary memory than there is, or than their control group may have, so
//! that others' is reclaimed, and are killed for it with huge pages mapped.

use std::fs;

use guest::access::store;
use guest::cgroup::Group;
use guest::map::{Map, Request};
use guest::memory::{huge_pages, vmstat, BASE_PAGE};
use guest::{call, check, same, Check, Errno, HUGE};

use crate::arena::{reap, was_killed, Arena, Figure};
use crate::options::{Backend, Run};

/// Bytes that a group may have in memory, and on the disk beside.
const LIMIT: &str = "33554432";
const SWAP_LIMIT: &str = "16777216";
/// Huge pages that are mapped meanwhile.
const PAGES: usize = 3;
/// Ordinary memory that is wanted, in huge pages: more than a group may have, and more than there is.
const LITTLE: usize = 64;

/// How often all kinds are tried, at most, where that takes longer than all else.
const TRIES: usize = 5;

/// How much a process wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// More than its group may have.
    Group,
    /// More than there is, but not more than there is with swap space.
    Swapped,
    /// All, and nothing of it on the disk.
    Everything,
}

/// Starts one after the other until all is over.
pub fn run(run: &Run, arena: &Arena) -> Check {
    let wants: &[Want] = if run.pressure {
        &[Want::Group, Want::Everything, Want::Group, Want::Swapped]
    } else {
        &[Want::Group]
    };
    let group = Group::new("memory")?;
    group.set("memory.max", LIMIT)?;
    group.set("memory.swap.max", SWAP_LIMIT)?;
    for (number, want) in wants.iter().cycle().enumerate() {
        // One of each kind there is, however slow the machine, and where it was in vain another.
        let is_enough =
            number >= wants.len() && (is_seen(run, arena) || number > wants.len() * TRIES);
        if arena.is_over() && is_enough {
            break;
        }
        let before = reclaimed()?;
        // SAFETY: This process has one thread.
        match unsafe { libc::fork() } {
            -1 => check!(
                Errno::last() == Errno(libc::ENOMEM),
                "fork: {}",
                Errno::last()
            ),
            0 => {
                let result = hog(&group, run.backend, *want);
                if let Err(why) = &result {
                    arena.fail(&format!("one that takes memory: {}", why.0));
                }
                // SAFETY: The parent's destructors are not this process's to run.
                unsafe { libc::_exit(i32::from(result.is_err())) }
            }
            pid => judge(*want, reap(pid)?, arena)?,
        }
        // The kernel counts there what is reclaimed for the limit of a group, too.
        if *want != Want::Group {
            let after = reclaimed()?;
            arena.add(Figure::SwappedOut, after[0] - before[0]);
            arena.add(Figure::Reclaimed, after[1] - before[1]);
        }
    }
    Ok(())
}

/// Whether all was seen that the lack of memory is to bring about.
fn is_seen(run: &Run, arena: &Arena) -> bool {
    !run.pressure || (arena.figure(Figure::OomKills) > 0 && arena.figure(Figure::Swappers) > 0)
}

/// Base pages that the kernel has written to swap space, and that it has reclaimed.
fn reclaimed() -> Check<[u64; 2]> {
    let stolen = vmstat("pgsteal_direct")? + vmstat("pgsteal_kswapd")?;
    Ok([vmstat("pswpout")?, stolen])
}

/// Counts how one of them ended.
fn judge(want: Want, status: i32, arena: &Arena) -> Check {
    let killed = was_killed(status);
    check!(
        status == 0 || killed,
        "one that takes memory: wait status {status:#x}"
    );
    match want {
        Want::Group if killed => arena.count(Figure::GroupKills),
        _ if killed => arena.count(Figure::OomKills),
        Want::Swapped => arena.count(Figure::Swappers),
        Want::Group | Want::Everything => {}
    }
    Ok(())
}

fn hog(group: &Group, backend: Backend, want: Want) -> Check {
    fs::write("/proc/self/oom_score_adj", "1000")?;
    // It would not get far beside all the others.
    // SAFETY: setpriority takes numbers.
    call(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })?;
    if want == Want::Group {
        group.enter()?;
    }
    let file = guest::device::open_of(backend.pool)?;
    let pages = Request::of(backend.pool, PAGES).unreserved().map(&file)?;
    for page in 0..PAGES {
        // SAFETY: The word is aligned and in the mapping; there may be no page for it.
        let _ = unsafe { store(pages.at(page * HUGE).cast(), 1) };
    }
    let wanted = match want {
        Want::Group => LITTLE,
        Want::Swapped => huge_pages("MemAvailable")? + LITTLE,
        // The kernel's own share is in there.
        Want::Everything => huge_pages("MemTotal")?,
    };
    let memory = Map::anonymous(wanted)?;
    memory.advise(libc::MADV_NOHUGEPAGE)?;
    if want == Want::Everything {
        // What is locked goes to no disk, which would take long before there is no room left.
        // SAFETY: The addresses are the mapping's.
        call(unsafe { libc::mlock(memory.base().cast(), memory.bytes()) })?;
    }
    let offsets = (0..memory.bytes()).step_by(BASE_PAGE as usize);
    for offset in offsets.clone() {
        memory.write(offset, offset as u64);
    }
    // What was written first was reclaimed first.
    for offset in offsets.take(LITTLE * HUGE / BASE_PAGE as usize) {
        same!(
            memory.read(offset),
            offset as u64,
            "a word of ordinary memory"
        );
    }
    Ok(())
}
