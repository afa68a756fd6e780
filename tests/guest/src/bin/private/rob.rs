// SPDX-License-Identifier: GPL-2.0

//! Too few pages for all copies: the mapping that has the promises gets one at all events.

use guest::beside::beside;
use guest::{word, Check, HUGE};

use crate::copy::private;
use crate::fork::filled;
use crate::twin::Twin;

pub fn the_owner_takes_its_page_from_the_child() -> Check {
    beside(4, |side| {
        let own = filled(side, 3)?;
        let child = Twin::of(&own)?;
        side.note("write to page 0", word::store(&own, 0, 20));
        side.counts("a copy of the last page there was", (4, 0, 0, 0))?;
        side.note("the child's page 0", child.load(0)?);
        side.note("write to page 1", word::store(&own, HUGE, 21));
        side.counts("no copy", (4, 0, 0, 0))?;
        side.note("the child's page 1", child.load(1)?);
        side.note("the child's page 0", child.load(0)?);
        side.note("the child's page 2", child.load(2)?);
        side.note("the child writes page 2", child.store(2, 1)?);
        // From now on whatever it does not have is lost, free pages or not.
        side.pool().set(6)?;
        side.note("the child's page 1", child.load(1)?);
        side.note("the child writes page 1", child.store(1, 1)?);
        side.note("and page 2", child.store(2, 1)?);
        own.write(HUGE + 8, 1);
        own.holds(2, 12)?;
        side.note_counts("with two pages more")?;
        child.end()
    })
}

pub fn all_relatives_lose_it() -> Check {
    beside(1, |side| {
        let own = filled(side, 1)?;
        let children = [Twin::of(&own)?, Twin::of(&own)?, Twin::of(&own)?];
        for child in &children {
            side.note("a child reads", child.load(0)?);
        }
        side.note("write", word::store(&own, 0, 1));
        for child in &children {
            side.note("a child reads", child.load(0)?);
        }
        side.counts("no copy", (1, 0, 0, 0))?;
        for child in children {
            child.end()?;
        }
        own.write(0, 2);
        Ok(())
    })
}

pub fn without_promises_there_is_no_owner() -> Check {
    beside(2, |side| {
        let own = private(2).unreserved().map(&side.open()?)?;
        own.fill(0, 10);
        own.fill(1, 11);
        let child = Twin::of(&own)?;
        side.note("write", word::store(&own, 0, 1));
        side.note("read", word::load(&own, 0));
        side.note("the child's page 0", child.load(0)?);
        child.end()?;
        side.note("write", word::store(&own, 0, 1));
        side.counts("the child is gone", (2, 0, 0, 0))
    })
}

pub fn a_child_that_finds_no_page_has_its_old_one() -> Check {
    beside(1, |side| {
        let own = filled(side, 1)?;
        let child = Twin::of(&own)?;
        side.note("the child writes", child.store(0, 1)?);
        side.note("the child reads", child.load(0)?);
        side.note("read", word::load(&own, 0));
        drop(own);
        side.note("the child writes, alone", child.store(0, 1)?);
        side.counts("the child has the page", (1, 0, 0, 0))?;
        child.end()
    })
}

pub fn a_robbed_childs_child() -> Check {
    beside(3, |side| {
        let own = filled(side, 3)?;
        let child = guest::child::fork(|link| {
            link.number()?;
            let grandchild = Twin::of(&own)?;
            for page in 0..3 {
                let loaded = grandchild.load(page)?;
                link.send(loaded.map_or(1000 + page as u64, |word| word))?;
            }
            link.number()?;
            grandchild.end()
        })?;
        side.note("write", word::store(&own, HUGE, 21));
        child.link.send(1)?;
        for page in 0..3 {
            // The grandchild may have lost page 1, or begin anew with it; hugetlb decides.
            side.note(format_args!("page {page}"), child.link.number()?);
        }
        child.link.send(1)?;
        child.finish()
    })
}
