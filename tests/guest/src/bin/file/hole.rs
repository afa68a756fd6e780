// SPDX-License-Identifier: GPL-2.0

//! Punching holes: fallocate with FALLOC_FL_PUNCH_HOLE.

use guest::access::catch;
use guest::beside::beside;
use guest::child::fork;
use guest::map::Request;
use guest::pipe::Pipe;
use guest::{same, Check, HUGE};

use crate::{look, number, pages, read_all};

pub fn pages_leave_with_their_charge() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(4))?;
        for page in 0..4 {
            map.fill(page, page as u64 + 1);
        }
        look(side, "when full", &file, (4, 0, 0, 0))?;
        file.punch(pages(1), pages(2))?;
        look(side, "with a hole of 2 pages", &file, (4, 2, 0, 0))?;
        map.holds(0, 1)?;
        map.holds(3, 4)?;
        // What comes into the hole is not reserved.
        let other = side.map(1)?;
        map.holds(1, 0)?;
        read_all(side, "with 1 page left and that reserved", &map);
        side.counts("after reading", (4, 1, 1, 0))?;
        drop(other);
        map.holds(2, 0)?;
        file.punch(0, pages(4))?;
        file.punch(0, pages(4))?;
        look(side, "when it is all hole", &file, (4, 4, 0, 0))?;
        read_all(side, "of the hole", &map);
        look(side, "in the end", &file, (4, 0, 0, 0))
    })
}

pub fn reservations_of_what_was_never_there_stay() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(4))?;
        map.write(HUGE, 2);
        look(side, "with 1 of 4 used", &file, (4, 3, 3, 0))?;
        file.punch(0, pages(4))?;
        look(side, "when it is all hole", &file, (4, 4, 3, 0))?;
        let other = side.map(1)?;
        side.counts("with all reserved", (4, 4, 4, 0))?;
        read_all(side, "with all reserved", &map);
        look(side, "after reading", &file, (4, 1, 1, 0))?;
        drop(other);
        file.punch(0, pages(4))?;
        look(side, "in the end", &file, (4, 4, 0, 0))
    })
}

pub fn ranges_past_the_end() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(3))?;
        number(&map, 0..3)?;
        file.set_size(pages(2))?;
        look(side, "with 2 pages", &file, (4, 2, 0, 0))?;
        file.punch(pages(2), pages(100))?;
        look(side, "punched behind it", &file, (4, 2, 0, 0))?;
        file.punch(pages(1), (1 << 63) - pages(2))?;
        look(side, "punched across the end", &file, (4, 3, 0, 0))?;
        read_all(side, "of what is left", &map);
        look(side, "in the end", &file, (4, 2, 0, 0))
    })
}

pub fn surplus_pages_leave_the_pool() -> Check {
    catch()?;
    beside(1, |side| {
        side.pool().set_overcommit(2)?;
        let file = side.huge()?;
        let map = file.map(Request::pages(3))?;
        number(&map, 0..3)?;
        look(side, "with 2 surplus pages", &file, (3, 0, 0, 2))?;
        file.punch(0, pages(1))?;
        look(side, "with a hole of 1 page", &file, (2, 0, 0, 1))?;
        file.punch(pages(1), pages(2))?;
        look(side, "when it is all hole", &file, (1, 1, 0, 0))?;
        read_all(side, "of the hole", &map);
        look(side, "in the end", &file, (3, 0, 0, 2))
    })
}

pub fn other_processes_find_the_hole() -> Check {
    catch()?;
    beside(3, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(2))?;
        number(&map, 0..2)?;
        let child = fork(|link| {
            same!(map.read(HUGE), 2, "page 1");
            link.send(1)?;
            link.number()?;
            same!(map.try_read(HUGE), Ok(0), "page 1 in the child");
            map.write(HUGE, 22);
            link.send(1)
        })?;
        child.link.number()?;
        file.punch(pages(1), pages(1))?;
        look(side, "with a hole", &file, (3, 2, 0, 0))?;
        child.link.send(1)?;
        child.link.number()?;
        child.finish()?;
        same!(map.read(HUGE), 22, "page 1");
        look(side, "in the end", &file, (3, 1, 0, 0))
    })
}

pub fn pinned_pages_leave_the_file() -> Check {
    catch()?;
    beside(3, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(2))?;
        map.fill(0, 7);
        map.fill(1, 8);
        let mut pipe = Pipe::new()?;
        pipe.splice(&map, 0, 8192)?;
        file.punch(0, pages(1))?;
        look(side, "with a pinned page taken out", &file, (3, 1, 0, 0))?;
        map.holds(0, 0)?;
        map.fill(0, 9);
        look(side, "with another one there", &file, (3, 0, 0, 0))?;
        pipe.drain(8192, 7)?;
        side.settles("with the pin gone", (3, 1, 0, 0))?;
        pipe.splice(&map, HUGE, 8192)?;
        file.set_size(0)?;
        look(side, "with a pinned page cut off", &file, (3, 2, 0, 0))?;
        pipe.drain(8192, 8)?;
        side.settles("in the end", (3, 3, 0, 0))
    })
}
