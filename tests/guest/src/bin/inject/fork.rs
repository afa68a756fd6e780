// SPDX-License-Identifier: GPL-2.0

//! Fork with a page that is pinned, of which the child gets a copy. It is too late by then to refuse
//! the fork: the child goes without what could not be copied.

use std::cell::{Cell, RefCell};

use guest::access::catch;
use guest::link::Link;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::ring::{Buffer, Ring};
use guest::{check, same, Check, Errno};

use crate::fault::{each_run, Fault, HUGE_ORDER, RUNS};
use crate::forked::Forked;

const PAGES: usize = 2;
const PINNED: usize = 1;

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
        Forked::new(|| self.in_child())
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
