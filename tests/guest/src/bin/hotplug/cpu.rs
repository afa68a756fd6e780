// SPDX-License-Identifier: GPL-2.0

//! A processor that goes offline and comes back under load: faults, resizes with their helpers, the
//! scrubber and its work.

use guest::child::{fork, Child};
use guest::map::Map;
use guest::pool::{write_once, Resized, OURS};
use guest::{poll, same, Check, HUGE};

const ROUNDS: usize = 8;
const PAGES: usize = 8;

/// A processor that is there in the end.
struct Cpu(usize);

impl Cpu {
    fn set(&self, online: bool) -> Check {
        let file = format!("/sys/devices/system/cpu/cpu{}/online", self.0);
        write_once(&file, if online { b"1" } else { b"0" })?;
        Ok(())
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        let _ = self.set(true);
    }
}

/// A first touch of some pages, each of which must be zero.
fn touch() -> Check {
    let map = Map::of_new_file_unreserved(PAGES)?;
    for page in 0..PAGES {
        for offset in [0, HUGE / 2, HUGE - 8] {
            same!(map.read(page * HUGE + offset), 0, "a word of a new page");
        }
        map.mark(page, 3);
    }
    (0..PAGES).try_for_each(|page| map.marked(page, 3))
}

fn resize() -> Check {
    OURS.set(200)?;
    OURS.set(100)
}

/// Somebody who does that again and again, until killed.
fn again_and_again(act: fn() -> Check) -> Check<Child> {
    fork(|_| loop {
        act()?;
    })
}

pub fn work_goes_on() -> Check {
    let _pool = Resized::ours(100)?;
    let percent = OURS.file("scrub_percent");
    write_once(&percent, b"100")?;
    let cpu = Cpu(1);
    let busy = [touch, touch, resize].map(again_and_again);
    for _ in 0..ROUNDS {
        for online in [false, true] {
            cpu.set(online)?;
            touch()?;
        }
    }
    for child in busy {
        // Who is not there to be killed had something to complain of.
        child?.kill()?;
    }
    write_once(&percent, b"10")?;
    OURS.set(100)?;
    poll::until(
        "nr, free, resv and surplus in the end",
        || {
            let counts = OURS.counts()?;
            Ok((counts.nr, counts.free, counts.resv, counts.surplus))
        },
        |seen| *seen == (100, 100, 0, 0),
    )
    .map(drop)
}
