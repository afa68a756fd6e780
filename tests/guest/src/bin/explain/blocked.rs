// SPDX-License-Identifier: GPL-2.0

//! Pages that are in the way of 2 MiB pages, each called what it is.

use guest::map::{Map, Request};
use guest::memory::frame_of;
use guest::pipe::Pipe;
use guest::pool::{Pool, Resized, HUGETLB, OURS};
use guest::{call, device, poll, same, Check, Fail};

use crate::text::{drain, GIGANTIC, LARGE};

const BASE: usize = 4096;
const STAMP: u64 = 0x7e57_7e57_7e57_7e57;

/// A mapped page of `pool`, touched.
fn page_of(pool: Pool) -> Check<(Resized, Map)> {
    let resized = Resized::of(pool, 1)?;
    let map = Request::pages(1).map(&device::open_of(pool)?)?;
    map.write(0, 1);
    Ok((resized, map))
}

pub fn own_pages_are_named() -> Check {
    let _pool = Resized::ours(3)?;
    same!(
        LARGE.explain()?.sum("pool", None),
        3,
        "free pages that explain sees"
    );
    let map = Map::of_new_file(1)?;
    map.write(0, 1);
    same!(
        LARGE.explain()?.sum("pool", None),
        3,
        "pages that explain sees"
    );
    let range = LARGE.range_of(frame_of(map.base())?)?;
    same!(
        (&*range.verdict, range.count("pool")),
        ("pool", 512),
        "{range:?}"
    );
    let around = GIGANTIC.range_of(frame_of(map.base())?);
    if let Ok(around) = around {
        same!(around.count("pool"), 0, "{around:?}");
        same!(around.count("huge") % 512, 0, "{around:?}");
        same!(around.count("huge") > 0, true, "{around:?}");
    }
    drop(map);
    OURS.set(0)?;
    same!(
        LARGE.explain()?.sum("pool", None),
        0,
        "pages of an empty pool"
    );
    same!(LARGE.range_of(range.first)?.count("pool"), 0, "pages there");
    Ok(())
}

pub fn hugetlbs_pages_are_named() -> Check {
    let (pool, map) = page_of(HUGETLB)?;
    let frame = frame_of(map.base())?;
    let range = LARGE.range_of(frame)?;
    same!(
        (&*range.verdict, range.count("huge")),
        ("huge", 512),
        "{range:?}"
    );
    let told = LARGE.explain()?;
    same!(told.sum("huge", None) > 0, true, "huge ranges");
    same!(told.sum("pool", None), 0, "ranges of this pool");
    // For 1 GiB they could be moved.
    if let Ok(around) = GIGANTIC.range_of(frame) {
        same!(around.count("huge"), 0, "{around:?}");
        same!(around.count("movable") >= 512, true, "{around:?}");
    }
    drop((map, pool));
    same!(LARGE.range_of(frame)?.count("huge"), 0, "pages there");
    Ok(())
}

/// Base pages of this process, each on its LRU list.
fn base_pages(count: usize) -> Check<Map> {
    let request = Request {
        bytes: count * BASE,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        ..Request::pages(0)
    };
    let map = request.map_fd(-1)?;
    map.advise(libc::MADV_NOHUGEPAGE)?;
    for offset in (0..map.bytes()).step_by(8) {
        map.write(offset, STAMP);
    }
    drain()?;
    Ok(map)
}

/// A page of the mapping that lies in a range, and its frame. (A zone may end with less than one.)
fn in_a_range(map: &Map) -> Check<(usize, u64)> {
    let ranges = LARGE.map()?;
    for offset in (0..map.bytes() - BASE).step_by(BASE) {
        let frame = frame_of(map.at(offset))?;
        if ranges.iter().any(|range| range.has(frame)) {
            return Ok((offset, frame));
        }
    }
    Err(Fail("no page lies in a range".into()))
}

pub fn a_pinned_page_is_named() -> Check {
    let map = base_pages(1024)?;
    let (offset, frame) = in_a_range(&map)?;
    let pinned = |want: u64| {
        let what = format!("pinned pages around frame {frame:#x}");
        let ask = || Ok(LARGE.range_of(frame)?.count("pinned"));
        poll::until(&what, ask, |seen| *seen == want).map(drop)
    };
    pinned(0)?;
    let mut pipe = Pipe::new()?;
    pipe.splice(&map, offset, 2 * BASE)?;
    let range = LARGE.range_of(frame)?;
    let next = frame_of(map.at(offset + BASE))?;
    let here = 1 + u64::from(range.has(next));
    same!(range.count("pinned"), here, "{range:?}");
    same!(range.is_open(), false, "{range:?}");
    // Unmapped it is still there, and still held.
    map.unmap(0, map.bytes())?;
    same!(
        LARGE.range_of(frame)?.count("pinned"),
        here,
        "when unmapped"
    );
    pipe.drain(2 * BASE, STAMP)?;
    pinned(0)
}

pub fn a_locked_page_can_be_moved() -> Check {
    let map = base_pages(1024)?;
    // SAFETY: The range is this mapping.
    call(unsafe { libc::mlock(map.base().cast(), map.bytes()) })?;
    drain()?;
    let (_, frame) = in_a_range(&map)?;
    let range = LARGE.range_of(frame)?;
    same!(range.count("pinned"), 0, "{range:?}");
    same!(range.count("movable") > 0, true, "{range:?}");
    Ok(())
}
