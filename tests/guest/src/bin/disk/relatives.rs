// SPDX-License-Identifier: GPL-2.0

//! Fork, with pages that a disk writes to.

use guest::beside::beside;
use guest::child::fork;
use guest::device::open;
use guest::pool::{Resized, OURS};
use guest::{same, word, Check, Errno, HUGE};

use crate::direct::{read, request};
use crate::files;
use crate::ring::Ring;

/// What the ring reads after fork is the parent's, though the parent did not write the page itself.
pub fn a_pinned_page_stays_the_parents() -> Check {
    beside(6, |side| {
        let map = request(2, false).map(&side.open()?)?;
        map.fill(0, 10);
        map.fill(1, 11);
        let mut ring = Ring::with(&map, 0, 1)?;
        let child = fork(|link| {
            link.number()?;
            map.holds(0, 10)?;
            map.holds(1, 11)?;
            map.write(0, 5);
            link.send(1)?;
            link.number().map(drop)
        })?;
        // The child has a copy of the page that is pinned.
        side.counts("forked", (6, 3, 0, 0))?;
        let disk = files::stamped("parent", 1, 20)?;
        ring.read(&disk, 0, 0)?;
        map.holds(0, 20)?;
        child.link.send(1)?;
        child.link.number()?;
        map.holds(0, 20)?;
        map.write(8, 21);
        side.counts("written by both", (6, 3, 0, 0))?;
        ring.write(&disk, 0)?;
        side.note("what the ring has", files::words("parent", 0)?);
        child.link.send(1)?;
        child.finish()
    })
}

pub fn a_direct_read_after_fork_is_the_readers() -> Check {
    beside(6, |side| {
        let map = request(2, false).map(&side.open()?)?;
        map.fill(0, 10);
        map.fill(1, 11);
        let disk = files::stamped("reader", 2, 20)?;
        let child = fork(|link| {
            link.number()?;
            map.holds(0, 10)?;
            read(&disk, HUGE, &map, HUGE, HUGE)?;
            map.holds(1, 21)?;
            link.send(1)?;
            link.number().map(drop)
        })?;
        side.note("read", read(&disk, 0, &map, 0, HUGE));
        map.holds(0, 20)?;
        child.link.send(1)?;
        child.link.number()?;
        map.holds(1, 11)?;
        side.counts("both have read", (6, 2, 0, 0))?;
        child.link.send(1)?;
        child.finish()
    })
}

/// hugetlb fails the fork; see DEVIATIONS.md.
pub fn without_a_page_to_copy_to_the_child_has_none() -> Check {
    let _pool = Resized::ours(2)?;
    let map = request(2, false).map(&open()?)?;
    map.fill(0, 10);
    map.fill(1, 11);
    let ring = Ring::with(&map, 0, 1)?;
    fork(|_| {
        same!(
            word::load(&map, 0),
            Err(Errno(libc::EFAULT)),
            "the page that is pinned"
        );
        map.holds(1, 11)
    })?
    .finish()?;
    map.holds(0, 10)?;
    drop((ring, map));
    OURS.settles_at_free(2)
}
