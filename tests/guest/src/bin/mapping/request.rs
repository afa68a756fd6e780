// SPDX-License-Identifier: GPL-2.0

//! Which open, mmap, read and write calls are refused, and with which errno.

use guest::device::{open, open_with, NODES};
use guest::map::{Map, Request, READ, WRITE};
use guest::pool::{Resized, OURS};
use guest::{call, refused, same, Check, HUGE};
use std::os::fd::AsRawFd;

pub fn lengths_that_are_no_multiple_are_refused() -> Check {
    let _pool = Resized::ours(1)?;
    for node in NODES {
        let file = open_with(node, libc::O_RDWR)?;
        for bytes in [0, 1, 4096, HUGE - 4096, 3 << 20, HUGE + 1, 2 * HUGE + 4096] {
            let request = Request {
                bytes,
                ..Request::pages(1)
            };
            refused!(
                request.map(&file),
                libc::EINVAL,
                "mmap of {bytes} bytes of {node}"
            );
        }
        same!(
            Request::pages(1).map(&file)?.pages(),
            1,
            "pages mapped of {node}"
        );
    }
    Ok(())
}

pub fn offsets_that_are_no_multiple_are_refused() -> Check {
    let _pool = Resized::ours(1)?;
    let file = open()?;
    for offset in [4096, 1 << 20, HUGE as i64 - 4096, HUGE as i64 + 4096] {
        let request = Request {
            offset,
            ..Request::pages(1)
        };
        refused!(request.map(&file), libc::EINVAL, "mmap at offset {offset}");
    }
    let request = Request {
        offset: 3 * HUGE as i64,
        ..Request::pages(1)
    };
    same!(
        request.map(&file)?.pages(),
        1,
        "pages mapped at an aligned offset"
    );
    Ok(())
}

pub fn addresses_are_aligned() -> Check {
    let _pool = Resized::ours(3)?;
    let file = open()?;
    let mut maps = Vec::new();
    for pages in [1, 2, 1, 3] {
        let map = Request::pages(pages).map(&file)?;
        same!(
            map.base().align_offset(HUGE),
            0,
            "bytes to a huge page's start"
        );
        maps.push(map);
    }
    // A wish that is not aligned is a wish only.
    let (range, aligned) = Map::reserve(4)?;
    drop(range);
    let request = Request {
        address: aligned.wrapping_add(4096),
        ..Request::pages(1)
    };
    let map = request.map(&file)?;
    same!(
        map.base().align_offset(HUGE),
        0,
        "bytes to a huge page's start"
    );
    Ok(())
}

pub fn fixed_addresses_must_be_aligned() -> Check {
    let _pool = Resized::ours(1)?;
    let file = open()?;
    let (_range, aligned) = Map::reserve(2)?;
    for beside in [4096, 1 << 20, HUGE - 4096] {
        let request = Request {
            address: aligned.wrapping_add(beside),
            flags: libc::MAP_SHARED | libc::MAP_FIXED,
            ..Request::pages(1)
        };
        refused!(
            request.map(&file),
            libc::EINVAL,
            "MAP_FIXED {beside} bytes beside"
        );
    }
    let request = Request {
        address: aligned,
        flags: libc::MAP_SHARED | libc::MAP_FIXED,
        ..Request::pages(1)
    };
    let map = request.map(&file)?;
    same!(map.base(), aligned, "address of an aligned MAP_FIXED");
    map.write(0, 1);
    same!(OURS.free()?, 0, "free_hugepages after its touch");
    Ok(())
}

pub fn access_modes_limit_protection() -> Check {
    let _pool = Resized::ours(1)?;
    let reads = open_with(NODES[0], libc::O_RDONLY)?;
    refused!(
        Request::pages(1).map(&reads),
        libc::EACCES,
        "a writable mapping of a descriptor opened for reading"
    );
    let request = Request {
        protection: READ,
        ..Request::pages(1)
    };
    let map = request.map(&reads)?;
    refused!(
        map.protect(0, HUGE, READ | WRITE),
        libc::EACCES,
        "mprotect to writable of a descriptor opened for reading"
    );
    let writes = open_with(NODES[0], libc::O_WRONLY)?;
    refused!(
        Request::pages(1).map(&writes),
        libc::EACCES,
        "a mapping of a descriptor opened for writing only"
    );
    Ok(())
}

pub fn read_and_write_are_refused() -> Check {
    let file = open()?;
    let mut byte = 0_u8;
    let (fd, buffer) = (file.as_raw_fd(), (&raw mut byte).cast::<libc::c_void>());
    // SAFETY: The byte is there, for each of the calls.
    unsafe {
        refused!(call(libc::read(fd, buffer, 1) as i64), libc::EINVAL, "read");
        refused!(
            call(libc::write(fd, buffer, 1) as i64),
            libc::EINVAL,
            "write"
        );
        refused!(
            call(libc::pread(fd, buffer, 1, 0) as i64),
            libc::EINVAL,
            "pread"
        );
        refused!(
            call(libc::pwrite(fd, buffer, 1, 0) as i64),
            libc::EINVAL,
            "pwrite"
        );
    }
    Ok(())
}
