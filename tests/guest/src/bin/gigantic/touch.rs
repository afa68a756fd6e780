// SPDX-License-Identifier: GPL-2.0

//! What a touch brings.

use std::mem;

use guest::child::fork;
use guest::device::open_of;
use guest::map::{Map, Request};
use guest::pool::OURS_1G;
use guest::{same, smaps, Check};

use crate::balance::{balanced, faults_of, warm, Resident};
use crate::PAGE;

pub fn all_of_a_page_is_one_fault() -> Check {
    balanced(1, || {
        warm()?;
        let resident = Resident::now()?;
        let file = open_of(OURS_1G)?;
        let one = Request::of(OURS_1G, 1);
        let map = one.map(&file)?;
        let faults = faults_of(|| {
            map.mark(0, 7);
            map.marked(0, 7)
        })?;
        same!(faults, 1, "faults of writing and reading everywhere");
        resident.grew_by(PAGE)?;
        smaps::gigantic(map.base())?;
        same!(
            faults_of(|| map.marked(0, 7))?,
            1,
            "faults after a look at smaps"
        );
        resident.grew_by(PAGE)?;

        let second = one.map(&file)?;
        same!(
            faults_of(|| second.marked(0, 7))?,
            1,
            "faults of reading a second mapping"
        );
        // A shared mapping has nothing to ask before it is written.
        let faults = faults_of(|| {
            second.mark(0, 8);
            second.marked(0, 8)
        })?;
        same!(faults, 0, "faults of writing it then");
        // mmap asks for a place as mremap does, which finds no entry of the file's.
        same!(faults_of(|| map.marked(0, 8))?, 1, "faults of the first");
        resident.grew_by(2 * PAGE)?;
        drop(second);
        resident.grew_by(PAGE)?;

        let populate = Request {
            flags: libc::MAP_SHARED | libc::MAP_POPULATE,
            ..one
        };
        let populated = populate.map(&file)?;
        same!(
            faults_of(|| populated.marked(0, 8))?,
            0,
            "faults after MAP_POPULATE"
        );
        drop(populated);
        for advice in [libc::MADV_POPULATE_READ, libc::MADV_POPULATE_WRITE] {
            let populated = one.map(&file)?;
            populated.advise(advice)?;
            same!(
                faults_of(|| populated.marked(0, 8))?,
                0,
                "faults after advice {advice}"
            );
        }
        same!(OURS_1G.free()?, 0, "free_hugepages");
        Ok(())
    })
}

pub fn a_page_shows_nothing_of_its_last_owner() -> Check {
    balanced(1, || {
        let owner = fork(|link| {
            let map = Map::of(OURS_1G, 1)?;
            map.unmarked(0)?;
            map.mark(0, 0xdead);
            map.marked(0, 0xdead)?;
            link.send(1)?;
            mem::forget(map);
            link.number().map(drop)
        })?;
        owner.link.number()?;
        owner.kill()?;
        OURS_1G.settles_at_free(1)?;
        // Killed while it waits for the page to be cleared, or soon after.
        let heir = fork(|link| {
            let map = Map::of(OURS_1G, 1)?;
            link.send(1)?;
            map.unmarked(0)?;
            map.mark(0, 0xbeef);
            link.number().map(drop)
        })?;
        heir.link.number()?;
        heir.kill()?;
        OURS_1G.settles_at_free(1)?;
        Map::of(OURS_1G, 1)?.unmarked(0)
    })
}
