// SPDX-License-Identifier: GPL-2.0

//! What a child gets: MADV_DONTFORK, MADV_WIPEONFORK, mappings that are read-only, and vfork.

use guest::beside::Side;
use guest::child::fork;
use guest::kind::{beside_both, half_touched, look, stamped, Kind};
use guest::map::{Map, Request, NONE, READ, WRITE};
use guest::{call, same, vmas, word, Check, HUGE};

/// Forks, and notes what the child sees: its mappings and the pages' words; then what it writes.
fn note_child(side: &mut Side, what: &str, map: &Map) -> Check {
    let child = fork(|link| {
        link.send(vmas::borders(map.base(), map.bytes())?.len() as u64)?;
        for page in 0..map.pages() {
            link.send(word::load(map, page * HUGE).unwrap_or(u64::MAX))?;
            link.send(u64::from(word::store(map, page * HUGE, 99).is_ok()))?;
        }
        link.number().map(drop)
    })?;
    side.note(format_args!("{what}, mappings"), child.link.number()?);
    for page in 0..map.pages() {
        let seen = (child.link.number()?, child.link.number()?);
        side.note(format_args!("{what}, page {page}, written"), seen);
    }
    side.note_counts(format_args!("{what}, with the child"))?;
    child.link.send(1)?;
    child.finish()?;
    side.note_counts(format_args!("{what}, the child is gone"))
}

pub fn not_at_all() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        side.note("DONTFORK", map.advise(libc::MADV_DONTFORK));
        note_child(side, "DONTFORK", &map)?;
        map.fill(2, 30);
        look(side, "the parent", &map)?;
        // hugetlb does not take it back either: the mapping is one of a driver's to the kernel.
        side.note("DOFORK", map.advise(libc::MADV_DOFORK));
        note_child(side, "DOFORK", &map)?;
        look(side, "the parent in the end", &map)
    })
}

pub fn not_a_part() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 4)?;
        // SAFETY: The range is a part of the mapping.
        call(unsafe { libc::madvise(map.at(HUGE).cast(), HUGE, libc::MADV_DONTFORK) })?;
        note_child(side, "without page 1", &map)?;
        look(side, "the parent", &map)
    })
}

pub fn wiped() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        for (name, advice) in [
            ("WIPEONFORK", libc::MADV_WIPEONFORK),
            ("KEEPONFORK", libc::MADV_KEEPONFORK),
        ] {
            side.note(name, map.advise(advice));
            note_child(side, name, &map)?;
        }
        look(side, "the parent", &map)
    })
}

pub fn read_only() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        map.protect(0, 3 * HUGE, READ)?;
        note_child(side, "read-only", &map)?;
        map.protect(HUGE, HUGE, NONE)?;
        note_child(side, "without access", &map)?;
        map.protect(0, 3 * HUGE, READ | WRITE)?;
        note_child(side, "writable", &map)?;
        look(side, "the parent", &map)
    })
}

pub fn protection_of_one_is_its_own() -> Check {
    beside_both(10, |side, kind| {
        let (_file, map) = stamped(side, kind, 3)?;
        map.protect(0, 3 * HUGE, READ)?;
        let child = fork(|link| {
            map.protect(0, 2 * HUGE, READ | WRITE)?;
            map.fill(0, 20);
            link.send(1)?;
            link.number()?;
            same!(word::store(&map, HUGE, 21), Ok(()), "write in the child");
            for page in 0..3 {
                link.send(word::load(&map, page * HUGE)?)?;
            }
            link.number().map(drop)
        })?;
        child.link.number()?;
        side.note("write in the parent", word::store(&map, 0, 30));
        look(side, "after the child's write", &map)?;
        map.protect(0, 3 * HUGE, READ | WRITE)?;
        map.fill(1, 31);
        map.fill(2, 32);
        child.link.send(1)?;
        for page in 0..3 {
            side.note(format_args!("child, page {page}"), child.link.number()?);
        }
        look(side, "after both", &map)?;
        child.link.send(1)?;
        child.finish()?;
        side.note_counts("the child is gone")
    })
}

/// A child without an address space of its own: what it does is the parent's.
pub fn shares_the_address_space() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        for touched in [0, 2] {
            // SAFETY: The child of clone gets a copy of this stack's frame only when it writes, as
            // with vfork, and leaves by _exit; the parent waits.
            let status = unsafe { vfork_write(map.at(touched * HUGE).cast(), 70) };
            same!(status, 0, "wait status of the child");
            side.note_counts(format_args!("page {touched} written"))?;
        }
        look(side, "the parent", &map)
    })
}

/// Writes `word` in a child that shares the address space, and waits for it: its wait status.
///
/// # Safety
///
/// The word is in a mapping of the test's.
unsafe fn vfork_write(address: *mut u64, word: u64) -> i32 {
    // A stack for the child, with room to spare.
    let mut stack = vec![0_u128; 4096];
    let mut argument = (address, word);
    extern "C" fn write(argument: *mut libc::c_void) -> libc::c_int {
        // SAFETY: The parent waits with its argument alive.
        let (address, word) = unsafe { *argument.cast::<(*mut u64, u64)>() };
        // SAFETY: By the promise of `vfork_write`.
        unsafe { address.write_volatile(word) };
        0
    }
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut status = -1;
    // SAFETY: The stack grows down from its end and outlives the child, as the parent waits.
    unsafe {
        let top = stack.as_mut_ptr_range().end.cast();
        let pid = libc::clone(write, top, flags, (&raw mut argument).cast());
        libc::waitpid(pid, &mut status, 0);
    }
    status
}

/// Two mappings of one file in one process, and a child of it.
pub fn mapped_twice() -> Check {
    beside_both(12, |side, kind| {
        let (file, map) = stamped(side, kind, 2)?;
        for other in Kind::BOTH {
            let second = Request {
                protection: READ | WRITE,
                ..other.pages(2)
            }
            .map(&file)?;
            second.write(8, 5);
            note_child(side, &format!("{other:?}, the first"), &map)?;
            note_child(side, &format!("{other:?}, the second"), &second)?;
            look(side, "the parent's first", &map)?;
            look(side, "the parent's second", &second)?;
        }
        Ok(())
    })
}
