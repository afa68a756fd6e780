// SPDX-License-Identifier: GPL-2.0

//! Memory blocks going offline. The kernel cannot move pages of the module's, so their blocks stay
//! until the pool has given them back.

use std::collections::BTreeSet;
use std::fs;

use guest::map::Map;
use guest::memory::{frame_of, poison, shrink_caches, BASE_PAGE};
use guest::pool::{memory_nodes, write_once, Resized, OURS};
use guest::{check, poll, refused, same, Check, Errno, Fail, HUGE};

/// So many that some blocks have nothing else in them: what the kernel has in one keeps it online.
const PAGES: usize = 400;

/// A memory block that is put online again, should it be offline.
#[derive(Debug)]
struct Block(u64);

impl Block {
    /// Bytes that each one has.
    fn bytes() -> Check<u64> {
        let text = fs::read_to_string("/sys/devices/system/memory/block_size_bytes")?;
        Ok(u64::from_str_radix(text.trim_end(), 16)?)
    }

    fn file(&self, name: &str) -> String {
        format!("/sys/devices/system/memory/memory{}/{name}", self.0)
    }

    /// EINTR if the kernel tries for long: a slab of one base page counts as one that can be moved, and
    /// a block with such a page is tried again until a signal comes (`offline_pages`).
    fn offline(&self) -> Result<(), Errno> {
        const LONG: libc::c_uint = 20;
        extern "C" fn handler(_: libc::c_int) {}
        let handler = handler as extern "C" fn(libc::c_int);
        // SAFETY: The handler does nothing, and alarm takes a number.
        let left = unsafe {
            libc::signal(libc::SIGALRM, handler as libc::sighandler_t);
            libc::alarm(LONG)
        };
        let result = write_once(&self.file("state"), b"offline").map(drop);
        // SAFETY: As before: the alarm ends a test that hangs again.
        unsafe {
            libc::signal(libc::SIGALRM, libc::SIG_DFL);
            libc::alarm(left);
        }
        result
    }

    fn online(&self) -> Check {
        // Another state than it has is EINVAL.
        write_once(&self.file("state"), b"online_kernel")?;
        let state = fs::read_to_string(self.file("state"))?;
        same!(state, "online\n", "state of memory block {}", self.0);
        Ok(())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let _ = self.online();
    }
}

/// The blocks that the pages of a mapping, all touched, are in.
fn blocks_of(map: &Map) -> Check<Vec<Block>> {
    let bytes = Block::bytes()?;
    let number = |page| Ok(frame_of(map.at(page * HUGE))? * BASE_PAGE / bytes);
    let numbers: BTreeSet<u64> = (0..map.pages()).map(number).collect::<Check<_>>()?;
    Ok(numbers.into_iter().map(Block).collect())
}

fn touched() -> Check<Map> {
    let map = Map::of_new_file(PAGES)?;
    (0..PAGES).for_each(|page| map.mark(page, 1 + page as u64));
    Ok(map)
}

pub fn a_block_with_pages_stays() -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let map = touched()?;
    let blocks = blocks_of(&map)?;
    let refused = |what: &str| -> Check {
        let before = OURS.counts()?;
        for block in &blocks {
            // The lowest and the highest have holes, whoever has the rest of them.
            check!(
                matches!(block.offline(), Err(Errno(libc::EBUSY | libc::EINVAL))),
                "block {} with {what} pages went offline, or would not for another reason",
                block.0
            );
        }
        same!(OURS.counts()?, before, "counters with {what} pages");
        Ok(())
    };
    refused("used")?;
    (0..PAGES).try_for_each(|page| map.marked(page, 1 + page as u64))?;
    drop(map);
    OURS.settles_at_free(PAGES as u64)?;
    refused("free")?;
    let map = Map::of_new_file(PAGES)?;
    (0..PAGES).try_for_each(|page| map.unmarked(page))
}

/// Writes a count until the first of some blocks can go, and puts it back in the end.
fn with_block_gone(act: impl FnOnce(&Block) -> Check) -> Check {
    let none = |_: &Map| Ok(0);
    with_block_gone_after(none, |block| {
        act(block)?;
        block.online()
    })
}

/// The same after some of the pages were made to leave the pool, and without putting it back.
fn with_block_gone_after(
    take_away: impl FnOnce(&Map) -> Check<usize>,
    act: impl FnOnce(&Block) -> Check,
) -> Check {
    let _pool = Resized::ours(PAGES as u64)?;
    let map = touched()?;
    let blocks = blocks_of(&map)?;
    let gone = take_away(&map)?;
    drop(map);
    OURS.settles_at_free((PAGES - gone) as u64)?;
    for node in memory_nodes()? {
        OURS.set_node(node, 0)?;
    }
    // What else is in a block is moved, unless somebody has it in hand just then; or the kernel gives it
    // back, which may take a round or two.
    let one = || {
        shrink_caches()?;
        Ok(blocks.iter().find(|block| block.offline().is_ok()))
    };
    let gone = poll::until("a block going offline", one, Option::is_some)?;
    let Some(block) = gone else {
        return Err(Fail("no block went offline".into()));
    };
    act(block)
}

pub fn a_block_without_pages_goes() -> Check {
    with_block_gone(|block| {
        // There is less memory now, and none of it is had from there.
        OURS.reach(PAGES as u64)?;
        let map = touched()?;
        let used = blocks_of(&map)?;
        let is_there = used.iter().any(|used| used.0 == block.0);
        std::mem::forget(used);
        check!(!is_there, "a page of block {}, which is offline", block.0);
        drop(map);
        OURS.set(0)
    })
}

/// What looks at all memory looks at that, too.
pub fn the_others_are_walked_over() -> Check {
    with_block_gone(|_| {
        for name in ["explain", "can_grow", "poisoned_hugepages"] {
            let said = fs::read_to_string(OURS.file(name))?;
            check!(!said.is_empty(), "{name} says nothing");
        }
        let map = fs::read("/sys/kernel/debug/rust_hugetlb/hugepages-2048kB")?;
        check!(!map.is_empty(), "the map is empty");
        Ok(())
    })
}

/// What is broken in it is nobody's, and so in nobody's way; the kernel does not let such a block come
/// back.
pub fn a_block_with_a_broken_page_goes() -> Check {
    let break_one_in_each = |map: &Map| {
        let mut broken = BTreeSet::new();
        for page in 0..PAGES {
            let frame = frame_of(map.at(page * HUGE))?;
            if broken.insert(frame * BASE_PAGE / Block::bytes()?) {
                poison(frame + 3)?;
            }
        }
        OURS.poisoned()?;
        Ok(broken.len())
    };
    with_block_gone_after(break_one_in_each, |block| {
        const EHWPOISON: i32 = 133;
        refused!(
            write_once(&block.file("state"), b"online_kernel"),
            EHWPOISON,
            "putting it online again"
        );
        Ok(())
    })
}
