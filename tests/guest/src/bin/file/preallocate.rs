// SPDX-License-Identifier: GPL-2.0

//! Preallocating: fallocate with mode 0.

use guest::access::catch;
use guest::beside::{beside, Side, Totals};
use guest::file::Huge;
use guest::map::Request;
use guest::policy::Policy;
use guest::pool::memory_nodes;
use guest::{refused, same, Check, HUGE};

use crate::{look, pages, read_all};

pub fn pages_come_zeroed_and_the_file_grows() -> Check {
    catch()?;
    beside(4, |side| {
        // Pages that were written to before.
        let used = side.map(4)?;
        for page in 0..4 {
            used.fill(page, 5);
        }
        drop(used);
        let file = side.huge()?;
        file.preallocate(pages(1), pages(2))?;
        look(side, "with 2 pages", &file, (4, 2, 0, 0))?;
        let map = file.map(Request::pages(4))?;
        look(side, "mapped", &file, (4, 2, 2, 0))?;
        map.holds(1, 0)?;
        map.holds(2, 0)?;
        map.fill(1, 6);
        file.preallocate(0, pages(3))?;
        look(side, "with 3 pages", &file, (4, 1, 1, 0))?;
        map.holds(0, 0)?;
        map.holds(1, 6)?;
        // It makes no file smaller.
        file.preallocate(0, pages(1))?;
        read_all(side, "in the end", &map);
        look(side, "in the end", &file, (4, 0, 0, 0))
    })
}

pub fn reservations_are_used() -> Check {
    catch()?;
    beside(4, |side| {
        let file = side.huge()?;
        let map = file.map(Request::pages(3))?;
        let other = side.map(1)?;
        side.counts("with all reserved", (4, 4, 4, 0))?;
        file.preallocate(0, pages(2))?;
        look(side, "with 2 pages", &file, (4, 2, 2, 0))?;
        refused!(
            file.preallocate(pages(2), pages(2)),
            libc::ENOSPC,
            "a reserved page and one more"
        );
        look(side, "with 3 pages", &file, (4, 1, 1, 0))?;
        drop((map, other));
        side.settles("with the other file gone", (4, 1, 0, 0))?;
        file.preallocate(pages(2), pages(2))?;
        look(side, "in the end", &file, (4, 0, 0, 0))
    })
}

/// Preallocates what the pool has not, and notes how far it came.
fn too_much(side: &mut Side, file: &Huge, want: Totals) -> Check {
    refused!(
        file.preallocate(0, pages(6)),
        libc::ENOSPC,
        "preallocating 6 pages"
    );
    look(side, "after ENOSPC", file, want)?;
    let map = file.map(Request::pages(6).unreserved())?;
    read_all(side, "after ENOSPC", &map);
    side.counts("after reading", want)
}

pub fn ends_where_the_pool_ends() -> Check {
    catch()?;
    beside(3, |side| {
        let file = side.huge()?;
        too_much(side, &file, (3, 0, 0, 0))?;
        drop(file);
        side.settles("in the end", (3, 3, 0, 0))
    })
}

pub fn leaves_what_others_reserved() -> Check {
    catch()?;
    beside(4, |side| {
        let other = side.map(2)?;
        let file = side.huge()?;
        too_much(side, &file, (4, 2, 2, 0))?;
        other.write(0, 1);
        other.write(HUGE, 1);
        look(side, "in the end", &file, (4, 0, 0, 0))
    })
}

pub fn surplus_is_made() -> Check {
    catch()?;
    beside(1, |side| {
        side.pool().set_overcommit(2)?;
        let file = side.huge()?;
        too_much(side, &file, (3, 0, 0, 2))?;
        file.set_size(pages(2))?;
        look(side, "in the end", &file, (2, 0, 0, 1))
    })
}

pub fn pages_are_placed_by_the_policy_of_the_task() -> Check {
    let nodes = memory_nodes()?;
    beside(8, |side| {
        for policy in Policy::each(&nodes) {
            let file = side.huge()?;
            let set = policy.set()?;
            let result = file.preallocate(pages(1), pages(4));
            drop(set);
            side.note(format!("preallocating by {policy:?}"), result);
            side.note_counts(format!("after preallocating by {policy:?}"))?;
            same!(file.state()?.allocated, pages(4), "bytes allocated");
            drop(file);
            side.settles("in the end", (8, 8, 0, 0))?;
        }
        Ok(())
    })
}
