// SPDX-License-Identifier: GPL-2.0

//! Every way a process lets go of its pages.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::{ffi::CString, ptr};

use guest::child::{fork, Child};
use guest::device::open;
use guest::link::Link;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::{call, same, Check, HUGE};

const POOL: u64 = 8;
const USED: usize = 4;

/// A new file with its pages mapped and written.
fn used_file() -> Check<(File, Map)> {
    let file = open()?;
    let map = Request::pages(USED).map(&file)?;
    for page in 0..USED {
        map.write(page * HUGE, 1);
    }
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with {USED} in use"
    );
    Ok((file, map))
}

/// A child that uses its pages, and does `then` when the link says so.
fn user_of_pages(then: fn(File, Map) -> Check) -> Check<Child> {
    let child = fork(|link| {
        let (file, map) = used_file()?;
        link.send(1)?;
        link.number()?;
        then(file, map)
    })?;
    child.link.number()?;
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with {USED} in use"
    );
    Ok(child)
}

pub fn close_and_munmap_give_pages_back() -> Check {
    let _pool = Resized::ours(POOL)?;
    let (file, map) = used_file()?;
    drop(file);
    drop(map);
    OURS.settles_at_free(POOL)?;
    let (file, map) = used_file()?;
    drop(map);
    drop(file);
    OURS.settles_at_free(POOL)?;
    same!(OURS.nr()?, POOL, "nr_hugepages");
    Ok(())
}

pub fn munmap_alone_keeps_the_pages_with_the_file() -> Check {
    let _pool = Resized::ours(POOL)?;
    let (file, map) = used_file()?;
    drop(map);
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the file open"
    );
    let map = Request::pages(USED).map(&file)?;
    for page in 0..USED {
        same!(map.read(page * HUGE), 1, "first word of page {page}");
    }
    Ok(())
}

pub fn close_alone_keeps_the_pages_with_the_mapping() -> Check {
    let _pool = Resized::ours(POOL)?;
    let (file, map) = used_file()?;
    drop(file);
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the file mapped"
    );
    for page in 0..USED {
        same!(map.read(page * HUGE), 1, "first word of page {page}");
    }
    Ok(())
}

pub fn exit_gives_pages_back() -> Check {
    let _pool = Resized::ours(POOL)?;
    let child = user_of_pages(|file, map| {
        // Nothing is unmapped or closed: the end of the process does both.
        std::mem::forget((file, map));
        Ok(())
    })?;
    child.link.send(1)?;
    child.finish()?;
    OURS.settles_at_free(POOL)
}

pub fn kill_gives_pages_back() -> Check {
    let _pool = Resized::ours(POOL)?;
    for _ in 0..5 {
        user_of_pages(|_, _| Ok(()))?.kill()?;
        OURS.settles_at_free(POOL)?;
    }
    Ok(())
}

/// Becomes this program again, which waits for the end of the descriptor `until` and exits.
fn exec_waiting(until: &impl AsRawFd) -> Check {
    let number = CString::new(until.as_raw_fd().to_string())?;
    let arguments = [c"lifetime".as_ptr(), number.as_ptr(), ptr::null()];
    // SAFETY: Path and arguments are C strings, and the list ends with a null.
    unsafe {
        call(libc::fcntl(until.as_raw_fd(), libc::F_SETFD, 0))?;
        call(libc::execv(c"/proc/self/exe".as_ptr(), arguments.as_ptr()))?;
    }
    Ok(())
}

/// The program that [`exec_waiting`] starts: says that it runs, and waits for the other side.
pub fn after_exec(fd: &str) -> ExitCode {
    let Ok(number) = fd.parse() else {
        eprintln!("lifetime: {fd}: unknown argument: run it without any");
        return ExitCode::from(2);
    };
    // SAFETY: exec_waiting left it open for this program alone.
    let link = Link::from(unsafe { OwnedFd::from_raw_fd(number) });
    match link.send(1).and_then(|()| link.number()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

pub fn exec_gives_pages_back() -> Check {
    let _pool = Resized::ours(POOL)?;
    let child = fork(|link| {
        let (_file, _map) = used_file()?;
        exec_waiting(link)
    })?;
    child.link.number()?;
    // The process lives; its descriptor was closed on exec, and its mapping is gone.
    OURS.settles_at_free(POOL)?;
    child.link.send(1)?;
    child.finish()
}

pub fn exec_with_the_descriptor_keeps_them() -> Check {
    let _pool = Resized::ours(POOL)?;
    let child = fork(|link| {
        let (file, _map) = used_file()?;
        // SAFETY: fcntl takes numbers.
        call(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) })?;
        exec_waiting(link)
    })?;
    child.link.number()?;
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the file inherited"
    );
    child.link.send(1)?;
    child.finish()?;
    OURS.settles_at_free(POOL)
}

pub fn the_last_of_two_processes_gives_pages_back() -> Check {
    let _pool = Resized::ours(POOL)?;
    let (file, map) = used_file()?;
    let child = fork(|link| link.number().map(drop))?;
    drop((file, map));
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the child left"
    );
    child.link.send(1)?;
    child.finish()?;
    OURS.settles_at_free(POOL)
}

pub fn descriptor_in_flight_keeps_them() -> Check {
    let _pool = Resized::ours(POOL)?;
    let (near, far) = Link::pair()?;
    let (file, map) = used_file()?;
    near.send_descriptor(&file)?;
    drop((file, map));
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the file in flight"
    );
    let file = far.receive_descriptor()?;
    let map = Request::pages(USED).map(&file)?;
    same!(map.read(0), 1, "first word after the journey");
    near.send_descriptor(&file)?;
    drop((file, map));
    // In flight and never received: the end of the line ends the file.
    same!(
        OURS.free()?,
        POOL - USED as u64,
        "free_hugepages with the file in flight"
    );
    drop((near, far));
    OURS.settles_at_free(POOL)
}
