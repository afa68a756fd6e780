// SPDX-License-Identifier: GPL-2.0

//! Who sees the same page.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::ptr;

use guest::child::{fork, Child};
use guest::device::open_of;
use guest::map::{Map, Request};
use guest::pool::OURS_1G;
use guest::{call, ptrace, same, Check};

use crate::balance::{balanced, marked_in_one_entry};
use crate::PAGE;

pub fn forked_and_passed_on() -> Check {
    balanced(1, || {
        // Knows the file by the descriptor that comes.
        let stranger = fork(|link| {
            let map = Request::of(OURS_1G, 1).map(&link.receive_descriptor()?)?;
            marked_in_one_entry(&map, 0, 2)?;
            map.mark(0, 3);
            link.send(1)?;
            link.number().map(drop)
        })?;
        let file = open_of(OURS_1G)?;
        let map = Request::of(OURS_1G, 1).map(&file)?;
        map.mark(0, 1);
        let child = fork(|link| {
            marked_in_one_entry(&map, 0, 1)?;
            map.mark(0, 2);
            link.send(1)?;
            link.number()?;
            map.marked(0, 3)
        })?;
        child.link.number()?;
        map.marked(0, 2)?;
        stranger.link.send_descriptor(&file)?;
        stranger.link.number()?;
        map.marked(0, 3)?;
        child.link.send(1)?;
        child.finish()?;
        drop((map, file));
        same!(OURS_1G.free()?, 0, "free_hugepages while one has the file");
        stranger.link.send(1)?;
        stranger.finish()
    })
}

/// Where words are looked at.
const OFFSETS: [usize; 3] = [0, PAGE / 2 + 4096, PAGE - 8];

pub fn from_outside() -> Check {
    balanced(1, || {
        let map = Map::of(OURS_1G, 1)?;
        let child = fork(|link| {
            // The first user is somebody else: the child has no entry yet.
            link.number()?;
            for offset in OFFSETS {
                link.send(map.read(offset))?;
            }
            link.number()?;
            for offset in OFFSETS {
                link.send(map.read(offset))?;
            }
            link.number().map(drop)
        })?;
        for (number, offset) in OFFSETS.into_iter().enumerate() {
            let address = map.at(offset);
            let mut word = 100 + number as u64;
            same!(
                write_by_pid(&child, address, &mut word)?,
                8,
                "bytes written"
            );
            word = 0;
            same!(read_by_pid(&child, address, &mut word)?, 8, "bytes read");
            same!(word, 100 + number as u64, "word read by pid");
        }
        // Here is an entry, too.
        map.read(0);
        child.link.send(1)?;
        for number in 0..OFFSETS.len() as u64 {
            same!(child.link.number()?, 100 + number, "word in the child");
        }
        attach(&child)?;
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/mem", child.pid()))?;
        for (number, offset) in OFFSETS.into_iter().enumerate() {
            let address = map.at(offset);
            same!(peek(&child, address)?, 100 + number as u64, "word peeked");
            poke(&child, address, 200)?;
            let mut word = [0; 8];
            memory.read_exact_at(&mut word, address as u64)?;
            same!(u64::from_ne_bytes(word), 200, "word in /proc/PID/mem");
            let word = 300 + number as u64;
            memory.write_all_at(&word.to_ne_bytes(), address as u64)?;
            same!(map.read(offset), word, "word here");
        }
        detach(&child)?;
        child.link.send(1)?;
        for number in 0..OFFSETS.len() as u64 {
            same!(child.link.number()?, 300 + number, "word in the child");
        }
        child.link.send(1)?;
        child.finish()
    })
}

fn part(at: *mut u8) -> libc::iovec {
    libc::iovec {
        iov_base: at.cast(),
        iov_len: 8,
    }
}

fn read_by_pid(child: &Child, address: *mut u8, word: &mut u64) -> Check<i64> {
    let (here, there) = (part(ptr::from_mut(word).cast()), part(address));
    // SAFETY: There is room for the word; the other address is the child's.
    let read = unsafe { libc::process_vm_readv(child.pid(), &here, 1, &there, 1, 0) };
    Ok(call(read as i64)?)
}

fn write_by_pid(child: &Child, address: *mut u8, word: &mut u64) -> Check<i64> {
    let (here, there) = (part(ptr::from_mut(word).cast()), part(address));
    // SAFETY: As in `read_by_pid`; the child's accesses are volatile.
    let written = unsafe { libc::process_vm_writev(child.pid(), &here, 1, &there, 1, 0) };
    Ok(call(written as i64)?)
}

fn trace(request: libc::c_uint, child: &Child, address: *mut u8, data: *mut u64) -> Check {
    // SAFETY: The kernel writes at most a word to `data`, where the request says so.
    call(unsafe { libc::syscall(libc::SYS_ptrace, request, child.pid(), address, data) })?;
    Ok(())
}

fn attach(child: &Child) -> Check {
    let nothing = ptr::null_mut();
    trace(libc::PTRACE_SEIZE, child, nothing, ptr::null_mut())?;
    trace(libc::PTRACE_INTERRUPT, child, nothing, ptr::null_mut())?;
    ptrace::stopped(child).map(drop)
}

fn detach(child: &Child) -> Check {
    trace(libc::PTRACE_DETACH, child, ptr::null_mut(), ptr::null_mut())
}

fn peek(child: &Child, address: *mut u8) -> Check<u64> {
    let mut word = 0;
    trace(libc::PTRACE_PEEKDATA, child, address, &mut word)?;
    Ok(word)
}

fn poke(child: &Child, address: *mut u8, word: u64) -> Check {
    trace(
        libc::PTRACE_POKEDATA,
        child,
        address,
        ptr::without_provenance_mut(word as usize),
    )
}
