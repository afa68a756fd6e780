// SPDX-License-Identifier: GPL-2.0

//! Copy on write in one process.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use guest::beside::{beside, Side};
use guest::map::{Map, Request, READ, WRITE};
use guest::{same, word, Check, HUGE};

/// A private mapping of `pages` pages.
pub fn private(pages: usize) -> Request {
    Request {
        flags: libc::MAP_PRIVATE,
        ..Request::pages(pages)
    }
}

/// A file with `pages` pages that hold 100, 101, ...; the shared mapping that filled them, and a
/// private one.
fn both(side: &Side, pages: usize) -> Check<(Map, Map)> {
    let file = side.open()?;
    let shared = Request::pages(pages).map(&file)?;
    for page in 0..pages {
        shared.fill(page, 100 + page as u64);
    }
    Ok((shared, private(pages).map(&file)?))
}

pub fn reads_see_the_file_until_the_first_write() -> Check {
    beside(6, |side| {
        let (shared, own) = both(side, 2)?;
        side.note_counts("mapped")?;
        own.holds(0, 100)?;
        side.note_counts("read")?;
        shared.write(0, 7);
        side.note("what the file's writer wrote", own.read(0));
        own.write(HUGE - 8, 8);
        side.note_counts("written")?;
        shared.write(0, 9);
        side.note("what the file's writer wrote after that", own.read(0));
        side.note("the file", shared.read(HUGE - 8));
        Ok(())
    })
}

pub fn a_write_copies_the_whole_page() -> Check {
    beside(6, |side| {
        let (shared, own) = both(side, 2)?;
        // Page 0 is written to without being read before.
        own.write(HUGE / 2, 1);
        own.write(HUGE / 2, 100);
        own.holds(0, 100)?;
        own.fill(1, 55);
        shared.holds(0, 100)?;
        shared.holds(1, 101)?;
        own.holds(1, 55)?;
        side.note_counts("both written")
    })
}

pub fn holes_become_the_mappings_own() -> Check {
    beside(6, |side| {
        let file = side.open()?;
        let own = private(2).map(&file)?;
        own.holds(0, 0)?;
        side.note_counts("a hole read")?;
        own.write(0, 3);
        side.note_counts("and written")?;
        let shared = Request::pages(2).map(&file)?;
        shared.holds(0, 0)?;
        shared.fill(1, 4);
        own.holds(1, 4)?;
        side.note("own page", own.read(0));
        side.note_counts("in the end")
    })
}

pub fn two_mappings_of_a_file_are_apart() -> Check {
    beside(6, |side| {
        let file = side.open()?;
        let (one, other) = (private(2).map(&file)?, private(2).map(&file)?);
        one.fill(0, 1);
        other.fill(0, 2);
        one.holds(0, 1)?;
        other.holds(0, 2)?;
        one.holds(1, 0)?;
        side.note_counts("written")?;
        drop(one);
        side.note_counts("one is gone")?;
        other.holds(0, 2)
    })
}

pub fn read_only_mappings_see_the_file() -> Check {
    beside(6, |side| {
        let file = side.open()?;
        let shared = Request::pages(2).map(&file)?;
        shared.fill(0, 5);
        let own = Request {
            protection: READ,
            ..private(2)
        }
        .map(&file)?;
        side.note_counts("mapped")?;
        own.holds(0, 5)?;
        own.holds(1, 0)?;
        side.note_counts("read")?;
        side.note("write", word::store(&own, 0, 1));
        shared.write(0, 6);
        side.note("read", own.read(0));
        Ok(())
    })
}

pub fn protection_goes_down_and_up() -> Check {
    beside(6, |side| {
        let (shared, own) = both(side, 3)?;
        own.write(0, 1);
        for (round, to) in [READ, libc::PROT_NONE, READ | WRITE, READ, READ | WRITE]
            .into_iter()
            .enumerate()
        {
            own.protect(0, 2 * HUGE, to)?;
            for page in 0..3 {
                let value = 10 * round as u64 + page as u64;
                side.note("write", word::store(&own, page * HUGE, value));
                side.note("read", word::load(&own, page * HUGE));
            }
            side.note_counts(round)?;
        }
        shared.holds(0, 100)
    })
}

pub fn writes_by_way_of_the_kernel_copy() -> Check {
    beside(6, |side| {
        let (shared, own) = both(side, 3)?;
        side.note("read(2) into page 0", word::store(&own, 8, 1));
        // SAFETY: The range lies in the mapping.
        let populated = guest::call(unsafe {
            libc::madvise(own.at(HUGE).cast(), HUGE, libc::MADV_POPULATE_WRITE)
        });
        side.note("MADV_POPULATE_WRITE of page 1", populated);
        let mem = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        use std::os::unix::fs::FileExt;
        mem.write_all_at(&5_u64.to_ne_bytes(), own.at(2 * HUGE) as u64)?;
        side.note_counts("all copied")?;
        shared.holds(0, 100)?;
        shared.holds(1, 101)?;
        shared.holds(2, 102)?;
        own.holds(1, 101)?;
        side.note("page 2", (own.read(2 * HUGE), own.read(2 * HUGE + 8)));
        Ok(())
    })
}

pub fn thp_off_makes_no_difference() -> Check {
    beside(6, |side| {
        let (shared, own) = both(side, 2)?;
        own.advise(libc::MADV_NOHUGEPAGE)?;
        side.note("read", own.read(0));
        own.write(0, 1);
        own.write(HUGE, 2);
        side.note_counts("copied")?;
        shared.holds(0, 100)?;
        side.note("page 1", (own.read(HUGE), own.read(HUGE + 8)));
        Ok(())
    })
}

/// Readers put the file's page back into the page table while the writer copies it.
pub fn threads_that_read_and_write_one_page() -> Check {
    beside(6, |side| {
        let file = side.open()?;
        let shared = Request::pages(1).map(&file)?;
        shared.fill(0, 7);
        for round in 0..40 {
            let own = private(1).map(&file)?;
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !done.load(Relaxed) {
                            // SAFETY: The range is the mapping; it faults in again.
                            unsafe { libc::madvise(own.base().cast(), HUGE, libc::MADV_COLD) };
                            std::hint::black_box(own.read(64));
                        }
                    });
                }
                own.write(8, round);
                done.store(true, Relaxed);
            });
            same!((own.read(8), own.read(16)), (round, 7), "the copy");
            same!(shared.read(8), 7, "the file");
        }
        side.note_counts("in the end")?;
        Ok(())
    })
}
