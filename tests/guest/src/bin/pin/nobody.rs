// SPDX-License-Identifier: GPL-2.0

//! A pinned page that is mapped nowhere: in use until it is unpinned, and nobody else's.

use guest::beside::Side;
use guest::kind::beside_both;
use guest::{Check, Fail};

use crate::end::End;
use crate::holder::{each, Holder};
use crate::others;

const POOL: u64 = 4;
const LEFT: u64 = POOL - 1;

/// With one page of the pool pinned: nobody gets it, until it is let go.
fn gets_it(side: &mut Side, holder: &mut dyn Holder) -> Check {
    others::settles(side, "with a page pinned", (POOL, LEFT, 0, 0), 1)?;
    // Nor is it promised to anybody.
    side.refuses("reserving all", |side| side.map(POOL as usize))?;
    // More than once: the pages come back in another order than they went.
    for _ in 0..2 {
        let map = others::get(side, LEFT as usize)?;
        others::settles(side, "with the others' pages", (POOL, 0, 0, 0), 1)?;
        holder.look()?;
        others::are_untouched(&map)?;
        drop(map);
        others::settles(side, "without them", (POOL, LEFT, 0, 0), 1)?;
        holder.look()?;
    }
    holder.let_go()?;
    // It is there for the next who needs it, with no counter read in between.
    drop(others::get(side, POOL as usize)?);
    others::settles(side, "with the page let go", (POOL, POOL, 0, 0), 0)?;
    drop(side.map(POOL as usize)?);
    Ok(())
}

fn gets_it_after(end: End) -> Check {
    for number in 0..each()?.len() {
        beside_both(POOL, |side, kind| {
            let holder = &mut *each()?[number];
            let map = end.of_pinned(side, kind, holder)?;
            gets_it(side, holder)?;
            drop(map);
            Ok(())
        })
        .map_err(|Fail(why)| Fail(format!("holder {number}: {why}")))?;
    }
    Ok(())
}

pub fn gets_it_after_munmap() -> Check {
    gets_it_after(End::Unmap)
}

pub fn gets_it_after_exit() -> Check {
    gets_it_after(End::Exit)
}

pub fn gets_it_after_kill() -> Check {
    gets_it_after(End::Kill)
}

pub fn gets_it_after_truncate() -> Check {
    gets_it_after(End::Truncate)
}

pub fn gets_it_after_punch() -> Check {
    gets_it_after(End::Punch)
}

pub fn gets_any_where_all_are_pinned() -> Check {
    beside_both(POOL, |side, kind| {
        let mut holders = Vec::new();
        for end in [End::Unmap, End::Kill] {
            holders.extend(each()?);
            let from = holders.len() - 2;
            for holder in &mut holders[from..] {
                end.of_pinned(side, kind, &mut **holder)?;
            }
        }
        others::settles(side, "with all pinned", (POOL, 0, 0, 0), POOL)?;
        drop(others::get(side, 0)?);
        for (gone, holder) in holders.iter_mut().enumerate() {
            holder.look()?;
            holder.let_go()?;
            let free = gone as u64 + 1;
            others::settles(side, "with one less", (POOL, free, 0, 0), POOL - free)?;
        }
        drop(others::get(side, POOL as usize)?);
        others::settles(side, "with none pinned", (POOL, POOL, 0, 0), 0)
    })
}
