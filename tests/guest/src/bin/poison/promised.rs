// SPDX-License-Identifier: GPL-2.0

//! A free page breaks that somebody was promised.

use guest::beside::beside;
use guest::broken::poison;
use guest::pool::OURS;
use guest::{refused, same, Check, HUGE};

use crate::inside;

/// hugetlb counts the page on as a free one that nobody can have.
pub fn who_comes_last_gets_none() -> Check {
    beside(3, |side| {
        let pool = side.pool();
        let map = side.map(3)?;
        (0..3).for_each(|page| map.write(page * HUGE, 1));
        let broken = inside(&map, 1)?;
        drop(map);
        let map = side.map(3)?;
        poison(pool, broken)?;
        let counts = |what: &str| -> Check<(u64, u64, u64)> {
            let counts = pool.counts()?;
            same!(counts.surplus, 0, "surplus {what}");
            Ok((counts.nr, counts.free, counts.resv))
        };
        side.deviates(
            "all promised",
            counts("all promised")?,
            (3, 3, 3),
            (2, 2, 3),
        )?;
        refused!(side.map(1), libc::ENOMEM, "mapping one more");
        side.touches("promised", &map, 2)?;
        side.deviates("all touched", counts("all touched")?, (3, 1, 1), (2, 0, 1))?;
        // hugetlb lets others have a page that comes now, as it counts one more.
        let size = if pool == OURS { 3 } else { 4 };
        pool.set(size)?;
        if pool == OURS {
            refused!(side.map(1), libc::ENOMEM, "mapping one more, grown");
        }
        side.touches("promised, grown", &map, 3)?;
        drop(map);
        let (nr, _, resv) = counts("in the end")?;
        same!((nr, resv), (size, 0), "nr and resv in the end");
        Ok(())
    })
}
