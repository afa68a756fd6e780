// SPDX-License-Identifier: GPL-2.0

//! What a mapping charges, and what becomes of it.

use guest::beside::beside;
use guest::bus::{touch_all, Touch};
use guest::map::{Request, READ};
use guest::{same, Check, HUGE};

pub fn pages_are_reserved_at_mmap_used_at_touch_and_given_back() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        side.counts("with an empty file", (4, 4, 0, 0))?;
        let map = Request::pages(3).map(&file)?;
        side.counts("after mmap", (4, 4, 3, 0))?;
        map.write(HUGE, 1);
        side.counts("after a write", (4, 3, 2, 0))?;
        map.read(0);
        side.counts("after a read", (4, 2, 1, 0))?;
        map.write(HUGE, 2);
        side.counts("after a second write", (4, 2, 1, 0))?;
        drop(map);
        side.counts("after munmap", (4, 2, 1, 0))?;
        drop(file);
        side.settles("after close", (4, 4, 0, 0))
    })
}

pub fn noreserve_charges_nothing() -> Check {
    beside(4, |side| {
        // More than there are.
        let map = side.map_unreserved(8)?;
        side.counts("after mmap", (4, 4, 0, 0))?;
        side.touches("without reservation", &map, 4)?;
        side.counts("after all touches", (4, 0, 0, 0))?;
        drop(map);
        side.settles("after munmap", (4, 4, 0, 0))
    })
}

pub fn read_only_mappings_reserve_and_are_sigbus() -> Check {
    beside(4, |side| {
        let file = side.open()?;
        let request = Request {
            protection: READ,
            ..Request::pages(2)
        };
        let map = request.map(&file)?;
        side.counts("after a read-only mmap", (4, 4, 2, 0))?;
        let touched = touch_all(&map, Touch::Read)?;
        same!(touched.pages, 0, "pages of a file without size");
        side.note("touching a file without size", touched);
        side.counts("after the SIGBUS", (4, 4, 2, 0))?;
        let wider = Request::pages(3).map(&file)?;
        side.counts("after a writable mmap", (4, 4, 3, 0))?;
        map.read(HUGE);
        side.counts("after a read of the read-only one", (4, 3, 2, 0))?;
        drop((map, wider, file));
        side.settles("in the end", (4, 4, 0, 0))
    })
}

pub fn too_few_pages_are_enomem_and_change_nothing() -> Check {
    beside(3, |side| {
        side.refuses("mapping 4 pages of 3", |side| side.map(4))?;
        side.refuses("mapping very many pages", |side| side.map(1 << 24))?;
        side.refuses("mapping 4 pages of 3 for reading", |side| {
            let request = Request {
                protection: READ,
                ..Request::pages(4)
            };
            request.map(&side.open().map_err(|_| guest::Errno(0))?)
        })?;
        // With part of the range charged already.
        let file = side.open()?;
        let map = Request::pages(2).map(&file)?;
        side.counts("with 2 reserved", (3, 3, 2, 0))?;
        side.refuses("extending from 2 to 4", |_| Request::pages(4).map(&file))?;
        // The file did not grow, and nothing of the range stayed charged.
        let tail = Request {
            offset: 2 * HUGE as i64,
            ..Request::pages(2)
        };
        let beyond = tail.unreserved().map(&file)?;
        side.counts("with more mapped without reservation", (3, 3, 2, 0))?;
        drop(beyond);
        let whole = Request::pages(3).map(&file)?;
        side.counts("with 3 reserved", (3, 3, 3, 0))?;
        side.refuses("mapping 1 page of 0", |side| side.map(1))?;
        side.touches("of what was reserved", &whole, 3)?;
        drop((map, whole, file));
        side.settles("in the end", (3, 3, 0, 0))
    })
}

pub fn reserved_pages_are_not_given_to_others() -> Check {
    beside(3, |side| {
        let reserved = side.map(3)?;
        let other = side.map_unreserved(2)?;
        side.touches("with all 3 free pages reserved", &other, 0)?;
        side.counts("after the SIGBUS", (3, 3, 3, 0))?;
        side.touches("of what was reserved", &reserved, 3)?;
        side.counts("with all used", (3, 0, 0, 0))?;
        drop(reserved);
        side.settles("without reservation", (3, 3, 0, 0))?;
        let reserved = side.map(1)?;
        side.touches("with 2 of 3 not reserved", &other, 2)?;
        side.counts("in the end", (3, 1, 1, 0))?;
        drop((other, reserved));
        side.settles("after all", (3, 3, 0, 0))
    })
}
