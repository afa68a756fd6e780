// SPDX-License-Identifier: GPL-2.0

//! Setting the size: ftruncate.

use guest::access::catch;
use guest::beside::beside;
use guest::map::{Request, READ};
use guest::{same, Check, HUGE};

use crate::{look, number, pages, read_all};

pub fn growing_brings_no_pages_and_shrinking_takes_them() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        look(side, "when new", &file, (4, 4, 0, 0))?;
        file.set_size(pages(3))?;
        look(side, "with 3 pages", &file, (4, 4, 0, 0))?;
        let request = Request {
            protection: READ,
            ..Request::pages(4).unreserved()
        };
        let map = file.map(request)?;
        read_all(side, "of a file of 3 pages", &map);
        look(side, "after reading", &file, (4, 1, 0, 0))?;
        // For writing, which would make the file as large as the mapping.
        let two = file.map(Request::pages(2).unreserved())?;
        number(&two, 0..2)?;
        file.set_size(pages(1))?;
        look(side, "with 1 page", &file, (4, 3, 0, 0))?;
        read_all(side, "of a file of 1 page", &map);
        file.set_size(pages(1))?;
        look(side, "with 1 page again", &file, (4, 3, 0, 0))?;
        file.set_size(pages(4))?;
        read_all(side, "of a file that grew again", &map);
        look(side, "after reading again", &file, (4, 0, 0, 0))?;
        file.set_size(0)?;
        read_all(side, "of an empty file", &map);
        look(side, "when empty", &file, (4, 4, 0, 0))
    })
}

pub fn shrinking_ends_reservations() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(4))?;
        map.write(0, 1);
        map.write(3 * HUGE, 4);
        look(side, "with pages 0 and 3", &file, (4, 2, 2, 0))?;
        file.set_size(pages(2))?;
        look(side, "with 2 pages", &file, (4, 3, 1, 0))?;
        file.set_size(pages(4))?;
        look(side, "with 4 pages", &file, (4, 3, 1, 0))?;
        let other = side.map(2)?;
        side.counts("with all reserved", (4, 3, 3, 0))?;
        read_all(side, "with all reserved", &map);
        side.counts("after reading", (4, 2, 2, 0))?;
        // Mapping it again reserves what is not.
        side.refuses("reserving the rest", |_| file.map(Request::pages(4)))?;
        drop(other);
        let again = file.map(Request::pages(4))?;
        look(side, "reserved again", &file, (4, 2, 2, 0))?;
        read_all(side, "reserved again", &again);
        look(side, "in the end", &file, (4, 0, 0, 0))
    })
}

pub fn growing_ends_reservations_past_the_new_end() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let request = Request {
            protection: READ,
            ..Request::pages(4)
        };
        let map = file.map(request)?;
        look(side, "reserved past the end", &file, (4, 4, 4, 0))?;
        file.set_size(pages(1))?;
        look(side, "with 1 page", &file, (4, 4, 1, 0))?;
        file.set_size(pages(2))?;
        read_all(side, "of a file of 2 pages", &map);
        look(side, "after reading", &file, (4, 2, 0, 0))
    })
}

pub fn shrinking_gives_surplus_pages_away() -> Check {
    catch()?;
    beside(1, |side| {
        side.pool().set_overcommit(3)?;
        let file = side.huge()?;
        let map = file.map(Request::pages(4))?;
        side.counts("with surplus", (4, 4, 4, 3))?;
        number(&map, 0..3)?;
        look(side, "with 3 of 4 used", &file, (4, 1, 1, 3))?;
        file.set_size(pages(2))?;
        look(side, "with 2 pages", &file, (2, 0, 0, 1))?;
        same!(map.read(HUGE), 2, "page 1");
        file.set_size(0)?;
        look(side, "when empty", &file, (1, 1, 0, 0))
    })
}
