// SPDX-License-Identifier: GPL-2.0

//! Copies on write, however the kernel comes to ask for them.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Barrier;
use std::thread;

use guest::beside::beside;
use guest::child::in_child;
use guest::kind::{stamped, Kind};
use guest::map::{Map, READ, WRITE};
use guest::{call, check, word, Check, HUGE};

/// Writes 5 to the first word of the mapping.
const WRITES: [(&str, fn(&Map) -> Check); 4] = [
    ("by the program", |map| {
        map.write(0, 5);
        Ok(())
    }),
    ("by read(2)", |map| Ok(word::store(map, 0, 5)?)),
    ("populated", |map| {
        map.advise(libc::MADV_POPULATE_WRITE)?;
        map.write(0, 5);
        Ok(())
    }),
    ("after mprotect", |map| {
        map.protect(0, HUGE, READ)?;
        map.read(0);
        map.protect(0, HUGE, READ | WRITE)?;
        map.write(0, 5);
        Ok(())
    }),
];

/// What the mapping has seen before the write.
const BEFORE: [(&str, fn(&Map)); 2] = [
    ("untouched", |_| ()),
    ("read", |map| {
        map.read(HUGE / 2);
    }),
];

/// How the kernel is kept from huge pages, or not: with THP off it asks `fault` for base pages,
/// else `huge_fault` for huge ones.
const THP: [(&str, fn(&Map) -> Check); 3] = [
    ("huge", |_| Ok(())),
    ("MADV_NOHUGEPAGE", |map| {
        // hugetlb's mappings refuse it, and need it as little.
        let _ = map.advise(libc::MADV_NOHUGEPAGE);
        Ok(())
    }),
    ("PR_SET_THP_DISABLE", |_| {
        // SAFETY: prctl takes numbers.
        call(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })?;
        Ok(())
    }),
];

/// Nine words of a page, ends of base pages among them.
fn is_a_copy(map: &Map, first: u64, others: u64) -> Check {
    guest::same!(map.read(0), first, "the word that was written");
    for offset in [8, 4088, 4096, HUGE / 2, HUGE / 2 + 8, HUGE - 4096, HUGE - 8] {
        guest::same!(map.read(offset), others, "the word at {offset}");
    }
    Ok(())
}

pub fn however_it_is_asked_for() -> Check {
    beside(4, |side| {
        for (thp, switch) in THP {
            for (before, touch) in BEFORE {
                for (how, write) in WRITES {
                    let name = format!("{thp}, {before}, {how}");
                    let (file, shared) = stamped(side, Kind::Shared, 1)?;
                    // A child, for what is switched off stays off.
                    in_child(|| {
                        let own = Kind::Private.pages(1).map(&file)?;
                        switch(&own)?;
                        touch(&own);
                        write(&own)?;
                        is_a_copy(&own, 5, 10)?;
                        shared.holds(0, 10)?;
                        own.fill(0, 6);
                        own.holds(0, 6)
                    })
                    .map_err(|guest::Fail(why)| guest::Fail(format!("{name}: {why}")))?;
                    shared.holds(0, 10)?;
                    side.note_counts(&name)?;
                }
            }
        }
        Ok(())
    })
}

pub fn however_it_is_asked_for_after_fork() -> Check {
    beside(6, |side| {
        for (thp, switch) in THP {
            for (before, touch) in BEFORE {
                for (how, write) in WRITES {
                    let name = format!("{thp}, {before}, {how}");
                    let (_file, own) = stamped(side, Kind::Private, 1)?;
                    in_child(|| {
                        switch(&own)?;
                        touch(&own);
                        write(&own)?;
                        is_a_copy(&own, 5, 10)
                    })
                    .map_err(|guest::Fail(why)| guest::Fail(format!("{name}: {why}")))?;
                    own.holds(0, 10)?;
                    side.note_counts(&name)?;
                }
            }
        }
        Ok(())
    })
}

/// Rounds of a race: it needs its chances.
const ROUNDS: u64 = 300;

/// One thread reads the page that another one copies: a read fault may bring the file's page back
/// between the write's fault, which empties the entry, and the copy's insertion.
pub fn readers_race_with_the_copy() -> Check {
    beside(4, |side| {
        let (file, shared) = stamped(side, Kind::Shared, 1)?;
        for round in 0..ROUNDS {
            let own = Kind::Private.pages(1).map(&file)?;
            own.read(0);
            let done = AtomicBool::new(false);
            let barrier = Barrier::new(2);
            let seen = thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    barrier.wait();
                    loop {
                        let done = done.load(SeqCst);
                        let words = (own.read(0), own.read(HUGE - 8));
                        if done || !matches!(words, (10 | 20, 10)) {
                            return words;
                        }
                    }
                });
                barrier.wait();
                own.write(0, 20);
                done.store(true, SeqCst);
                reader.join()
            });
            check!(
                matches!(seen, Ok((20, 10))),
                "round {round}: a reader saw {seen:?} after the write"
            );
        }
        shared.holds(0, 10)?;
        side.note_counts("after the race")
    })
}
