// SPDX-License-Identifier: GPL-2.0

//! Who sees the same pages, and who does not.

use std::ptr;

use guest::child::fork;
use guest::device::open;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::{call, poll, same, Check, HUGE};

pub fn fork_shares() -> Check {
    let _pool = Resized::ours(2)?;
    let map = Map::of_new_file(2)?;
    map.fill(0, 11);
    let child = fork(|link| {
        map.holds(0, 11)?;
        map.fill(0, 22);
        // Page 1 is new here, and the parent's too.
        map.fill(1, 33);
        link.send(1)?;
        link.number()?;
        map.holds(0, 44)
    })?;
    child.link.number()?;
    map.holds(0, 22)?;
    map.holds(1, 33)?;
    same!(
        OURS.free()?,
        0,
        "free_hugepages with two pages in two processes"
    );
    map.fill(0, 44);
    child.link.send(1)?;
    child.finish()
}

pub fn passed_descriptor_sees_the_same_memory() -> Check {
    let _pool = Resized::ours(2)?;
    let child = fork(|link| {
        let file = link.receive_descriptor()?;
        let map = Request::pages(2).map(&file)?;
        map.holds(0, 5)?;
        map.fill(0, 6);
        map.fill(1, 7);
        link.send(1)?;
        // The descriptor and mapping stay until the parent has looked.
        link.number().map(drop)
    })?;
    // Opened after the fork: the child knows it by the descriptor alone.
    let file = open()?;
    let map = Request::pages(2).map(&file)?;
    map.fill(0, 5);
    child.link.send_descriptor(&file)?;
    child.link.number()?;
    map.holds(0, 6)?;
    map.holds(1, 7)?;
    // The other way round: what the parent gives up lives on in the child.
    drop((map, file));
    same!(
        OURS.free()?,
        0,
        "free_hugepages while the child has the file"
    );
    child.link.send(1)?;
    child.finish()?;
    OURS.settles_at_free(2)
}

pub fn two_opens_are_separate() -> Check {
    let _pool = Resized::ours(2)?;
    let (one, two) = (Map::of_new_file(1)?, Map::of_new_file(1)?);
    one.fill(0, 1);
    two.holds(0, 0)?;
    two.fill(0, 2);
    one.holds(0, 1)?;
    same!(OURS.free()?, 0, "free_hugepages");
    // The end of one is not the end of the other.
    drop(one);
    OURS.settles_at_free(1)?;
    two.holds(0, 2)
}

pub fn offsets_address_the_file() -> Check {
    let _pool = Resized::ours(3)?;
    let file = open()?;
    let whole = Request::pages(3).map(&file)?;
    let request = Request {
        offset: HUGE as i64,
        ..Request::pages(2)
    };
    let tail = request.map(&file)?;
    whole.fill(1, 1);
    tail.fill(1, 2);
    tail.holds(0, 1)?;
    whole.holds(2, 2)?;
    whole.holds(0, 0)?;
    same!(
        OURS.free()?,
        0,
        "free_hugepages with three pages, two mapped twice"
    );
    Ok(())
}

fn futex(map: &Map, operation: libc::c_int, value: u32) -> Result<i64, guest::Errno> {
    let no_timeout = ptr::null::<libc::timespec>();
    // SAFETY: The word lies in the mapping.
    call(unsafe { libc::syscall(libc::SYS_futex, map.base(), operation, value, no_timeout) })
}

pub fn futex_wakes_across_processes() -> Check {
    let _pool = Resized::ours(1)?;
    let map = Map::of_new_file(1)?;
    map.write(0, 0);
    let child = fork(|_| {
        futex(&map, libc::FUTEX_WAIT, 0)?;
        Ok(())
    })?;
    poll::until(
        "processes woken",
        || Ok(futex(&map, libc::FUTEX_WAKE, 1)?),
        |woken| *woken == 1,
    )?;
    child.finish()
}

pub fn another_process_reads_by_pid() -> Check {
    let _pool = Resized::ours(1)?;
    let map = Map::of_new_file(1)?;
    let base = map.at(HUGE - 8);
    let child = fork(|link| {
        map.write(HUGE - 8, 0x1234);
        link.send(1)?;
        link.number().map(drop)
    })?;
    child.link.number()?;
    // This process does not touch the page; the kernel finds it in the child.
    drop(map);
    let mut word = 0_u64;
    let here = libc::iovec {
        iov_base: (&raw mut word).cast(),
        iov_len: 8,
    };
    let there = libc::iovec {
        iov_base: base.cast(),
        iov_len: 8,
    };
    // SAFETY: There is room for the word; the other address is the child's.
    let read = call(unsafe { libc::process_vm_readv(child.pid(), &here, 1, &there, 1, 0) } as i64)?;
    same!((read, word), (8, 0x1234), "bytes read, and the word");
    child.link.send(1)?;
    child.finish()?;
    OURS.settles_at_free(1)
}
