// SPDX-License-Identifier: GPL-2.0

//! What a file holds, in whole pages.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use guest::access;
use guest::beside::beside_in;
use guest::file::Huge;
use guest::map::Request;
use guest::pool::OURS_1G;
use guest::{check, refused, same, Check, HUGE};

use crate::balance::balanced;
use crate::{PAGE, POOLS};

const BYTES: u64 = PAGE as u64;

pub fn size_holes_and_pages_beforehand() -> Check {
    access::catch()?;
    beside_in(POOLS, 2, |side| {
        let file = side.huge()?;
        file.set_size(BYTES)?;
        side.note("with a size", file.state()?);
        let map = file.map(Request::of(side.pool(), 3).unreserved())?;
        file.set_size(2 * BYTES)?;
        side.note("smaller", file.state()?);
        side.note("past the end", map.try_write(2 * PAGE, 1));
        file.preallocate(BYTES, BYTES)?;
        side.note("with a page", file.state()?);
        side.counts("with a page", (2, 1, 0, 0))?;
        map.mark(1, 1);
        map.write(0, 2);
        side.counts("with two", (2, 0, 0, 0))?;
        file.punch(BYTES, BYTES)?;
        side.note("with a hole", file.state()?);
        side.counts("with a hole", (2, 1, 0, 0))?;
        map.unmarked(1)?;
        side.counts("filled", (2, 0, 0, 0))?;
        file.set_size(BYTES)?;
        side.counts("cut", (2, 1, 0, 0))?;
        side.note("a touch of what was cut", map.try_read(PAGE));
        side.note("of what was not", map.try_read(0));
        drop((map, file));
        side.settles("in the end", (2, 2, 0, 0))
    })?;
    // hugetlbfs rounds; here all is whole pages.
    balanced(0, || {
        let file = Huge::new(OURS_1G)?;
        for part in [4096, HUGE as u64, BYTES - HUGE as u64] {
            refused!(file.set_size(part), libc::EINVAL, "a size of {part}");
            for (offset, length) in [(0, part), (part, BYTES)] {
                refused!(
                    file.punch(offset, length),
                    libc::EINVAL,
                    "a hole of {length} at {offset}"
                );
                refused!(
                    file.preallocate(offset, length),
                    libc::EINVAL,
                    "pages of {length} at {offset}"
                );
            }
        }
        Ok(())
    })
}

pub fn holes_under_a_thread_that_touches() -> Check {
    const ROUNDS: u64 = 3;
    balanced(2, || {
        let file = Huge::new(OURS_1G)?;
        let map = file.map(Request::of(OURS_1G, 1))?;
        let (done, touches) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    map.write(PAGE - 8, 1);
                    touches.store(true, Relaxed);
                }
            });
            let result = (0..ROUNDS).try_for_each(|round| {
                // The page that is punched is one that the thread has.
                touches.store(false, Relaxed);
                while !touches.load(Relaxed) {
                    thread::yield_now();
                }
                map.write(8 * round as usize, 1);
                file.punch(0, BYTES)?;
                same!(map.read(8 * round as usize), 0, "a word after the hole");
                let free = OURS_1G.free()?;
                check!(free == 1, "{free} pages free after the hole");
                Ok(())
            });
            done.store(true, Relaxed);
            result
        })
    })
}
