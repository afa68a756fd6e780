// SPDX-License-Identifier: GPL-2.0

//! The calls. What they return is the kernel's business: nothing is checked here.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::ptr;

use guest::{access, file};

use crate::sequence::Sequence;
use crate::state::State;
use crate::sysfs;
use crate::values::{self, pick};

/// A call with its four numbers.
pub type Act = fn(&mut State, [u8; 4]) -> i64;

/// All of them, by the names that corpus.txt has. Those that lead far come more than once.
pub const CALLS: &[(&str, Act)] = &[
    ("open", open),
    ("map", map),
    ("map", map),
    ("map", map),
    ("touch", touch),
    ("touch", touch),
    ("touch", touch),
    ("unmap", unmap),
    ("protect", protect),
    ("remap", remap),
    ("remap", remap),
    ("advise", advise),
    ("advise", advise),
    ("punch", punch),
    ("punch", punch),
    ("size", size),
    ("preallocate", preallocate),
    ("preallocate", preallocate),
    ("info", info),
    ("ioctl", ioctl),
    ("fork", fork),
    ("fork", fork),
    ("write", sysfs::write),
    ("write", sysfs::write),
    ("read", sysfs::read),
    ("close", close),
    ("copy", copy),
    ("lend", lend),
    ("drain", drain),
    ("peer", peer),
    ("lock", lock),
    ("bind", bind),
    ("policy", policy),
    ("limit", limit),
    ("look", look),
    ("change", change),
    ("watch", watch),
    ("seal", seal),
    ("move", move_pages),
    ("exit", exit),
];

/// A file's path, and how it is opened.
fn opening([_, path, flags, _]: [u8; 4]) -> (&'static CStr, i32) {
    let flags = pick(&values::OPEN, flags) | libc::O_CLOEXEC;
    (pick(&values::DEVICES, path), flags)
}

fn open(state: &mut State, arguments: [u8; 4]) -> i64 {
    let (path, flags) = opening(arguments);
    // SAFETY: A C string and numbers.
    let mut fd = unsafe { libc::open(path.as_ptr(), flags) };
    if let Some(user) = &mut state.user {
        fd = user.opened(path, flags, fd);
    }
    state.put_file(arguments[0], fd.into());
    fd.into()
}

/// Opens all that a sequence opens, for somebody who may not.
pub fn open_for(sequence: &Sequence) -> VecDeque<i32> {
    let calls = sequence.calls.iter();
    let opens = calls.filter(|call| CALLS[call.number].0 == "open");
    opens
        .map(|call| {
            let (path, flags) = opening(call.arguments);
            // SAFETY: A C string and numbers.
            unsafe { libc::open(path.as_ptr(), flags) }
        })
        .collect()
}

fn close(state: &mut State, [slot, ..]: [u8; 4]) -> i64 {
    state.put_file(slot, -1);
    0
}

fn copy(state: &mut State, [slot, from, ..]: [u8; 4]) -> i64 {
    // SAFETY: A number.
    let fd = unsafe { libc::dup(state.file(from)) };
    state.put_file(slot, fd.into());
    fd.into()
}

/// The slots of file and mapping, the length, the offset; protection and flags.
fn map(state: &mut State, [slots, length, offset, how]: [u8; 4]) -> i64 {
    let (file, slot) = (state.file(slots), slots >> 2);
    let bytes = values::length(length);
    let flags = pick(&values::MAP, how >> 3);
    let hint = state.part(slots >> 4, length >> 2, 0).0;
    // SAFETY: It may replace whatever was mapped; this process is here to be spoilt.
    let address = unsafe {
        libc::mmap(
            hint as *mut _,
            bytes as usize,
            pick(&values::PROTECTIONS, how),
            flags,
            file,
            values::offset(offset) as i64,
        )
    } as i64;
    state.put_mapping(slot, address, bytes);
    address
}

/// Reads or writes a word in each page of a part.
fn touch(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    let start = start.wrapping_add(usize::from(how & 6) * 512) & !7;
    let mut touched = 0;
    for address in (start..start.saturating_add(bytes))
        .step_by(guest::HUGE)
        .take(16)
    {
        // SAFETY: Aligned; where nothing is mapped, a signal comes, which is caught.
        let result = unsafe {
            match how & 1 {
                0 => access::store(address as *mut u64, 1),
                _ => access::load(address as *const u64).map(drop),
            }
        };
        touched += i64::from(result.is_ok());
    }
    touched
}

fn unmap(state: &mut State, [mapping, offset, length, _]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    // SAFETY: As in `map`.
    unsafe { libc::munmap(start as *mut _, bytes) }.into()
}

fn protect(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    // SAFETY: As in `map`.
    unsafe { libc::mprotect(start as *mut _, bytes, pick(&values::PROTECTIONS, how)) }.into()
}

fn remap(state: &mut State, [slots, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(slots, offset, length);
    let new = values::length(how);
    let to = state.part(slots >> 4, how, 0).0;
    let flags = match how >> 5 {
        0 | 1 => 0,
        2 | 3 => libc::MREMAP_MAYMOVE,
        4 | 5 => libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
        _ => libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP,
    };
    // SAFETY: As in `map`.
    let address = unsafe { libc::mremap(start as *mut _, bytes, new as usize, flags, to) } as i64;
    state.put_mapping(slots >> 2, address, new);
    address
}

fn advise(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    // SAFETY: As in `map`.
    unsafe { libc::madvise(start as *mut _, bytes, values::advice(how)) }.into()
}

fn range(offset: u8, length: u8) -> [u64; 2] {
    [values::offset(offset), values::length(length)]
}

fn punch(state: &mut State, [slot, offset, length, _]: [u8; 4]) -> i64 {
    let range = range(offset, length);
    // SAFETY: The range is there.
    unsafe { libc::ioctl(state.file(slot), file::PUNCH_HOLE, &range) }.into()
}

fn preallocate(state: &mut State, [slot, offset, length, _]: [u8; 4]) -> i64 {
    let range = range(offset, length);
    // SAFETY: The range is there.
    unsafe { libc::ioctl(state.file(slot), file::PREALLOCATE, &range) }.into()
}

fn size(state: &mut State, [slot, length, ..]: [u8; 4]) -> i64 {
    let size = values::offset(length);
    // SAFETY: The number is there.
    unsafe { libc::ioctl(state.file(slot), file::SET_SIZE, &size) }.into()
}

fn info(state: &mut State, [slot, ..]: [u8; 4]) -> i64 {
    let mut info = [0u64; 4];
    // SAFETY: There is room for the answer.
    unsafe { libc::ioctl(state.file(slot), file::INFO, &mut info) }.into()
}

/// Any number, with an argument in or out of a mapping.
fn ioctl(state: &mut State, [slot, number, mapping, offset]: [u8; 4]) -> i64 {
    let known = [
        file::INFO,
        file::SET_SIZE,
        file::PUNCH_HOLE,
        file::PREALLOCATE,
    ];
    let number = match number {
        0..=127 => pick(&known, number),
        128..=191 => pick(&known, number) ^ (1 << (number % 32)),
        _ => 0x5400 + u64::from(number),
    };
    let argument = state
        .part(mapping, offset, 0)
        .0
        .wrapping_sub(usize::from(offset & 12));
    // SAFETY: The kernel checks where it writes to; if to this process's memory, that may be spoilt.
    unsafe { libc::ioctl(state.file(slot), number, argument) }.into()
}

/// Another process, which goes on with the same sequence.
fn fork(state: &mut State, _: [u8; 4]) -> i64 {
    if state.forks == 0 {
        return -1;
    }
    state.forks -= 1;
    // SAFETY: There is one thread.
    unsafe { libc::fork() }.into()
}

fn exit(state: &mut State, [how, ..]: [u8; 4]) -> i64 {
    match how {
        0..=15 if state.forks < 2 => {
            // SAFETY: Numbers; this process's destructors are nobody's business.
            unsafe {
                match how & 1 {
                    0 => libc::_exit(0),
                    _ => libc::kill(libc::getpid(), libc::SIGKILL),
                }
            }
            .into()
        }
        _ => 0,
    }
}

/// Pins pages of a mapping by way of a pipe.
fn lend(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    let part = libc::iovec {
        iov_base: start as *mut _,
        iov_len: bytes.min(1 << 16),
    };
    let flags = libc::SPLICE_F_NONBLOCK | (u32::from(how & 1) * libc::SPLICE_F_GIFT);
    // SAFETY: The kernel looks itself whether anything is mapped there.
    unsafe { libc::vmsplice(state.pipe[1], &part, 1, flags) as i64 }
}

/// Reads what was lent, into nowhere or into a mapping.
fn drain(state: &mut State, [mapping, offset, ..]: [u8; 4]) -> i64 {
    let start = state.part(mapping, offset, 0).0;
    // SAFETY: As in `ioctl`.
    unsafe { libc::read(state.pipe[0], start as *mut _, 1 << 14) as i64 }
}

/// Reads or writes a mapping as a debugger does.
fn peer(state: &mut State, [mapping, offset, other, how]: [u8; 4]) -> i64 {
    let vector = |start: usize| libc::iovec {
        iov_base: start as *mut _,
        iov_len: 1 << 13,
    };
    let here = vector(state.part(other, offset >> 3, 0).0);
    let there = vector(state.part(mapping, offset, 0).0);
    // SAFETY: As in `ioctl`.
    unsafe {
        let pid = libc::getpid();
        match how & 1 {
            0 => libc::process_vm_readv(pid, &here, 1, &there, 1, 0) as i64,
            _ => libc::process_vm_writev(pid, &here, 1, &there, 1, 0) as i64,
        }
    }
}

fn lock(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    // SAFETY: Addresses that the kernel looks up.
    unsafe {
        match how % 5 {
            0 => libc::mlock(start as *const _, bytes).into(),
            1 => libc::munlock(start as *const _, bytes).into(),
            2 => libc::mlock2(start as *const _, bytes, libc::MLOCK_ONFAULT as _).into(),
            3 => libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT).into(),
            _ => libc::munlockall().into(),
        }
    }
}

fn bind(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    let (start, bytes) = state.part(mapping, offset, length);
    let nodes = u64::from((how >> 3) & 3);
    let flags = u64::from(how >> 5);
    // SAFETY: The mask is there.
    unsafe {
        libc::syscall(
            libc::SYS_mbind,
            start,
            bytes,
            i64::from(how & 7),
            &nodes,
            64,
            flags,
        )
    }
}

fn policy(_: &mut State, [how, ..]: [u8; 4]) -> i64 {
    let nodes = u64::from((how >> 3) & 3);
    // SAFETY: The mask is there.
    unsafe { libc::syscall(libc::SYS_set_mempolicy, i64::from(how & 7), &nodes, 64) }
}

fn limit(_: &mut State, [which, size, ..]: [u8; 4]) -> i64 {
    let which = pick(
        &[libc::RLIMIT_FSIZE, libc::RLIMIT_MEMLOCK, libc::RLIMIT_DATA],
        which,
    );
    let limit = libc::rlimit {
        rlim_cur: values::offset(size),
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: The limit is there.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(which, &limit).into()
    }
}

/// What describes a mapping or a file.
fn look(state: &mut State, [what, file, mapping, offset]: [u8; 4]) -> i64 {
    let paths = [
        c"/proc/self/smaps",
        c"/proc/self/numa_maps",
        c"/proc/self/smaps_rollup",
        c"/proc/self/maps",
    ];
    let (start, _) = state.part(mapping, offset, 0);
    let mut into = vec![0u8; 1 << 14];
    // SAFETY: There is room for what is read, and for the answers.
    unsafe {
        match what % 8 {
            0..=3 => {
                let fd = libc::open(
                    pick(&paths, what).as_ptr(),
                    libc::O_RDONLY | libc::O_CLOEXEC,
                );
                let mut total = 0;
                loop {
                    let read = libc::read(fd, into.as_mut_ptr().cast(), into.len());
                    if read <= 0 {
                        break;
                    }
                    total += read as i64;
                }
                libc::close(fd);
                total
            }
            4 => libc::mincore(start as *mut _, guest::HUGE, into.as_mut_ptr()).into(),
            5 => libc::fstat(state.file(file), into.as_mut_ptr().cast()).into(),
            6 => libc::lseek(
                state.file(file),
                values::offset(offset) as i64,
                i32::from(mapping % 5),
            ),
            _ => {
                let mut ask = libc::pollfd {
                    fd: state.file(file),
                    events: -1,
                    revents: 0,
                };
                libc::poll(&mut ask, 1, 0).into()
            }
        }
    }
}

/// Calls that change files, though not ours.
fn change(state: &mut State, [what, file, offset, length]: [u8; 4]) -> i64 {
    let (fd, from, bytes) = (
        state.file(file),
        values::offset(offset) as i64,
        values::length(length),
    );
    let mut buffer = [0u8; 512];
    // SAFETY: There is room; numbers otherwise.
    unsafe {
        match what % 10 {
            0 => libc::fallocate(fd, i32::from(what >> 4), from, bytes as i64).into(),
            1 => libc::ftruncate(fd, from).into(),
            2 => libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), from) as i64,
            3 => libc::pwrite(fd, buffer.as_ptr().cast(), buffer.len(), from) as i64,
            4 => libc::fsync(fd).into(),
            5 => libc::posix_fadvise(fd, from, bytes as i64, i32::from(what >> 4)).into(),
            6 => libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB).into(),
            7 => libc::fcntl(fd, libc::F_SETFL, pick(&values::OPEN, length)).into(),
            8 => libc::splice(fd, ptr::null_mut(), state.pipe[1], ptr::null_mut(), 4096, 2) as i64,
            _ => libc::msync(
                state.part(file, offset, length).0 as *mut _,
                bytes as usize,
                i32::from(what >> 5),
            )
            .into(),
        }
    }
}

/// A mapping whose faults a program wants to see.
fn watch(state: &mut State, [mapping, offset, length, how]: [u8; 4]) -> i64 {
    const API: libc::c_ulong = 0xc018_aa3f;
    const REGISTER: libc::c_ulong = 0xc020_aa00;
    let (start, bytes) = state.part(mapping, offset, length);
    let mut api = [0xaau64, 0, 0];
    let mut register = [start as u64, bytes as u64, u64::from(how & 7), 0];
    // SAFETY: There is room for the answers.
    unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) as i32;
        libc::ioctl(fd, API, api.as_mut_ptr());
        let result = libc::ioctl(fd, REGISTER, register.as_mut_ptr());
        libc::close(fd);
        result.into()
    }
}

fn seal(state: &mut State, [mapping, offset, length, _]: [u8; 4]) -> i64 {
    const MSEAL: libc::c_long = 462;
    let (start, bytes) = state.part(mapping, offset, length);
    // SAFETY: Numbers.
    unsafe { libc::syscall(MSEAL, start, bytes, 0) }
}

fn move_pages(state: &mut State, [mapping, offset, node, how]: [u8; 4]) -> i64 {
    let page = state.part(mapping, offset, 0).0;
    let (node, mut status) = (i32::from(node % 3), 0);
    let (from, to) = (1u64, 2u64);
    // SAFETY: One page, one node, one answer; two masks.
    unsafe {
        match how % 3 {
            0 => libc::syscall(libc::SYS_move_pages, 0, 1, &page, &node, &mut status, 2),
            1 => libc::syscall(libc::SYS_migrate_pages, 0, 64, &from, &to),
            _ => libc::syscall(libc::SYS_remap_file_pages, page, guest::HUGE, 0, node, 0),
        }
    }
}
