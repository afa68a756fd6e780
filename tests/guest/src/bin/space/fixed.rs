// SPDX-License-Identifier: GPL-2.0

//! MAP_FIXED over mappings, and mmap's other flags.

use guest::beside::Side;
use guest::kind::{beside_both, half_touched, look, stamped, Kind};
use guest::map::{Map, Request};
use guest::{vmas, Check, Errno, HUGE};

const ANONYMOUS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Maps anonymous memory at `offset` bytes into `map`; it stays there.
fn anonymous_over(map: &Map, offset: usize, bytes: usize, flags: libc::c_int) -> Result<(), Errno> {
    let request = Request {
        address: map.at(offset),
        bytes,
        flags: ANONYMOUS | flags,
        ..Request::pages(1)
    };
    request.map_fd(-1).map(std::mem::forget)
}

pub fn anonymous_memory_over_it() -> Check {
    beside_both(6, |side, kind| {
        for (offset, bytes) in [
            (0, 4096),
            (HUGE - 4096, 8192),
            (4096, HUGE),
            (HUGE, 4096),
            (3 * HUGE - 4096, 4096),
        ] {
            let (_file, map) = half_touched(side, kind, 3)?;
            let mapped = anonymous_over(&map, offset, bytes, libc::MAP_FIXED);
            side.note(format_args!("{bytes} at {offset}"), mapped);
            side.note("borders", vmas::borders(map.base(), map.bytes())?);
            look(side, "after a refusal", &map)?;
        }
        for (offset, bytes) in [(0, HUGE), (HUGE, HUGE), (HUGE, 2 * HUGE), (0, 3 * HUGE)] {
            let (_file, map) = half_touched(side, kind, 3)?;
            let flags = libc::MAP_FIXED_NOREPLACE;
            side.note("in its place", anonymous_over(&map, offset, bytes, flags));
            let mapped = anonymous_over(&map, offset, bytes, libc::MAP_FIXED);
            side.note(format_args!("{bytes} at {offset}"), mapped);
            side.note("borders", vmas::borders(map.base(), map.bytes())?);
            look(side, "after it", &map)?;
        }
        Ok(())
    })
}

/// Maps pages of `kind` of a file over a part of `map`; they stay there.
fn huge_over(map: &Map, page: usize, request: Request, file: &std::fs::File) -> Result<(), Errno> {
    let request = Request {
        address: map.at(page * HUGE),
        flags: request.flags | libc::MAP_FIXED,
        ..request
    };
    request.map(file).map(std::mem::forget)
}

pub fn huge_pages_over_it() -> Check {
    beside_both(9, |side, kind| {
        for over in Kind::BOTH {
            for (page, pages) in [(0, 1), (1, 1), (1, 2), (0, 3)] {
                let name = format!("{pages} {over:?} over page {page}");
                let (file, map) = half_touched(side, kind, 3)?;
                // Another file's.
                huge_over(&map, page, over.pages(pages), &side.open()?)?;
                look(side, &format!("{name}, another file"), &map)?;
                // The same file's, from its second page on.
                let request = Request {
                    offset: HUGE as i64,
                    ..over.pages(pages)
                };
                huge_over(&map, page, request, &file)?;
                side.note("borders", vmas::borders(map.base(), map.bytes())?);
                look(side, &format!("{name}, the same file"), &map)?;
            }
        }
        Ok(())
    })
}

pub fn huge_pages_over_anonymous_memory() -> Check {
    beside_both(6, |side, kind| {
        let (range, aligned) = Map::reserve(4)?;
        range.protect(0, range.bytes(), libc::PROT_READ | libc::PROT_WRITE)?;
        // Base pages, and where the kernel likes huge ones of its own, those.
        for offset in (0..range.bytes()).step_by(4096) {
            range.write(offset, 9);
        }
        let request = Request {
            address: aligned.wrapping_add(HUGE),
            flags: kind.pages(1).flags | libc::MAP_FIXED,
            ..kind.pages(2)
        };
        let map = request.map(&side.open()?)?;
        map.holds(0, 0)?;
        map.fill(1, 3);
        side.note_counts("mapped")?;
        let before = aligned as usize - range.base() as usize;
        side.note("in front", range.read(before + HUGE - 4096));
        side.note("behind", range.read(before + 3 * HUGE));
        look(side, "mapped", &map)
    })
}

/// A mapping over another one that the pool cannot promise pages to.
pub fn what_a_refused_mapping_was_to_replace() -> Check {
    beside_both(4, |side, kind| {
        let (_file, map) = stamped(side, kind, 3)?;
        let file = side.open()?;
        let over = huge_over(&map, 0, kind.pages(2), &file);
        side.note("2 pages of 1 over 2 of 3", over);
        side.note("borders", vmas::borders(map.base(), map.bytes())?);
        look(side, "after it", &map)
    })
}

/// Flags that only mean something elsewhere.
const FLAGS: [(&str, libc::c_int); 8] = [
    ("MAP_32BIT", libc::MAP_32BIT),
    ("MAP_DENYWRITE", libc::MAP_DENYWRITE),
    ("MAP_EXECUTABLE", libc::MAP_EXECUTABLE),
    ("MAP_NONBLOCK", libc::MAP_NONBLOCK),
    ("MAP_STACK", libc::MAP_STACK),
    ("MAP_GROWSDOWN", libc::MAP_GROWSDOWN),
    ("MAP_SYNC", libc::MAP_SYNC),
    ("MAP_UNINITIALIZED", 0x400_0000),
];

pub fn other_flags() -> Check {
    beside_both(4, |side, kind| {
        for (name, flag) in FLAGS {
            let seen = try_flags(side, kind.pages(2).flags | flag)?;
            side.note(name, seen);
        }
        if kind == Kind::Shared {
            let validate = libc::MAP_SHARED_VALIDATE;
            let seen = try_flags(side, validate)?;
            side.note("MAP_SHARED_VALIDATE", seen);
            for (name, flag) in FLAGS {
                let seen = try_flags(side, validate | flag)?;
                side.note(format_args!("{name}, validated"), seen);
            }
            let seen = try_flags(side, 0)?;
            side.note("neither shared nor private", seen);
        }
        Ok(())
    })
}

/// Maps two pages so, and touches them.
fn try_flags(side: &Side, flags: libc::c_int) -> Check<Result<bool, Errno>> {
    let request = Request {
        flags,
        ..Request::pages(2)
    };
    match request.map(&side.open()?) {
        Err(errno) => Ok(Err(errno)),
        Ok(map) => {
            map.fill(0, 1);
            map.holds(1, 0)?;
            Ok(Ok((map.base() as usize) < 1 << 32))
        }
    }
}
