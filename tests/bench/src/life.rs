// SPDX-License-Identifier: GPL-2.0

//! The life of all pages of a pool: it grows, they are touched, unmapped, and touched by others.

use guest::map::Request;
use guest::pool::Pool;
use guest::{call, same, Check};

use crate::clock::time;
use crate::knob::{resize, Knob};
use crate::mapped::{End, Mapped};
use crate::memory::Kept;
use crate::sample::Round;
use crate::zero::{Faults, Scrubber};

/// Forks in a round.
const FORKS: usize = 5;

/// At most so many pages are cleared where each is like the other: under `--icount` a clear is what
/// takes time.
const FEW: usize = 16;

/// The same of private pages, whose mapping takes some time for itself: as many as the fewest that
/// sizes are compared with.
const PRIVATE: usize = 64;

/// All cases. The pool is empty before, and has all its pages free afterwards.
pub fn run(round: &Round, pool: Pool, nr: &Knob) -> Check {
    let pages = round.pages;
    let few = pages.min(FEW);
    let kept = Kept::now()?;
    let grow = resize(pool, nr, pages)?;
    round.whole("grow", grow);
    let mapped = first_use(round, pool, grow)?;
    let kept = kept.more()?;
    round.whole("bookkeeping", kept.others);
    round.whole("page-map", kept.page_maps);
    forks(round, &mapped)?;
    let End { unmap, close } = mapped.end()?;
    round.whole("munmap", unmap);
    round.whole("close", close);
    round.whole("munmap-close", unmap + close);
    same!(pool.free()?, pages as u64, "free_hugepages after close");

    // Each page has had a user now.
    let plain = Request::of(pool, pages);
    let faults = Faults::of(pool)?;
    touch_some(round, "touch-returned", plain, pool, few)?;
    faults.cleared(few)?;

    if pool.is_ours() {
        Scrubber::clean(pool, pages)?;
        let faults = Faults::of(pool)?;
        touch_some(round, "touch-scrubbed", plain, pool, few)?;
        faults.found_zero(few)?;
    }
    private(round, pool)?;
    populate(round, pool, few)?;
    same!(pool.free()?, pages as u64, "free_hugepages at the end");
    Ok(())
}

/// The pages as they come from the page allocator.
fn first_use(round: &Round, pool: Pool, grow: u64) -> Check<Mapped> {
    let faults = Faults::of(pool)?;
    let (span, mapped) = Mapped::with(pool, Request::of(pool, round.pages))?;
    round.each("mmap", &[span]);
    let spans = mapped.touch(round.pages);
    faults.found_zero(round.pages)?;
    round.each("touch-zero", &spans);
    round.whole("grow-touch", grow + spans.iter().sum::<u64>());
    round.each("touch-mapped", &mapped.touch(round.pages));
    Ok(mapped)
}

/// First touches of a few pages of a new mapping.
fn touch_some(round: &Round, case: &str, request: Request, pool: Pool, few: usize) -> Check<End> {
    let (_, mapped) = Mapped::with(pool, request)?;
    round.each(case, &mapped.touch(few));
    mapped.end()
}

/// fork(), in the parent, with all pages mapped shared.
fn forks(round: &Round, mapped: &Mapped) -> Check {
    let mut spans = Vec::new();
    for _ in 0..FORKS {
        // SAFETY: The child ends at once; this program has one thread here.
        let (span, child) = time(|| unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            child
        });
        call(child)?;
        let mut status = 0;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(child, &mut status, 0) })?;
        same!(status, 0, "status of a child");
        spans.push(span);
    }
    // The mapping is the parent's as before.
    same!(mapped.map().read(0), 1, "first word after fork");
    round.each("fork-shared", &spans);
    Ok(())
}

/// First writes to a private mapping, whose file has no pages, and its end; the module's pages are
/// known to be zero.
fn private(round: &Round, pool: Pool) -> Check {
    Scrubber::clean(pool, round.pages)?;
    let some = round.pages.min(PRIVATE);
    let faults = Faults::of(pool)?;
    let request = Request::of(pool, some).private();
    let End { unmap, close } = touch_some(round, "touch-private", request, pool, some)?;
    faults.found_zero(some)?;
    round.samples("munmap-close-private", some, &[unmap + close]);
    Ok(())
}

/// MAP_POPULATE; the module's pages are known to be zero.
fn populate(round: &Round, pool: Pool, few: usize) -> Check {
    Scrubber::clean(pool, round.pages)?;
    let plain = Request::of(pool, few);
    let request = Request {
        flags: plain.flags | libc::MAP_POPULATE,
        ..plain
    };
    let faults = Faults::of(pool)?;
    let (span, mapped) = Mapped::with(pool, request)?;
    faults.found_zero(few)?;
    let free = (round.pages - few) as u64;
    same!(pool.free()?, free, "free_hugepages after MAP_POPULATE");
    round.samples("populate", few, &[span]);
    mapped.end()?;
    Ok(())
}
