// SPDX-License-Identifier: GPL-2.0

//! What becomes of the pages that private mappings have of their own.

use guest::access::catch;
use guest::beside::beside;
use guest::child::fork;
use guest::map::Request;
use guest::{same, Check, HUGE};

use crate::{look, number, pages, read_all};

pub fn own_pages_leave_with_the_hole() -> Check {
    catch()?;
    beside(8, |side| {
        let file = side.huge()?;
        let shared = file.map(Request::pages(3))?;
        number(&shared, 0..3)?;
        let private = file.map(Request::pages(3).private())?;
        look(side, "with a private mapping", &file, (8, 5, 3, 0))?;
        read_all(side, "of the file, seen privately", &private);
        private.write(0, 11);
        private.write(HUGE, 12);
        look(side, "with 2 pages of its own", &file, (8, 3, 1, 0))?;
        file.punch(0, pages(1))?;
        side.note_counts("with a hole")?;
        read_all(side, "of the private mapping", &private);
        read_all(side, "of the file", &shared);
        side.note_counts("with the hole read")?;
        private.write(0, 13);
        private.write(2 * HUGE, 14);
        read_all(side, "of the private mapping, written to", &private);
        side.note_counts("with all written")?;
        file.punch(0, pages(3))?;
        side.note_counts("when it is all hole")?;
        side.note("the file when it is all hole", file.state()?);
        read_all(side, "of the private mapping, all hole", &private);
        read_all(side, "of the file, all hole", &shared);
        side.note_counts("with all read")?;
        drop(private);
        side.note_counts("without the private mapping")
    })
}

pub fn own_pages_leave_where_the_file_has_none() -> Check {
    catch()?;
    beside(6, |side| {
        for reserved in [true, false] {
            let file = side.huge()?;
            let request = Request::pages(3).private();
            let map = file.map(if reserved {
                request
            } else {
                request.unreserved()
            })?;
            number(&map, 0..3)?;
            look(side, "with private pages only", &file, (6, 3, 0, 0))?;
            file.punch(pages(1), pages(1))?;
            side.note_counts("with a hole")?;
            read_all(side, "with a hole", &map);
            side.note_counts("with the hole read")?;
            number(&map, 0..3)?;
            file.punch(pages(3), pages(3))?;
            side.note_counts("with nothing punched")?;
            read_all(side, "with nothing punched", &map);
            drop((map, file));
            side.settles("in the end", (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

pub fn own_pages_leave_past_the_new_end() -> Check {
    catch()?;
    beside(6, |side| {
        let file = side.huge()?;
        let shared = file.map(Request::pages(2))?;
        number(&shared, 0..2)?;
        let map = file.map(Request::pages(4).private())?;
        side.counts("with a private mapping", (6, 4, 4, 0))?;
        number(&map, 1..4)?;
        look(side, "with 3 pages of its own", &file, (6, 1, 1, 0))?;
        file.set_size(pages(2))?;
        side.note_counts("with 2 pages")?;
        side.note("the file with 2 pages", file.state()?);
        read_all(side, "with 2 pages", &map);
        file.set_size(pages(1))?;
        side.note_counts("with 1 page")?;
        read_all(side, "with 1 page", &map);
        side.note("writing past the end", map.try_write(HUGE, 1));
        side.note("writing at the end", map.try_write(0, 1));
        side.note_counts("with the first page written")?;
        file.set_size(pages(4))?;
        read_all(side, "with 4 pages", &map);
        number(&map, 0..4)?;
        side.note_counts("with all written")?;
        drop((map, shared, file));
        side.settles("in the end", (6, 6, 0, 0))
    })
}

pub fn promises_come_back_unless_there_is_surplus() -> Check {
    catch()?;
    beside(3, |side| {
        for overcommit in [0, 1] {
            side.pool().set_overcommit(overcommit)?;
            let file = side.huge()?;
            // Leaves 1 page, so that a surplus one is made.
            let keeper = match overcommit {
                0 => None,
                _ => Some(side.map(2)?),
            };
            let map = file.map(Request::pages(2).private())?;
            number(&map, 0..2)?;
            side.note_counts(format!("with overcommit {overcommit}"))?;
            file.punch(0, pages(1))?;
            side.note_counts(format!("with a hole and overcommit {overcommit}"))?;
            let other = side.map_unreserved(4)?;
            let words: Vec<_> = (0..4).map(|page| other.try_write(page * HUGE, 1)).collect();
            side.note(
                format!("what others get with overcommit {overcommit}"),
                words,
            );
            read_all(
                side,
                format!("with nothing left and overcommit {overcommit}"),
                &map,
            );
            side.note_counts(format!("with nothing left and overcommit {overcommit}"))?;
            drop((other, map, keeper, file));
            side.settles("in the end", (3, 3, 0, 0))?;
        }
        Ok(())
    })
}

pub fn forked_processes_lose_theirs_too() -> Check {
    catch()?;
    beside(8, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(3).private())?;
        number(&map, 0..3)?;
        let child = fork(|link| {
            // Page 0 stays shared with the parent, page 1 becomes its own, and so does 2.
            map.write(HUGE, 22);
            map.write(2 * HUGE, 23);
            link.send(1)?;
            link.number()?;
            for page in 0..3 {
                link.send(map.try_read(page * HUGE).unwrap_or(u64::MAX))?;
            }
            link.number()?;
            for page in 0..3 {
                link.send(map.try_write(page * HUGE, 24).is_ok().into())?;
            }
            link.number().map(drop)
        })?;
        child.link.number()?;
        side.note_counts("with a child")?;
        file.punch(0, pages(2))?;
        side.note_counts("with a hole")?;
        child.link.send(1)?;
        for page in 0..3 {
            side.note(format!("page {page} in the child"), child.link.number()?);
        }
        read_all(side, "in the parent", &map);
        side.note_counts("with the hole read by both")?;
        file.set_size(pages(1))?;
        side.note_counts("with 1 page")?;
        child.link.send(1)?;
        for page in 0..3 {
            side.note(format!("writing {page} in the child"), child.link.number()?);
        }
        side.note_counts("written to by the child")?;
        read_all(side, "in the parent, with 1 page", &map);
        child.link.send(1)?;
        child.finish()?;
        side.note_counts("without the child")
    })
}

pub fn preallocating_does_not_touch_them() -> Check {
    catch()?;
    beside(6, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(3).private())?;
        map.write(0, 1);
        side.counts("with 1 page of its own", (6, 5, 2, 0))?;
        file.preallocate(0, pages(3))?;
        look(side, "preallocated", &file, (6, 2, 2, 0))?;
        same!(map.read(0), 1, "its own page");
        let shared = file.map(Request::pages(3))?;
        shared.write(0, 31);
        shared.write(HUGE, 32);
        read_all(side, "of the private mapping", &map);
        map.write(HUGE, 2);
        read_all(side, "of the file", &shared);
        look(side, "with 2 pages of its own", &file, (6, 1, 1, 0))?;
        let other = side.map_unreserved(3)?;
        side.note(
            "others",
            (0..3)
                .map(|page| other.try_write(page * HUGE, 1))
                .collect::<Vec<_>>(),
        );
        side.counts("with all reserved", (6, 1, 1, 0))?;
        map.write(2 * HUGE, 3);
        read_all(side, "with nothing left", &map);
        side.counts("with nothing left", (6, 0, 0, 0))
    })
}
