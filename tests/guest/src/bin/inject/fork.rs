// SPDX-License-Identifier: GPL-2.0

//! Fork with a page that is pinned, of which the child gets a copy. It is too late by then to refuse
//! the fork: the child goes without what could not be copied.

use std::cell::{Cell, RefCell};
use std::ptr;

use guest::access::catch;
use guest::link::Link;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::ring::{Buffer, Ring};
use guest::{call, check, same, Check, Errno};

use crate::fault::{each_run, Fault, RUNS};

const PAGES: usize = 2;
const PINNED: usize = 1;
/// The order of a page of 2 MiB.
const HUGE_ORDER: u32 = 9;

/// What is in the pages before the fork, and in the parent's pinned one after it.
const BEFORE: u64 = 1;
const AFTER: u64 = 2;

/// How the child ends: with all that its parent had, without some of it, with something else.
const COMPLETE: i32 = 0;
const MISSING: i32 = 1;
const WRONG: i32 = 2;

/// A private mapping with a page pinned, and a line to the child.
struct Parent<'a> {
    ring: &'a RefCell<Ring>,
    map: Map,
    here: Link,
    there: Link,
}

impl<'a> Parent<'a> {
    fn new(ring: &'a RefCell<Ring>) -> Check<Self> {
        let map = Request::of(OURS, PAGES)
            .private()
            .map(&guest::device::open_of(OURS)?)?;
        (0..PAGES).for_each(|page| map.mark(page, BEFORE));
        let (here, there) = Link::pair()?;
        let parent = Self {
            ring,
            map,
            here,
            there,
        };
        ring.borrow().pin(parent.buffer())?;
        Ok(parent)
    }

    fn buffer(&self) -> Buffer {
        Buffer {
            slot: 0,
            base: self.map.at(PINNED * self.map.page_bytes()),
        }
    }

    fn fork(&self) -> Result<Forked, Errno> {
        // SAFETY: The child does nothing but read, and exit.
        let pid = call(unsafe { libc::fork() })? as libc::pid_t;
        if pid == 0 {
            // SAFETY: prctl takes numbers; the parent's destructors are not for the child to run.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::_exit(self.in_child())
            };
        }
        Ok(Forked(pid))
    }

    /// Looks at the pages when the parent has written.
    fn in_child(&self) -> i32 {
        if self.there.number().is_err() {
            return WRONG;
        }
        let mut status = COMPLETE;
        for page in 0..PAGES {
            if self.map.try_read(page * self.map.page_bytes()).is_err() {
                status = MISSING;
            } else if self.map.marked(page, BEFORE).is_err() {
                return WRONG;
            }
        }
        status
    }

    /// The parent writes to the page that is pinned, and who pins it must see that. How the child ends.
    fn write(&self, mut child: Forked) -> Check<i32> {
        self.map.marked(PINNED, BEFORE)?;
        self.map.fill(PINNED, AFTER);
        self.ring
            .borrow_mut()
            .part_holds(self.buffer(), 0, 4096, AFTER)?;
        self.here.send(0)?;
        child.wait()
    }
}

impl Drop for Parent<'_> {
    fn drop(&mut self) {
        // The counters are looked at next.
        let _ = self.ring.borrow().unpin(0);
    }
}

/// A child, killed and reaped when dropped.
struct Forked(libc::pid_t);

impl Forked {
    /// Waits until it is gone: what it exited with.
    fn wait(&mut self) -> Check<i32> {
        let mut status = 0;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(self.0, &mut status, 0) })?;
        self.0 = 0;
        check!(libc::WIFEXITED(status), "wait status {status:#x}");
        Ok(libc::WEXITSTATUS(status))
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.0 != 0 {
            // SAFETY: kill and waitpid take numbers; the status may be left out.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, ptr::null_mut(), 0);
            }
        }
    }
}

/// The page for the copy is yet to be got. One failure alone is made up for by another node's page.
pub fn pinned() -> Check {
    catch()?;
    let _pool = Resized::ours(PAGES as u64)?;
    OURS.set_overcommit(2 * PAGES as u64)?;
    let ring = RefCell::new(Ring::new()?);
    let parent = Parent::new(&ring)?;
    same!(
        parent.write(parent.fork()?)?,
        COMPLETE,
        "a child's end, nothing failing"
    );
    drop(parent);
    OURS.settles_at_free(PAGES as u64)?;
    let missing = Cell::new(0);
    let fault = Fault::new()?;
    each_run(
        &fault,
        RUNS[1],
        &[libc::ENOMEM, libc::EAGAIN],
        || Parent::new(&ring),
        |parent| parent.fork(),
        |parent, child| {
            let end = parent.write(child)?;
            check!(end != WRONG, "the child has something else");
            missing.set(missing.get() + usize::from(end == MISSING));
            Ok(())
        },
    )?;
    println!("# children without the copy: {}", missing.get());
    // None of those need have been without: what else is asked for before differs from fork to fork.
    fault.pages_alone(HUGE_ORDER)?;
    let parent = Parent::new(&ring)?;
    let (child, failed) = fault.during(1, RUNS[1], || parent.fork())?;
    check!(failed, "no huge page was asked for");
    same!(
        parent.write(child?)?,
        MISSING,
        "a child's end, no huge page"
    );
    Ok(())
}
