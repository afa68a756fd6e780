// SPDX-License-Identifier: GPL-2.0

//! Fork: both sides keep what was there, and whoever writes gets a copy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use guest::beside::{beside, Side};
use guest::child::fork;
use guest::map::Map;
use guest::{check, word, Check, HUGE};

use crate::copy::private;
use crate::twin::Twin;

/// A private mapping of `pages` pages that hold 10, 11, ...
pub fn filled(side: &Side, pages: usize) -> Check<Map> {
    let own = private(pages).map(&side.open()?)?;
    for page in 0..pages {
        own.fill(page, 10 + page as u64);
    }
    Ok(own)
}

pub fn a_child_shares_until_somebody_writes() -> Check {
    beside(6, |side| {
        let own = filled(side, 2)?;
        let child = Twin::of(&own)?;
        side.counts("forked", (6, 4, 0, 0))?;
        side.note("the child's page 0", child.load(0)?);
        side.note("the child's page 1", child.load(1)?);
        side.counts("read by the child", (6, 4, 0, 0))?;
        own.write(0, 1);
        side.counts("written by the parent", (6, 3, 0, 0))?;
        side.note("the child's page 0", child.load(0)?);
        own.write(8, 1);
        side.counts("written again", (6, 3, 0, 0))?;
        child.end()?;
        side.counts("the child is gone", (6, 4, 0, 0))?;
        own.holds(1, 11)
    })
}

pub fn the_child_writes_first() -> Check {
    beside(6, |side| {
        let own = filled(side, 2)?;
        let child = Twin::of(&own)?;
        side.note("the child writes", child.store(0, 5)?);
        side.counts("written by the child", (6, 3, 0, 0))?;
        own.holds(0, 10)?;
        own.write(0, 6);
        side.counts("written by the parent", (6, 3, 0, 0))?;
        side.note("the child's page 0", child.load(0)?);
        side.note("the child unmaps", child.unmap(0)?);
        side.counts("unmapped by the child", (6, 4, 0, 0))?;
        child.end()
    })
}

pub fn the_last_one_does_not_copy() -> Check {
    beside(2, |side| {
        let own = filled(side, 2)?;
        let child = Twin::of(&own)?;
        side.counts("forked, and none left", (2, 0, 0, 0))?;
        side.note("the child reads", child.load(0)?);
        child.kill()?;
        side.counts("the child was killed", (2, 0, 0, 0))?;
        side.note("write", word::store(&own, 0, 1));
        side.note("write", word::store(&own, HUGE, 1));
        side.counts("written", (2, 0, 0, 0))
    })
}

pub fn a_child_has_no_promises() -> Check {
    beside(4, |side| {
        let own = private(3).map(&side.open()?)?;
        own.write(0, 1);
        let child = Twin::of(&own)?;
        side.counts("forked", (4, 3, 2, 0))?;
        side.note("the child writes page 1", child.store(1, 1)?);
        side.counts("one page that nobody was promised", (4, 2, 2, 0))?;
        side.note("the child writes page 2", child.store(2, 1)?);
        side.note("and page 0", child.store(0, 1)?);
        side.counts("none is left for it", (4, 2, 2, 0))?;
        own.write(HUGE, 2);
        own.write(2 * HUGE, 2);
        side.counts("the parent has its own", (4, 0, 0, 0))?;
        side.note("the child's page 1", child.load(1)?);
        child.end()
    })
}

pub fn a_parent_that_exits_first() -> Check {
    beside(4, |side| {
        let own = private(3).map(&side.open()?)?;
        own.fill(0, 10);
        own.fill(1, 11);
        let child = Twin::of(&own)?;
        drop(own);
        side.counts("the parent's mapping is gone", (4, 2, 0, 0))?;
        side.note("the child's page 0", child.load(0)?);
        side.note("the child writes it", child.store(0, 5)?);
        side.note("and page 2", child.store(2, 5)?);
        side.counts("written by the child", (4, 1, 0, 0))?;
        child.end()?;
        side.settles("in the end", (4, 4, 0, 0))
    })
}

pub fn grandchildren() -> Check {
    beside(6, |side| {
        let own = filled(side, 2)?;
        let child = fork(|link| {
            link.number()?;
            own.write(0, 20);
            let grandchild = Twin::of(&own)?;
            for page in 0..2 {
                link.send(grandchild.load(page)?.unwrap_or(0))?;
            }
            link.number()?;
            grandchild.store(1, 30)?.unwrap_or(0);
            link.send(own.read(HUGE))?;
            grandchild.end()
        })?;
        child.link.send(1)?;
        side.note("the grandchild's page 0", child.link.number()?);
        side.note("the grandchild's page 1", child.link.number()?);
        side.counts("three generations", (6, 3, 0, 0))?;
        child.link.send(1)?;
        side.note("the child's page 1", child.link.number()?);
        child.finish()?;
        own.holds(0, 10)?;
        own.holds(1, 11)?;
        side.counts("alone again", (6, 4, 0, 0))
    })
}

pub fn exec_and_kill_give_pages_back() -> Check {
    beside(8, |side| {
        let own = filled(side, 2)?;
        let child = Twin::of(&own)?;
        side.note("the child writes", child.store(0, 1)?);
        child.kill()?;
        side.counts("killed", (8, 6, 0, 0))?;
        let mut child = fork(|_| {
            own.write(0, 2);
            let args = [c"/bin/busybox".as_ptr(), c"true".as_ptr(), std::ptr::null()];
            // SAFETY: The strings are terminated, and so is the list.
            unsafe { libc::execv(args[0], args.as_ptr()) };
            Err(guest::Errno::last().into())
        })?;
        side.note("status of what was executed", child.wait()?);
        side.counts("executed", (8, 6, 0, 0))?;
        own.holds(0, 10)
    })
}

pub fn dontfork_leaves_the_child_without() -> Check {
    beside(4, |side| {
        let own = filled(side, 2)?;
        own.advise(libc::MADV_DONTFORK)?;
        let child = Twin::of(&own)?;
        side.note("the child's page 0", child.load(0)?);
        own.write(0, 1);
        side.counts("no copy was needed", (4, 2, 0, 0))?;
        side.note("MADV_DOFORK", own.advise(libc::MADV_DOFORK));
        child.end()
    })
}

/// A thread writes all the time; what a child sees of it must stand still.
pub fn what_the_parent_writes_meanwhile_is_not_seen() -> Check {
    beside(8, |side| {
        let own = filled(side, 1)?;
        let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
        let outcome: Check = thread::scope(|scope| {
            scope.spawn(|| {
                let mut value = 0;
                while !stop.load(Relaxed) {
                    value += 1;
                    own.write(0, value);
                    own.write(HUGE - 8, value);
                    written.store(value, Relaxed);
                }
            });
            let outcome = (0..20).try_for_each(|_| {
                // The child runs system calls and compares; it takes no lock of the writer's.
                let child = fork(|link| {
                    let first = (own.read(0), own.read(HUGE - 8));
                    link.send(1)?;
                    link.number()?;
                    let second = (own.read(0), own.read(HUGE - 8));
                    check!(first == second, "first {first:?}, then {second:?}");
                    check!(first.0 - first.1 <= 1, "torn: {first:?}");
                    Ok(())
                })?;
                child.link.number()?;
                let before = written.load(Relaxed);
                while written.load(Relaxed) < before + 3 {
                    std::hint::spin_loop();
                }
                child.link.send(1)?;
                child.finish()
            });
            stop.store(true, Relaxed);
            outcome
        });
        outcome?;
        side.note_counts("in the end")
    })
}
