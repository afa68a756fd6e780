// SPDX-License-Identifier: GPL-2.0

//! 1 GiB pages: what is foretold comes true, and what is in the way is found.

use guest::map::{Map, Request};
use guest::memory::frame_of;
use guest::pipe::Pipe;
use guest::policy::Policy;
use guest::pool::{memory_nodes, Resized, HUGETLB, HUGETLB_1G, OURS};
use guest::{check, device, same, Check, Fail, HUGE};

use crate::grow::{by_node, grown, too_many, whole};
use crate::text::{drain, Emptied, Range, GIGANTIC, LARGE};

pub fn pool_gets_what_was_foretold() -> Check {
    whole(GIGANTIC)
}

pub fn nodes_get_what_was_foretold() -> Check {
    by_node(GIGANTIC)
}

/// hugetlb's 1 GiB pages while it has them.
struct Oracle;

impl Oracle {
    fn grown_to(count: u64) -> Check<(Self, u64)> {
        HUGETLB_1G.set(count)?;
        Ok((Self, HUGETLB_1G.nr()?))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = HUGETLB_1G.set(0);
    }
}

/// Either can miss a page that the kernel has a piece of in hand just then, but not each time.
pub fn as_many_as_hugetlb() -> Check {
    const TRIES: usize = 3;
    let _pool = Emptied::now(GIGANTIC)?;
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        drain()?;
        let (oracle, theirs) = Oracle::grown_to(too_many(GIGANTIC)?)?;
        drop(oracle);
        let (prospect, ours) = grown(GIGANTIC, None)?;
        check!(ours >= 2, "{ours} pages are no test");
        if ours == theirs {
            return Ok(());
        }
        seen.push((ours, theirs, prospect));
        GIGANTIC.pool.set(0)?;
    }
    Err(Fail(format!("1 GiB pages, and hugetlb's: {seen:?}")))
}

/// A page of this pool is `pool`, one of hugetlb's is `huge`; neither is foretold.
pub fn pages_of_both_pools_are_named() -> Check {
    let _pool = Emptied::now(GIGANTIC)?;
    drain()?;
    let (before, _) = GIGANTIC.can_grow()?;
    let (oracle, theirs) = Oracle::grown_to(1)?;
    same!(theirs, 1, "hugetlb's pages");
    GIGANTIC.pool.set(1)?;
    let told = GIGANTIC.explain()?;
    same!(
        (told.sum("pool", None), told.sum("huge", None)),
        (1, 1),
        "pool and huge"
    );
    let (with_both, _) = GIGANTIC.can_grow()?;
    same!(
        with_both.at_most,
        before.at_most - 2,
        "at_most with two taken"
    );
    // 2 MiB pages know them, too: 512 ranges each, in the middle of which there is no head page.
    same!(LARGE.explain()?.sum("huge", None), 1024, "ranges of 2 MiB");
    drop(oracle);
    GIGANTIC.pool.set(0)?;
    same!(
        LARGE.explain()?.sum("huge", None),
        0,
        "ranges of 2 MiB in the end"
    );
    same!(
        GIGANTIC.can_grow()?.0.at_most,
        before.at_most,
        "at_most in the end"
    );
    Ok(())
}

/// The node with the most open ranges, which are to be so many at least, and those.
fn open_ranges(least: usize) -> Check<(usize, Vec<Range>)> {
    drain()?;
    let map = GIGANTIC.map()?;
    let open = |node: usize| -> Vec<_> {
        let here = map.iter().filter(|range| range.node == node);
        here.filter(|range| range.is_open()).cloned().collect()
    };
    let nodes = memory_nodes()?.into_iter().map(|node| (node, open(node)));
    nodes
        .max_by_key(|(_, open)| open.len())
        .filter(|(_, open)| open.len() >= least)
        .ok_or_else(|| Fail(format!("no node has {least} open ranges: {map:?}")))
}

/// The pages of a mapping that lie in `ranges`, one for each; every other page is unmapped.
fn keep_one_each(map: &Map, ranges: &[Range]) -> Check<Vec<usize>> {
    let mut kept: Vec<Option<usize>> = vec![None; ranges.len()];
    for page in 0..map.pages() {
        let frame = frame_of(map.at(page * HUGE))?;
        match ranges.iter().position(|range| range.has(frame)) {
            Some(index) if kept[index].is_none() => kept[index] = Some(page),
            _ => {
                map.unmap(page * HUGE, HUGE)?;
            }
        }
    }
    let kept: Option<Vec<_>> = kept.into_iter().collect();
    kept.ok_or_else(|| Fail("no page lies in some of the ranges".into()))
}

/// What became of `ranges`, but for those where the kernel itself has got a page meanwhile. One must
/// be left.
fn without_kernel_pages(ranges: &[Range]) -> Check<Vec<Range>> {
    let map = GIGANTIC.map()?;
    let mut left = Vec::new();
    for range in ranges {
        let now = map.iter().find(|now| now.first == range.first);
        let now = now.ok_or_else(|| Fail(format!("{range:?} is gone")))?;
        if now.count("unmovable") == 0 {
            left.push(now.clone());
        }
    }
    check!(
        !left.is_empty(),
        "the kernel has pages in all of {ranges:?}"
    );
    Ok(left)
}

/// With something in each of `ranges`: they are not foretold, and not to be had.
fn are_blocked(ranges: &[Range], verdict: &str) -> Check {
    let blocked = without_kernel_pages(ranges)?;
    for now in &blocked {
        same!(now.verdict, verdict, "{now:?}");
    }
    let told = GIGANTIC.explain()?;
    let count = blocked.len() as u64;
    check!(
        told.sum(verdict, None) >= count,
        "{verdict} in fewer than {count} ranges"
    );
    let (prospect, got) = grown(GIGANTIC, None)?;
    println!("# {count} ranges blocked: {prospect:?}, got {got}");
    check!(
        prospect.now <= got && got <= prospect.at_most,
        "{prospect:?}, got {got}"
    );
    let map = GIGANTIC.map()?;
    let taken = map.iter().filter(|range| range.verdict == "pool");
    for range in taken {
        check!(
            ranges.iter().all(|blocked| blocked.first != range.first),
            "{range:?} was blocked and is taken"
        );
    }
    same!(GIGANTIC.explain()?.got, got, "got");
    GIGANTIC.pool.set(0)?;
    Ok(())
}

/// What is left when nothing is in the way any more.
fn are_open_again(ranges: &[Range]) -> Check {
    drain()?;
    for now in without_kernel_pages(ranges)? {
        check!(now.is_open(), "{now:?} is not open again");
    }
    let (prospect, got) = grown(GIGANTIC, None)?;
    check!(
        got >= 1 && prospect.now <= got,
        "{prospect:?}, got {got} without obstacles"
    );
    Ok(())
}

/// One page of 2 MiB of this module in each range, and the nearest miss is its 512 base pages.
pub fn a_huge_page_blocks_a_range() -> Check {
    let _gigantic = Emptied::now(GIGANTIC)?;
    let _pool = Resized::ours(0)?;
    let (node, ranges) = open_ranges(2)?;
    OURS.set_node(node, too_many(LARGE)?)?;
    let all = OURS.nr()? as usize;
    let file = device::open()?;
    let map = Request::pages(all).map(&file)?;
    for page in 0..all {
        map.write(page * HUGE, 1);
    }
    let kept = keep_one_each(&map, &ranges)?;
    let huge = guest::file::Huge::from_file(OURS, file);
    for page in (0..all).filter(|page| !kept.contains(page)) {
        huge.punch((page * HUGE) as u64, HUGE as u64)?;
    }
    OURS.set_node(node, kept.len() as u64)?;
    same!(OURS.nr()?, kept.len() as u64, "pages left");
    are_blocked(&ranges, "huge")?;
    same!(
        GIGANTIC
            .explain_of(node)?
            .number(node, &ranges[0].zone, "nearest_miss_huge"),
        Some(512),
        "the nearest miss"
    );
    drop((map, huge));
    OURS.settles_at_free(kept.len() as u64)?;
    OURS.set(0)?;
    are_open_again(&ranges)
}

/// A base page in each range that a pipe holds.
pub fn a_pinned_page_blocks_a_range() -> Check {
    const STAMP: u64 = 0x9a9a_9a9a_9a9a_9a9a;
    let _gigantic = Emptied::now(GIGANTIC)?;
    let (node, ranges) = open_ranges(1)?;
    let (_, prospects) = LARGE.can_grow()?;
    let room = prospects.iter().find(|(nid, _)| *nid == node);
    let pages = room.map_or(0, |(_, prospect)| prospect.now) as usize;
    let (map, base) = Map::reserve(pages)?;
    let request = Request {
        address: base,
        bytes: pages * HUGE,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
        ..Request::pages(pages)
    };
    let inner = request.map_fd(-1)?;
    inner.advise(libc::MADV_HUGEPAGE)?;
    Policy::bind(&[node]).set_on(&inner)?;
    for page in 0..pages {
        inner.write(page * HUGE, STAMP);
    }
    let kept = keep_one_each(&inner, &ranges)?;
    drain()?;
    let mut pipes = Vec::new();
    for page in &kept {
        // Only this base page is left of the huge one.
        inner.unmap(page * HUGE + 4096, HUGE - 4096)?;
        for offset in (0..4096).step_by(8) {
            inner.write(page * HUGE + offset, STAMP);
        }
        let pipe = Pipe::new()?;
        pipe.splice(&inner, page * HUGE, 4096)?;
        pipes.push(pipe);
    }
    drain()?;
    are_blocked(&ranges, "pinned")?;
    for pipe in &mut pipes {
        pipe.drain(4096, STAMP)?;
    }
    drop((inner, map));
    are_open_again(&ranges)
}

/// hugetlb's 2 MiB pages are moved away, as they are for hugetlb itself.
pub fn hugetlbs_small_pages_do_not_block() -> Check {
    let _gigantic = Emptied::now(GIGANTIC)?;
    let (node, ranges) = open_ranges(2)?;
    let small = Resized::of(HUGETLB, 0)?;
    HUGETLB.set_node(node, 8)?;
    let (prospect, got) = grown(GIGANTIC, None)?;
    println!("# with hugetlb's pages: {prospect:?}, got {got}");
    check!(
        prospect.now <= got && got <= prospect.at_most && got >= ranges.len() as u64 - 1,
        "{prospect:?}, got {got}"
    );
    same!(HUGETLB.nr()?, 8, "hugetlb's pages");
    GIGANTIC.pool.set(0)?;
    drop(small);
    Ok(())
}
