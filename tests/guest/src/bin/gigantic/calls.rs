// SPDX-License-Identifier: GPL-2.0

//! Requests that are refused for where they begin and end.

use guest::beside::beside_in;
use guest::device::open_of;
use guest::map::{Map, Request, READ, WRITE};
use guest::policy::Policy;
use guest::pool::OURS_1G;
use guest::{call, refused, same, word, Check, Errno, HUGE};

use crate::balance::balanced;
use crate::{PAGE, POOLS};

/// Bytes beside a multiple of a page.
const BESIDE: [usize; 3] = [4096, HUGE, PAGE - HUGE];

pub fn requests_that_are_refused() -> Check {
    beside_in(POOLS, 0, |side| {
        let file = side.open()?;
        let request = Request::of(side.pool(), 1).unreserved();
        let (_range, aligned) = Map::reserve_for(Request::of(side.pool(), 2))?;
        for bytes in BESIDE {
            let fixed = Request {
                address: aligned.wrapping_add(bytes),
                flags: request.flags | libc::MAP_FIXED,
                ..request
            };
            let shifted = Request {
                offset: bytes as i64,
                ..request
            };
            for (what, request) in [("an address", fixed), ("an offset", shifted)] {
                let result = request.map(&file).map(drop);
                refused!(result, libc::EINVAL, "{what} {bytes} bytes beside");
                side.note(format_args!("{what} {bytes} bytes beside"), result);
            }
        }
        Ok(())
    })?;
    // What is rounded up there, or works.
    balanced(0, || {
        let file = open_of(OURS_1G)?;
        let request = Request::of(OURS_1G, 1).unreserved();
        for bytes in BESIDE {
            for bytes in [bytes, PAGE + bytes] {
                let request = Request { bytes, ..request };
                refused!(request.map(&file), libc::EINVAL, "{bytes} bytes");
            }
        }
        for request in [request, Request::of(OURS_1G, 1)] {
            refused!(
                request.private().map(&file),
                libc::EINVAL,
                "a private mapping"
            );
        }
        Ok(())
    })
}

pub fn addresses_are_aligned() -> Check {
    balanced(0, || {
        let file = open_of(OURS_1G)?;
        let request = Request::of(OURS_1G, 2).unreserved();
        let (range, aligned) = Map::reserve_for(request)?;
        let fixed = Request {
            address: aligned,
            flags: request.flags | libc::MAP_FIXED,
            ..request
        };
        same!(fixed.map(&file)?.base(), aligned, "address with MAP_FIXED");
        drop(range);
        let mut maps = Vec::new();
        for bytes in [0, 4096, HUGE, PAGE] {
            let request = Request {
                address: aligned.wrapping_add(bytes),
                ..request
            };
            let map = request.map(&file)?;
            same!(
                map.base().align_offset(PAGE),
                0,
                "bytes to a page's start from where a wish led"
            );
            maps.push(map);
        }
        Ok(())
    })
}

/// Parts of a mapping of two pages that cut a page.
const CUTS: [(usize, usize); 5] = [
    (0, 4096),
    (0, PAGE - HUGE),
    (HUGE, PAGE),
    (PAGE, HUGE),
    (PAGE + HUGE, PAGE - HUGE),
];

/// Something that is done to a part, by name.
type Act = (&'static str, fn(&Part) -> Result<i64, Errno>);

/// What may be done to a part.
const ACTS: [Act; 5] = [
    ("munmap", |part| part.map.unmap(part.offset, part.bytes)),
    ("mprotect", |part| {
        part.map.protect(part.offset, part.bytes, READ)
    }),
    ("MADV_DONTFORK", |part| part.advise(libc::MADV_DONTFORK)),
    ("MADV_RANDOM", |part| part.advise(libc::MADV_RANDOM)),
    ("MAP_FIXED over it", |part| {
        let request = Request {
            address: part.map.at(part.offset),
            bytes: part.bytes,
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            ..Request::pages(1)
        };
        // Were it mapped, it would be a part of the mapping still.
        request.map_fd(-1).map(std::mem::forget).map(|()| 0)
    }),
];

struct Part<'a> {
    map: &'a Map,
    offset: usize,
    bytes: usize,
}

impl Part<'_> {
    fn advise(&self, advice: libc::c_int) -> Result<i64, Errno> {
        let start = self.map.at(self.offset).cast();
        // SAFETY: The range lies in the mapping.
        call(unsafe { libc::madvise(start, self.bytes, advice) })
    }
}

pub fn parts_are_refused() -> Check {
    beside_in(POOLS, 2, |side| {
        let map = side.map_unreserved(2)?;
        map.mark(0, 5);
        for (offset, bytes) in CUTS {
            let map = &map;
            let part = Part { map, offset, bytes };
            for (what, act) in ACTS {
                let result = act(&part);
                refused!(result, libc::EINVAL, "{what} of {bytes} at {offset}");
                side.note(format_args!("{what} of {bytes} at {offset}"), result);
            }
        }
        map.marked(0, 5)?;
        // The whole goes down and up.
        map.protect(0, 2 * PAGE, READ)?;
        side.note("a write when it is down", word::store(&map, 8, 9));
        map.marked(0, 5)?;
        map.protect(0, PAGE, READ | WRITE)?;
        map.mark(0, 6);
        Policy::local().set_on(&map)?;
        map.unmap(PAGE, PAGE)?;
        map.marked(0, 6)?;
        side.counts("with one of two pages", (2, 1, 0, 0))?;
        drop(map);
        side.settles("in the end", (2, 2, 0, 0))
    })
}
