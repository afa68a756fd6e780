// SPDX-License-Identifier: GPL-2.0

//! The files while the memory they tell of changes: blocks go offline and come back, pages are
//! taken and freed.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use guest::child::fork;
use guest::{check, same, Check, Fail};

use crate::text::{drain, Emptied, Size, GIGANTIC, LARGE};

const MEMORY: &str = "/sys/devices/system/memory";

/// Base pages of a block of memory that goes offline as a whole.
fn block_pages() -> Check<u64> {
    let text = fs::read_to_string(format!("{MEMORY}/block_size_bytes"))?;
    Ok(u64::from_str_radix(text.trim_end(), 16)? / 4096)
}

fn set_state(block: u64, state: &str) -> bool {
    fs::write(format!("{MEMORY}/memory{block}/state"), state).is_ok()
}

/// Takes a block offline that nobody needs: one whose ranges can all be had.
fn take_offline() -> Check<u64> {
    let pages = block_pages()?;
    drain()?;
    let map = LARGE.map()?;
    let blocks = map.iter().map(|range| range.first / pages);
    let mut blocks: Vec<_> = blocks.collect();
    blocks.dedup();
    for block in blocks.into_iter().rev() {
        let ranges = map.iter().filter(|range| range.first / pages == block);
        let (mut count, mut open) = (0, true);
        for range in ranges {
            count += LARGE.pages;
            open &= range.is_open();
        }
        if open && count == pages && set_state(block, "offline") {
            return Ok(block);
        }
    }
    Err(Fail("no block of memory can be taken offline".into()))
}

/// Brings a block back when dropped.
struct Offline(u64);

impl Drop for Offline {
    fn drop(&mut self) {
        set_state(self.0, "online");
    }
}

fn holes_in(size: Size, block: u64) -> Check<u64> {
    let pages = block_pages()?;
    let map = size.map()?;
    let here = map.iter().filter(|range| range.first / pages == block);
    Ok(here.map(|range| range.count("hole")).sum())
}

pub fn memory_that_goes_is_a_hole() -> Check {
    let pages = block_pages()?;
    let block = Offline(take_offline()?);
    // A zone may end earlier now; what is left of the block in it is holes.
    let map = LARGE.map()?;
    let mut here = map.iter().filter(|range| range.first / pages == block.0);
    check!(
        here.all(|range| range.verdict == "hole" && range.count("hole") == LARGE.pages),
        "block {} is offline, and not a hole",
        block.0
    );
    let number = block.0;
    drop(block);
    same!(holes_in(LARGE, number)?, 0, "holes when it is back");
    let map = LARGE.map()?;
    let here = map.iter().filter(|range| range.first / pages == number);
    same!(
        here.count() as u64 * LARGE.pages,
        pages,
        "base pages of the block"
    );
    Ok(())
}

/// Reads everything until `over`.
fn read_all(over: &AtomicBool) -> Check<u64> {
    let mut rounds = 0;
    while !over.load(Relaxed) {
        for size in [LARGE, GIGANTIC] {
            size.explain()?;
            size.can_grow()?;
            size.map()?;
        }
        rounds += 1;
    }
    Ok(rounds)
}

/// Two readers beside pools that grow and shrink, processes that come and go, and memory that goes
/// offline and back.
pub fn walks_survive_what_others_do() -> Check {
    const ROUNDS: u64 = 3;
    let _pool = Emptied::now(LARGE)?;
    // Children are made before there are threads.
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(fork(|link| loop {
            let mut words = vec![1_u64; 1 << 20];
            words[7] = 2;
            if link.has_message()? {
                return Ok(());
            }
        })?);
    }
    let over = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let readers = [
            scope.spawn(|| read_all(&over)),
            scope.spawn(|| read_all(&over)),
        ];
        let done: Check = (0..ROUNDS).try_for_each(|round| {
            LARGE.pool.set(64 + round)?;
            drop(Offline(take_offline()?));
            LARGE.pool.set(0)?;
            Ok(())
        });
        over.store(true, Relaxed);
        let mut rounds = 0;
        for reader in readers {
            rounds += reader
                .join()
                .map_err(|_| Fail("a reader panicked".into()))??;
        }
        done.map(|()| rounds)
    });
    for other in others {
        other.link.send(1)?;
        other.finish()?;
    }
    check!(result? > 0, "nobody read");
    Ok(())
}
