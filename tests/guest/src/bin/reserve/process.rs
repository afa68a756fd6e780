// SPDX-License-Identifier: GPL-2.0

//! Processes that share a file, and processes that die.

use guest::beside::beside;
use guest::child::fork;
use guest::map::Request;
use guest::{Check, HUGE};

pub fn fork_and_exit_end_no_reservation_but_the_last() -> Check {
    beside(4, |side| {
        let map = side.map(4)?;
        map.write(0, 1);
        let child = fork(|link| {
            map.write(HUGE, 1);
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        side.counts("with one page touched by each", (4, 2, 2, 0))?;
        child.link.send(1)?;
        child.finish()?;
        side.counts("with the child gone", (4, 2, 2, 0))?;
        let child = fork(|link| {
            link.number()?;
            map.write(2 * HUGE, 1);
            map.write(3 * HUGE, 1);
            Ok(())
        })?;
        // What the parent unmaps is the child's still.
        map.unmap(0, 4 * HUGE)?;
        side.counts("with the parent's mapping gone", (4, 2, 2, 0))?;
        child.link.send(1)?;
        child.finish()?;
        side.settles("in the end", (4, 4, 0, 0))
    })
}

/// Deaths, each somewhere else in what the child does.
const DEATHS: u64 = 12;

pub fn kill_ends_all_reservations() -> Check {
    beside(6, |side| {
        side.pool().set_overcommit(4)?;
        for death in 0..DEATHS {
            let pool = side.pool();
            let child = fork(|link| loop {
                let file = guest::device::open_of(pool)?;
                let map = Request::pages(7).map(&file)?;
                for page in 0..5 {
                    map.write(page * HUGE, 1);
                    link.send(1)?;
                }
                drop(map);
                let unreserved = Request::pages(9).unreserved().map(&file)?;
                for page in 0..9 {
                    unreserved.write(page * HUGE, 1);
                    link.send(1)?;
                }
            })?;
            for _ in 0..death * 3 + 1 {
                child.link.number()?;
            }
            child.kill()?;
            side.settles(format!("after death {death}"), (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

pub fn passed_descriptor_charges_once() -> Check {
    beside(4, |side| {
        let child = fork(|link| {
            let file = link.receive_descriptor()?;
            let map = Request::pages(4).map(&file)?;
            map.write(0, 1);
            link.send(1)?;
            link.number()?;
            for page in 0..4 {
                map.write(page * HUGE, 1);
            }
            link.send(1)?;
            link.number().map(drop)
        })?;
        let file = side.open()?;
        let map = Request::pages(3).map(&file)?;
        side.counts("before another process maps", (4, 4, 3, 0))?;
        child.link.send_descriptor(&file)?;
        child.link.number()?;
        side.counts("with its one page more, one touched", (4, 3, 3, 0))?;
        drop((map, file));
        side.counts("with the file in that process alone", (4, 3, 3, 0))?;
        child.link.send(1)?;
        child.link.number()?;
        side.counts("with all touched", (4, 0, 0, 0))?;
        child.link.send(1)?;
        child.finish()?;
        side.settles("in the end", (4, 4, 0, 0))
    })
}
