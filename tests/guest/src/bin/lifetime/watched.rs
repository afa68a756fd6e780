// SPDX-License-Identifier: GPL-2.0

//! A process dies while somebody else has a hand on it, or on what it had: its pages come back when
//! nobody can reach them any more, and no sooner. Beside hugetlb.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use guest::beside::{beside, Side, Totals};
use guest::child::{fork, Child};
use guest::kind::{beside_both, half_touched, stamped, Kind};
use guest::link::Link;
use guest::map::Map;
use guest::memory::BASE_PAGE;
use guest::ptrace::{stopped, trace, traced};
use guest::{call, check, poll, same, Check, Errno, HUGE};

const POOL: u64 = 8;
const USED: usize = 4;
const IN_USE: Totals = (POOL, POOL - USED as u64, 0, 0);
const BACK: Totals = (POOL, POOL, 0, 0);

/// A child with pages in use, which then does `then`; and the number that it sent.
fn user_of_pages(
    side: &mut Side,
    kind: Kind,
    then: impl FnOnce(&Link, &File, &Map) -> Check,
) -> Check<(Child, u64)> {
    let child = fork(|link| {
        let (file, map) = stamped(side, kind, USED)?;
        then(link, &file, &map)
    })?;
    let number = child.link.number()?;
    side.counts(format_args!("{kind:?}, in use"), IN_USE)?;
    Ok((child, number))
}

/// The end of any socket has the kernel look for sockets that only hold each other. Waits until that has
/// given all pages back: one that comes when the kernel is nearly done with another look is not seen.
fn collect(side: &mut Side, what: &str) -> Check {
    let look = || {
        drop(Link::pair()?);
        side.pool().free()
    };
    poll::until(what, look, |free| *free == POOL)?;
    side.settles(what, BACK)
}

/// A file in flight between two sockets that are in flight themselves, each to the other.
fn cycle(file: &File) -> Check<(Link, Link)> {
    let (near, far) = Link::pair()?;
    near.send_descriptor(&near)?;
    far.send_descriptor(&far)?;
    near.send_descriptor(file)?;
    Ok((near, far))
}

/// Leaves such a file, closed by everybody, in use. The kernel may be looking already, for a socket
/// that ended before: then there is another one to be left.
fn held_until_collected(side: &Side) -> Check {
    let leave = || {
        side.pool().settles_at_free(POOL)?;
        let (file, map) = stamped(side, Kind::Shared, USED)?;
        let sockets = cycle(&file)?;
        drop((file, map, sockets));
        side.pool().free()
    };
    let in_use = |free: &u64| *free == POOL - USED as u64;
    poll::until("free_hugepages with a file that was left", leave, in_use).map(drop)
}

pub fn sockets_that_hold_each_other_and_the_file() -> Check {
    beside(POOL, |side| {
        let (file, map) = stamped(side, Kind::Shared, USED)?;
        let sockets = cycle(&file)?;
        drop((file, map));
        side.counts("in flight", IN_USE)?;
        drop(sockets);
        collect(side, "collected")?;
        held_until_collected(side)?;
        collect(side, "collected again")?;
        // The same, left by a process that dies.
        let (child, _) = user_of_pages(side, Kind::Shared, |link, file, _| {
            let _sockets = cycle(file)?;
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.kill()?;
        collect(side, "killed, and collected")
    })
}

/// Open files of /proc/PID keep what they say, but not the pages.
pub fn watched_through_proc() -> Check {
    beside_both(POOL, |side, kind| {
        let (child, base) = user_of_pages(side, kind, |link, _, map| {
            link.send(map.base() as u64)?;
            link.number().map(drop)
        })?;
        let open = |name: &str| File::open(format!("/proc/{}/{name}", child.pid()));
        let (memory, frames) = (open("mem")?, open("pagemap")?);
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, base)?;
        same!(u64::from_ne_bytes(word), 10, "the first word");
        frames.read_exact_at(&mut word, base / BASE_PAGE * 8)?;
        let mut texts = Vec::new();
        for name in ["maps", "smaps", "numa_maps"] {
            let mut text = open(name)?;
            // It is in the middle of the text when the process dies.
            text.read_exact(&mut [0; 10])?;
            texts.push(text);
        }
        // And somebody looks all the time.
        let watcher = fork(|link| {
            link.send(1)?;
            while memory.read_at(&mut word, base)? != 0 {
                let mut smaps = &texts[1];
                smaps.rewind()?;
                // ESRCH, once there is no such process.
                let _ = smaps.read_to_end(&mut Vec::new());
            }
            Ok(())
        })?;
        watcher.link.number()?;
        child.kill()?;
        watcher.finish()?;
        side.settles("killed", BACK)?;
        let (of_memory, of_frames) = (
            memory.read_at(&mut word, base),
            frames.read_at(&mut word, base / BASE_PAGE * 8),
        );
        side.note(
            "what is left to read",
            (
                of_memory.map_err(Errno::from),
                of_frames.map_err(Errno::from),
            ),
        );
        // All pages can be had again.
        stamped(side, kind, POOL as usize)?;
        Ok(())
    })
}

pub fn killed_while_it_is_traced() -> Check {
    beside_both(POOL, |side, kind| {
        let (child, _) = user_of_pages(side, kind, |link, _, _| {
            link.send(1)?;
            traced()
        })?;
        same!(stopped(&child)?, libc::SIGSTOP, "the stop");
        side.counts("stopped", IN_USE)?;
        child.kill()?;
        side.settles("killed", BACK)
    })
}

/// The tracer can keep a process from ending, and with it the pages.
pub fn stopped_by_its_tracer_when_it_exits() -> Check {
    const AT_EXIT: i32 = libc::SIGTRAP | (libc::PTRACE_EVENT_EXIT << 8);
    beside_both(POOL, |side, kind| {
        let (child, _) = user_of_pages(side, kind, |link, _, _| {
            link.send(1)?;
            traced()?;
            // SAFETY: exit takes a number. Nothing is closed or unmapped before.
            unsafe { libc::_exit(0) }
        })?;
        same!(stopped(&child)?, libc::SIGSTOP, "the stop");
        trace(&child, libc::PTRACE_SETOPTIONS, libc::PTRACE_O_TRACEEXIT)?;
        trace(&child, libc::PTRACE_CONT, 0)?;
        same!(stopped(&child)?, AT_EXIT, "the stop");
        // Not even SIGKILL ends it there.
        let seen = side.counts("stopped at its exit", IN_USE);
        trace(&child, libc::PTRACE_CONT, 0)?;
        child.finish()?;
        seen?;
        side.settles("exited", BACK)
    })
}

/// What a process has that shares the address space with another one.
struct Rest<'a> {
    link: &'a Link,
    map: &'a Map,
    /// Set when both are there: in another address space it stays as it was.
    both: AtomicBool,
}

impl Rest<'_> {
    /// Uses the mapping when the link says so, and ends when it says so again.
    fn use_and_end(&self) -> Check {
        self.link.number()?;
        check!(self.both.load(Relaxed), "the address space is another one");
        (0..USED - 2).try_for_each(|page| self.map.holds(page, 10 + page as u64))?;
        // One that was only read, and one that is touched now.
        (USED - 2..USED).for_each(|page| self.map.fill(page, 5));
        self.link.send(1)?;
        self.link.number().map(drop)
    }
}

/// A new process with this one's address space, and the same parent: its number.
fn share_with_another(rest: &Rest) -> Check<u64> {
    extern "C" fn run(argument: *mut libc::c_void) -> libc::c_int {
        // SAFETY: prctl takes numbers. It does not outlive the test.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: The other process waits, until it is killed, with its argument alive.
        let rest = unsafe { &*argument.cast::<Rest>() };
        libc::c_int::from(rest.use_and_end().is_err())
    }
    // A stack with room to spare, which nobody frees.
    let stack = vec![0_u128; 1 << 14].leak();
    let flags = libc::CLONE_VM | libc::CLONE_PARENT | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.cast();
    let argument = (rest as *const Rest).cast_mut().cast();
    // SAFETY: The stack grows down from its end.
    Ok(call(unsafe { libc::clone(run, top, flags, argument) })? as u64)
}

/// Threads of a process end with it; a process that shares its address space does not.
pub fn outlived_by_a_process_in_the_same_address_space() -> Check {
    beside_both(POOL, |side, kind| {
        let (near, far) = Link::pair()?;
        let first = fork(|link| {
            let (_file, map) = half_touched(side, kind, USED)?;
            let rest = Rest {
                link: &far,
                map: &map,
                both: AtomicBool::new(false),
            };
            let second = share_with_another(&rest)?;
            rest.both.store(true, Relaxed);
            link.send(second)?;
            link.number().map(drop)
        })?;
        let second = first.link.number()? as libc::pid_t;
        drop(far);
        side.note_counts("both live")?;
        first.kill()?;
        side.note_counts("the first was killed")?;
        near.send(1)?;
        near.number()?;
        side.counts("the second touched all pages", IN_USE)?;
        near.send(1)?;
        let mut status = -1;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(second, &mut status, 0) })?;
        same!(status, 0, "wait status of the second");
        side.settles("both are gone", BACK)
    })
}

/// A copy of the descriptor `fd` of another process.
fn take(child: &Child, fd: u64) -> Check<OwnedFd> {
    // SAFETY: Both take numbers; what they return is nobody else's.
    unsafe {
        let pidfd = call(libc::syscall(libc::SYS_pidfd_open, child.pid(), 0))?;
        let pidfd = OwnedFd::from_raw_fd(pidfd as RawFd);
        let taken = call(libc::syscall(
            libc::SYS_pidfd_getfd,
            pidfd.as_raw_fd(),
            fd,
            0,
        ))?;
        Ok(OwnedFd::from_raw_fd(taken as RawFd))
    }
}

pub fn a_descriptor_that_another_process_took() -> Check {
    beside(POOL, |side| {
        let (child, fd) = user_of_pages(side, Kind::Shared, |link, file, _| {
            link.send(file.as_raw_fd() as u64)?;
            link.number().map(drop)
        })?;
        let taken = take(&child, fd)?;
        child.kill()?;
        side.counts("killed", IN_USE)?;
        let map = Kind::Shared.pages(USED).map(&taken)?;
        drop(taken);
        for page in 0..USED {
            map.holds(page, 10 + page as u64)?;
        }
        map.write(HUGE, 1);
        side.counts("mapped again", IN_USE)?;
        drop(map);
        side.settles("let go", BACK)
    })
}
