// SPDX-License-Identifier: GPL-2.0

//! What pages hold once their size has changed, and that no memory is lost on the way.

use guest::map::Map;
use guest::memory::{all_is_back, free_pages_on, settled_free_kib};
use guest::pool::memory_nodes;
use guest::stamp::SPOTS;
use guest::{check, same, Check, Fail, GIGANTIC, HUGE};

use crate::promote::{promotable, promote};
use crate::sizes::{Emptied, Size, System, PIECES};

const OURS: System = System::Ours;

/// The words looked at: some of each small page.
fn offsets() -> impl Iterator<Item = usize> {
    (0..GIGANTIC)
        .step_by(HUGE)
        .flat_map(|page| SPOTS.map(|spot| page + spot))
}

pub fn is_zero(map: &Map) -> Check {
    for offset in offsets().filter(|offset| *offset < map.bytes()) {
        same!(map.read(offset), 0, "the word at {offset:#x}");
    }
    Ok(())
}

fn write(map: &Map, stamp: u64) {
    for offset in offsets() {
        map.write(offset, (stamp << 32) | offset as u64);
    }
}

fn holds(map: &Map, stamp: u64) -> Check {
    for offset in offsets() {
        same!(
            map.read(offset),
            (stamp << 32) | offset as u64,
            "the word at {offset:#x}"
        );
    }
    Ok(())
}

/// All small pages of one large one.
fn small() -> Check<Map> {
    Ok(OURS.map(Size::Small, PIECES as usize)?)
}

pub fn zero_when_it_should_be() -> Check {
    let _pools = Emptied::with(OURS, &[0, 1])?;
    OURS.demote(None, 1)?;
    // Never used: known zero, in pieces too.
    let map = small()?;
    is_zero(&map)?;
    write(&map, 1);
    holds(&map, 1)?;
    drop(map);
    // All used, now merged.
    promote(None, 1)?;
    let map = OURS.map(Size::Large, 1)?;
    is_zero(&map)?;
    write(&map, 2);
    holds(&map, 2)?;
    drop(map);
    OURS.demote(None, 1)?;
    // One piece used again, the others still to be cleared.
    let map = OURS.map(Size::Small, 1)?;
    map.fill(0, 3);
    drop(map);
    promote(None, 1)?;
    OURS.demote(None, 1)?;
    let map = small()?;
    is_zero(&map)?;
    write(&map, 4);
    holds(&map, 4)
}

/// Whatever was split or merged goes back to the page allocator as a whole or in parts.
pub fn given_back_in_any_size() -> Check {
    let _pools = Emptied::of(OURS)?;
    let node = Some(memory_nodes()?[1]);
    let before = settled_free_kib()?;
    let nothing_is_left = |what: &str| -> Check {
        same!(OURS.totals()?, [(0, 0), (0, 0)], "pages, {what}");
        all_is_back(before, settled_free_kib()?).map_err(|Fail(why)| Fail(format!("{why}, {what}")))
    };
    let grow = || OURS.set(Size::Large, node, 1);
    let shrink = || {
        OURS.set(Size::Small, None, 0)?;
        OURS.set(Size::Large, None, 0)
    };
    grow()?;
    OURS.demote(None, 1)?;
    shrink()?;
    nothing_is_left("demoted")?;
    grow()?;
    for _ in 0..3 {
        OURS.demote(None, 1)?;
        promote(None, 1)?;
    }
    same!(OURS.totals()?, [(1, 1), (0, 0)], "pages there and back");
    shrink()?;
    nothing_is_left("demoted and promoted")?;
    grow()?;
    OURS.demote(None, 1)?;
    OURS.set(Size::Small, None, PIECES / 2)?;
    let map = OURS.map(Size::Small, PIECES as usize / 2)?;
    for page in 0..PIECES as usize / 2 {
        map.write(page * HUGE, 1);
    }
    drop(map);
    shrink()?;
    nothing_is_left("demoted and half of it given back before the rest")
}

/// Pages that were never one: the page allocator hands out neighbours where memory is free.
pub fn of_the_page_allocators_own_pages() -> Check {
    let _pools = Emptied::of(OURS)?;
    let node = memory_nodes()?[1];
    let before = settled_free_kib()?;
    // In two goes: what debugging aids remember of one half is not what they do of the other.
    let wanted = free_pages_on(node)? * 15 / 16;
    OURS.set(Size::Small, Some(node), wanted / 2)?;
    OURS.set(Size::Small, Some(node), wanted)?;
    let whole = promotable(Some(node))?;
    check!(
        whole >= 1,
        "of {wanted} pages of node {node} no large one could be made"
    );
    promote(Some(node), whole)?;
    let [(large, free), (small, _)] = OURS.totals()?;
    same!(
        (large, free, small, promotable(None)?),
        (whole, whole, wanted - whole * PIECES, 0),
        "large, free large, small, promotable"
    );
    let map = OURS.map(Size::Large, 1)?;
    is_zero(&map)?;
    write(&map, 1);
    holds(&map, 1)?;
    drop(map);
    OURS.demote(None, 1)?;
    same!(promotable(None)?, 1, "promotable again");
    OURS.set(Size::Small, None, 0)?;
    OURS.set(Size::Large, None, 0)?;
    all_is_back(before, settled_free_kib()?)
}
