// SPDX-License-Identifier: GPL-2.0

//! Processes that take more ordinary memory than there is, or than their control group may have, and
//! are killed for it with huge pages mapped.

use std::fs;

use guest::access::store;
use guest::cgroup::Group;
use guest::map::{Map, Request};
use guest::memory::{meminfo, BASE_PAGE};
use guest::{call, check, Check, Errno, HUGE};

use crate::arena::{reap, Arena, Figure};
use crate::options::{Backend, Options};

/// Bytes that a group may have.
const LIMIT: &str = "33554432";
/// Huge pages that are mapped meanwhile.
const PAGES: usize = 3;
/// Ordinary memory that is wanted, in huge pages: more than a group may have.
const LITTLE: usize = 64;

/// Starts one after the other until all is over.
pub fn run(options: &Options, backend: Backend, arena: &Arena) -> Check {
    let group = Group::new("memory")?;
    group.set("memory.max", LIMIT)?;
    for number in 0.. {
        // One of each kind there is, however slow the machine.
        if arena.is_over() && number > 1 {
            break;
        }
        let everywhere = options.pressure && number % 4 == 1;
        // SAFETY: This process has one thread.
        match unsafe { libc::fork() } {
            -1 => check!(
                Errno::last() == Errno(libc::ENOMEM),
                "fork: {}",
                Errno::last()
            ),
            0 => {
                let status = i32::from(hog(&group, backend, everywhere).is_err());
                // SAFETY: The parent's destructors are not this process's to run.
                unsafe { libc::_exit(status) }
            }
            pid => {
                let status = reap(pid)?;
                let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
                check!(
                    status == 0 || killed,
                    "one that takes memory: wait status {status:#x}"
                );
                if killed {
                    arena.count(if everywhere {
                        Figure::OomKills
                    } else {
                        Figure::GroupKills
                    });
                }
            }
        }
    }
    Ok(())
}

fn hog(group: &Group, backend: Backend, everywhere: bool) -> Check {
    fs::write("/proc/self/oom_score_adj", "1000")?;
    // It would not get far beside all the others.
    // SAFETY: setpriority takes numbers.
    call(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })?;
    if !everywhere {
        group.enter()?;
    }
    let file = guest::device::open_of(backend.pool)?;
    let pages = Request::of(backend.pool, PAGES).unreserved().map(&file)?;
    for page in 0..PAGES {
        // SAFETY: The word is aligned and in the mapping; there may be no page for it.
        let _ = unsafe { store(pages.at(page * HUGE).cast(), 1) };
    }
    let wanted = if everywhere {
        // The kernel's own share is in there.
        meminfo("MemTotal")? as usize * 1024 / HUGE
    } else {
        LITTLE
    };
    let memory = Map::anonymous(wanted)?;
    memory.advise(libc::MADV_NOHUGEPAGE)?;
    for offset in (0..memory.bytes()).step_by(BASE_PAGE as usize) {
        memory.write(offset, 1);
    }
    Ok(())
}
