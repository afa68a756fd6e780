// SPDX-License-Identifier: GPL-2.0

//! The pool is resized while pages of it are mapped and pinned.

use guest::beside::Side;
use guest::kind::{beside_both, Kind};
use guest::map::Map;
use guest::pool::{Resized, OURS};
use guest::{check, device, memory, poll, same, Check, HUGE};

use crate::end::{plain, End};
use crate::holder::{each, Holder};
use crate::others;

const POOL: u64 = 4;

/// With each holder, each kind of mapping and each pool.
fn with_each_holder(pages: u64, act: impl Fn(&mut Side, Kind, &mut dyn Holder) -> Check) -> Check {
    for number in 0..each()?.len() {
        beside_both(pages, |side, kind| act(side, kind, &mut *each()?[number]))?;
    }
    Ok(())
}

/// Stamped pages of a new file, which is closed.
fn stamped(side: &Side, kind: Kind, pages: usize) -> Check<Map> {
    let map = kind.pages(pages).map(&side.open()?)?;
    (0..pages).for_each(|page| map.fill(page, page as u64 + 1));
    Ok(map)
}

pub fn mapped_pages_do_not_count_as_pinned() -> Check {
    with_each_holder(POOL, |side, kind, holder| {
        let map = stamped(side, kind, 1)?;
        map.fill(0, crate::holder::PINNED);
        holder.pin(&map)?;
        holder.is_at(map.base());
        others::settles(side, "pinned and mapped", (POOL, POOL - 1, 0, 0), 0)?;
        holder.let_go()?;
        others::settles(side, "mapped", (POOL, POOL - 1, 0, 0), 0)?;
        map.holds(0, crate::holder::PINNED)
    })
}

pub fn shrinking_leaves_a_pinned_page_in_use() -> Check {
    with_each_holder(POOL, |side, kind, holder| {
        End::Kill.of_pinned(side, kind, holder)?;
        others::settles(side, "pinned", (POOL, POOL - 1, 0, 0), 1)?;
        side.pool().set(0)?;
        others::settles(side, "shrunk to 0", (1, 0, 0, 1), 1)?;
        // Growing makes it one of the pool's again, and shrinking a surplus page.
        side.pool().set(3)?;
        others::settles(side, "grown to 3", (3, 2, 0, 0), 1)?;
        drop(others::get(side, 2)?);
        holder.look()?;
        side.pool().set(0)?;
        others::settles(side, "shrunk to 0 again", (1, 0, 0, 1), 1)?;
        holder.look()?;
        holder.let_go()?;
        others::settles(side, "let go", (0, 0, 0, 0), 0)
    })
}

pub fn a_surplus_page_stays_until_it_is_unpinned() -> Check {
    with_each_holder(0, |side, kind, holder| {
        side.pool().set_overcommit(1)?;
        End::Unmap.of_pinned(side, kind, holder)?;
        others::settles(side, "pinned", (1, 0, 0, 1), 1)?;
        side.refuses("a second surplus page", |side| side.map(1))?;
        holder.look()?;
        holder.let_go()?;
        others::settles(side, "let go", (0, 0, 0, 0), 0)?;
        drop(others::get(side, 1)?);
        others::settles(side, "in the end", (0, 0, 0, 0), 0)
    })
}

pub fn shrinking_leaves_mapped_pages_in_use() -> Check {
    beside_both(POOL, |side, kind| {
        let map = stamped(side, kind, 2)?;
        side.pool().set(0)?;
        side.counts("shrunk to 0", (2, 0, 0, 2))?;
        map.holds(0, 1)?;
        map.holds(1, 2)?;
        drop(map);
        side.settles("unmapped", (0, 0, 0, 0))
    })
}

/// No file of the module is read here, and none of its pages wanted: it looks by itself.
pub fn an_unpinned_surplus_page_goes_back_by_itself() -> Check {
    for kind in Kind::BOTH {
        for holder in &mut each()? {
            let _pool = Resized::ours(1)?;
            let map = kind.pages(1).map(&device::open()?)?;
            map.fill(0, crate::holder::PINNED);
            holder.pin(&map)?;
            holder.is_at(map.base());
            let frame = memory::frame_of(map.base())?;
            drop(map);
            OURS.set(0)?;
            same!((OURS.nr()?, OURS.pinned()?), (1, 1), "nr and pinned");
            check!(
                memory::is_compound(frame)?,
                "the pinned page was taken apart"
            );
            holder.let_go()?;
            let is_compound = || memory::is_compound(frame);
            poll::until("whether the page is still one", is_compound, |is| !is)?;
            same!((OURS.nr()?, OURS.pinned()?), (0, 0), "nr and pinned");
        }
    }
    Ok(())
}

/// A page that is cut in parts by its pins is one page: each part stays where it is.
pub fn two_holders_of_one_page() -> Check {
    beside_both(POOL, |side, kind| {
        let map = plain(kind, 2).map(&side.open()?)?;
        map.fill(0, crate::holder::PINNED);
        map.fill(1, crate::holder::PINNED);
        let [mut first, mut second] = each()?;
        for holder in [&mut first, &mut second] {
            holder.pin(&map)?;
            holder.is_at(map.base());
        }
        map.unmap(0, HUGE)?;
        // The file of a shared mapping has the page still.
        let pinned = u64::from(kind == Kind::Private);
        others::settles(side, "half unmapped", (POOL, POOL - 2, 0, 0), pinned)?;
        drop(map);
        others::settles(side, "unmapped", (POOL, POOL - 1, 0, 0), 1)?;
        first.let_go()?;
        others::settles(side, "let go by one", (POOL, POOL - 1, 0, 0), 1)?;
        drop(others::get(side, POOL as usize - 1)?);
        second.let_go()?;
        others::settles(side, "let go by both", (POOL, POOL, 0, 0), 0)
    })
}
