// SPDX-License-Identifier: GPL-2.0

//! rmmod while a page is pinned: refused as long as it is mapped; afterwards the page is its
//! pinner's alone, until the kernel gets it back.

use guest::kind::Kind;
use guest::kmod::{load, unload, users, Reloaded};
use guest::map::Map;
use guest::{check, device, memory, poll, refused, Check, HUGE};

use crate::holder::{each, Holder, PINNED};
use crate::others::OTHER;

/// Pages that the module gets when it is loaded again: more than it had.
const PAGES: usize = 4;

pub fn rmmod_leaves_a_pinned_page_to_its_pinner() -> Check {
    let _reloaded = Reloaded::after_test()?;
    for kind in Kind::BOTH {
        for holder in &mut each()? {
            poll::until("users of the module", users, |count| *count == 0)?;
            unload()?;
            load("hugepages_2M=2")?;
            outlives_the_module(kind, &mut **holder)?;
        }
    }
    Ok(())
}

fn outlives_the_module(kind: Kind, holder: &mut dyn Holder) -> Check {
    let map = kind.pages(1).map(&device::open()?)?;
    map.fill(0, PINNED);
    holder.pin(&map)?;
    holder.is_at(map.base());
    let frame = memory::frame_of(map.base())?;
    refused!(
        unload(),
        libc::EAGAIN,
        "rmmod with a page mapped and pinned"
    );
    drop(map);
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    holder.look()?;
    check!(
        memory::is_compound(frame)?,
        "the pinned page was taken apart"
    );
    load(&format!("hugepages_2M={PAGES}"))?;
    let map = Map::of_new_file(PAGES)?;
    for page in 0..PAGES {
        map.holds(page, 0)?;
        map.fill(page, OTHER);
        let theirs = memory::frame_of(map.at(page * HUGE))?;
        check!(theirs != frame, "page {page} is the pinned one");
    }
    holder.look()?;
    (0..PAGES).try_for_each(|page| map.holds(page, OTHER))?;
    holder.let_go()?;
    let is_compound = || memory::is_compound(frame);
    poll::until("whether the page is still one", is_compound, |is| !is).map(drop)
}
