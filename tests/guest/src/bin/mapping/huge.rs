// SPDX-License-Identifier: GPL-2.0

//! The pages are mapped by PMD entries, whatever transparent huge pages are told.

use guest::bus::{touch_all, Touch};
use guest::child::in_child;
use guest::map::Map;
use guest::pool::Resized;
use guest::thp::Setting;
use guest::{call, smaps, Check, HUGE};

/// Touches both ways, first by reading and first by writing, and looks at smaps.
fn maps_huge(prepare: impl Fn(&Map) -> Check) -> Check {
    let map = Map::of_new_file(4)?;
    prepare(&map)?;
    for page in 0..4 {
        if page % 2 == 0 {
            map.read(page * HUGE);
        }
        map.write(page * HUGE + 4096, page as u64);
    }
    smaps::all_huge(map.base(), 4)
}

pub fn smaps_shows_huge_pages() -> Check {
    let _pool = Resized::ours(4)?;
    // Before a touch nothing is there, and the sizes say what will be.
    maps_huge(|map| smaps::huge(map.base(), 4, 0))?;
    // A page that another process brought is mapped huge here too.
    let map = Map::of_new_file(1)?;
    touch_all(&map, Touch::Write)?;
    map.read(0);
    smaps::all_huge(map.base(), 1)
}

pub fn thp_never() -> Check {
    let _pool = Resized::ours(4)?;
    let _setting = Setting::change("never")?;
    // In a child, so that not even a SIGBUS leaves the setting behind.
    in_child(|| maps_huge(|_| Ok(())))
}

pub fn madv_nohugepage() -> Check {
    let _pool = Resized::ours(4)?;
    maps_huge(|map| {
        map.advise(libc::MADV_NOHUGEPAGE)?;
        Ok(())
    })
}

pub fn prctl_thp_disable() -> Check {
    let _pool = Resized::ours(4)?;
    in_child(|| {
        // SAFETY: prctl takes numbers.
        call(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })?;
        maps_huge(|_| Ok(()))
    })
}
