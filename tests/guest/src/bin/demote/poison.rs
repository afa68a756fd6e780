// SPDX-License-Identifier: GPL-2.0

//! Pages that break cannot change their size: they leave their pool whole. Nothing takes the poison
//! away again, so this comes last.

use guest::memory::{frame_of, poison, settled_free_kib};
use guest::pool::{OURS as SMALL, OURS_1G as LARGE};
use guest::{check, same, Check, HUGE};

use crate::memory::is_zero;
use crate::promote::{promotable, promote};
use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;

/// A frame in the midst of a small page, of so many free ones.
fn some_frame(pages: u64) -> Check<u64> {
    let map = OURS.map(Size::Small, pages as usize)?;
    let page = pages as usize / 2;
    for page in 0..=page {
        map.write(page * HUGE, 1);
    }
    Ok(frame_of(map.at(page * HUGE))? + 3)
}

/// Whether the module has heard of it yet or not: all that can be seen afterwards is the same.
pub fn a_poisoned_page_leaves() -> Check {
    let _pools = Emptied::with(OURS, &[0, 2])?;
    let aside = || -> Check<[u64; 2]> { Ok([LARGE.poisoned()?, SMALL.poisoned()?]) };
    let before = aside()?;
    OURS.demote(None, 2)?;
    let frame = some_frame(2 * PIECES)?;
    promote(None, 2)?;
    let there_are = |large, small, whole, lost: [u64; 2], what: &str| -> Check {
        let now = aside()?;
        same!(
            (
                OURS.totals()?,
                promotable(None)?,
                [0, 1].map(|size| now[size] - before[size])
            ),
            ([(large, large), (small, small)], whole, lost),
            "nr and free, large and small, promotable, and set aside, {what}"
        );
        Ok(())
    };
    there_are(2, 0, 0, [0, 0], "before")?;
    let free = settled_free_kib()?;
    poison(frame)?;
    // EBUSY, or one page was all there was.
    let _ = OURS.demote(None, 2);
    there_are(0, PIECES, 1, [1, 0], "a large page poisoned")?;
    // What else was in it, but for what somebody may have taken since.
    let back = settled_free_kib()?.saturating_sub(free);
    check!(back > 1000 << 10, "{back} kB came back of the poisoned one");
    poison(some_frame(PIECES)?)?;
    // EBUSY, or there is no such page.
    let _ = promote(None, 1);
    there_are(0, PIECES - 1, 0, [1, 1], "a small page poisoned")?;
    // The others can still be had, each of them.
    let map = OURS.map(Size::Small, PIECES as usize - 1)?;
    is_zero(&map)?;
    drop(map);
    there_are(0, PIECES - 1, 0, [1, 1], "all used once")
}
