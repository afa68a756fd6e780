// SPDX-License-Identifier: GPL-2.0

//! Everybody but who pins a page: what they get of the pool, and what is counted meanwhile.

use guest::beside::{Side, Totals};
use guest::bus::{touch_all, Touch};
use guest::map::Map;
use guest::pool::OURS;
use guest::{same, Check};

/// What others write over every page they get.
pub const OTHER: u64 = 0x5555_6666_7777_8888;

/// Uses all pages that the pool gives: `count`, each of them empty. They end up stamped.
pub fn get(side: &Side, count: usize) -> Check<Map> {
    let map = side.map_unreserved(count + 1)?;
    let touched = touch_all(&map, Touch::Read)?;
    let end = touched.bus.map(|(page, _)| page);
    same!(
        (touched.pages, end),
        (count, Some(count)),
        "pages that others get, and the first too many"
    );
    for page in 0..count {
        map.holds(page, 0)?;
        map.fill(page, OTHER);
    }
    Ok(map)
}

/// Fails unless the pages that others got are as they left them.
pub fn are_untouched(map: &Map) -> Check {
    (0..map.pages() - 1).try_for_each(|page| map.holds(page, OTHER))
}

/// Waits until the totals are `want`, notes all counters, and fails unless so many pages are
/// pinned, which hugetlb does not count.
pub fn settles(side: &mut Side, what: &str, want: Totals, pinned: u64) -> Check {
    side.settles(what, want)?;
    is_pinned(side, what, pinned)
}

/// Fails unless so many pages are pinned.
pub fn is_pinned(side: &Side, what: &str, pinned: u64) -> Check {
    if side.pool() == OURS {
        same!(OURS.pinned()?, pinned, "pinned_hugepages {what}");
    }
    Ok(())
}
