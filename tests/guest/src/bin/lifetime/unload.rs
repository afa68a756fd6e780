// SPDX-License-Identifier: GPL-2.0

//! rmmod: refused while somebody uses the module, and without a trace afterwards.

use guest::device::{open, NODES};
use guest::kmod::{load, loaded, unload, users, Reloaded};
use guest::map::{Map, Request};
use guest::memory::settled_free_kib;
use guest::pipe::Pipe;
use guest::pool::{Resized, OURS};
use guest::{check, poll, refused, same, Check};

/// A page of the pool: what is missing if one got lost, and too much if one was given back twice.
const PAGE_KIB: u64 = 2048;

/// How much less may be free though nothing got lost when the slab caches keep nothing back: pages of
/// the whole system, a quarter of this after many cycles.
const NOISE_KIB: u64 = 512;
/// How much more: a debug kernel lets go of the module's objects seconds after it.
const LATE_KIB: u64 = 1536;

/// Fails unless rmmod is refused as in use (delete_module says so with EAGAIN).
fn in_use() -> Check {
    refused!(unload(), libc::EAGAIN, "rmmod in use");
    check!(
        users()? > 0,
        "rmmod was refused, and the reference count is 0"
    );
    Ok(())
}

/// Fails unless nobody uses the module any more and rmmod succeeds.
fn goes() -> Check {
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    check!(!loaded(), "the module is still there");
    for path in [NODES[0], NODES[1], "/sys/kernel/rust_hugetlb"] {
        check!(!std::fs::exists(path)?, "{path} is still there");
    }
    Ok(())
}

pub fn open_file_refuses_rmmod() -> Check {
    let _reloaded = Reloaded::after_test()?;
    OURS.set(1)?;
    let file = open()?;
    in_use()?;
    // It works as before.
    let map = Request::pages(1).map(&file)?;
    map.fill(0, 1);
    map.holds(0, 1)?;
    drop(map);
    in_use()?;
    drop(file);
    goes()
}

pub fn mapping_refuses_rmmod() -> Check {
    let _reloaded = Reloaded::after_test()?;
    OURS.set(1)?;
    let map = Map::of_new_file(1)?;
    in_use()?;
    // The first touch and the page are as before.
    map.fill(0, 1);
    in_use()?;
    map.holds(0, 1)?;
    drop(map);
    goes()
}

pub fn rmmod_with_a_pinned_page_leaves_it_to_its_user() -> Check {
    let _reloaded = Reloaded::after_test()?;
    let mut pipe = Pipe::new()?;
    goes()?;
    let before = settled_free_kib()?;
    load("hugepages_2M=2")?;
    let map = Map::of_new_file(1)?;
    map.fill(0, 9);
    pipe.splice(&map, 0, 8192)?;
    drop(map);
    goes()?;
    // One page is back, one is the pipe's.
    let held = before.saturating_sub(settled_free_kib()?);
    check!(
        (PAGE_KIB - LATE_KIB..PAGE_KIB + NOISE_KIB).contains(&held),
        "{held} KiB are held by a pipe with one page"
    );
    pipe.drain(8192, 9)?;
    free_memory_returns_to(before)
}

fn free_memory_returns_to(before: u64) -> Check {
    let same = before - NOISE_KIB..before + LATE_KIB;
    poll::until("free KiB", settled_free_kib, |now| same.contains(now))
        .map(drop)
        .map_err(|fail| guest::Fail(format!("{}, {before} before", fail.0)))
}

pub fn cycles_give_all_memory_back() -> Check {
    const CYCLES: usize = 8;
    const PAGES: u64 = 8;
    let _reloaded = Reloaded::after_test()?;
    goes()?;
    // The first cycle leaves what later ones reuse.
    load("")?;
    goes()?;
    let before = settled_free_kib()?;
    for _ in 0..CYCLES {
        load(&format!("hugepages_2M={PAGES}"))?;
        same!(OURS.nr()?, PAGES, "nr_hugepages after loading");
        let taken = before.saturating_sub(settled_free_kib()?);
        check!(
            taken + NOISE_KIB > PAGES * PAGE_KIB,
            "{PAGES} pages took {taken} KiB"
        );
        let map = Map::of_new_file(2)?;
        map.fill(0, 1);
        drop(map);
        goes()?;
    }
    free_memory_returns_to(before)
}

/// The pool of a module that nobody resized is empty, however it was before.
pub fn loads_empty() -> Check {
    let _reloaded = Reloaded::after_test()?;
    let _pool = Resized::ours(3)?;
    goes()?;
    load("")?;
    same!((OURS.nr()?, OURS.free()?), (0, 0), "nr and free");
    Ok(())
}
