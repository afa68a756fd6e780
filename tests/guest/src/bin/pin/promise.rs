// SPDX-License-Identifier: GPL-2.0

//! A private mapping that was promised its pages, and whose page is pinned when it goes.

use guest::beside::beside;
use guest::kind::Kind;
use guest::pool::{HUGETLB, OURS};
use guest::ring::{Buffer, Ring};
use guest::{same, Check, HUGE};

/// DEVIATIONS.md: on hugetlb the promise comes back with the mapping, the page only with the pin.
/// In between there is less than none.
pub fn a_promise_for_a_pinned_page() -> Check {
    const POOL: u64 = 4;
    beside(POOL, |side| {
        let map = Kind::Private.pages(2).map(&side.open()?)?;
        map.fill(0, 1);
        let mut ring = Ring::new()?;
        let base = map.base();
        let buffer = Buffer { slot: 0, base };
        ring.pin(buffer)?;
        side.counts("pinned", (POOL, 3, 1, 0))?;
        map.unmap(HUGE, HUGE)?;
        side.note_counts("with the other page unmapped")?;
        drop(map);
        let resv = side.pool().resv()?;
        let want = if side.pool() == HUGETLB { u64::MAX } else { 0 };
        same!(resv, want, "resv_hugepages with a pinned page unmapped");
        if side.pool() == OURS {
            same!((OURS.free()?, OURS.pinned()?), (3, 1), "free and pinned");
        }
        ring.holds(buffer, 1)?;
        ring.unpin(0)?;
        side.counts("unpinned", (POOL, POOL, 0, 0))
    })
}
