// SPDX-License-Identifier: GPL-2.0

//! The ioctls of a file that is mapped in each way there is.

use std::ops::Range;

use guest::access::catch;
use guest::child::{fork, Child};
use guest::file::Huge;
use guest::link::Message;
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::{check, poll, same, Check, Errno, HUGE};

use crate::fault::{each_seen, none, NO_MEMORY};

const PAGES: usize = 5;
/// The file's, those promised to two private mappings, a child's copy, and what the child and the file
/// get in a hole, which they were not promised.
const POOL: u64 = 3 * PAGES as u64 + 1 + 2 * PAGES as u64;

/// What is in the pages of each of them.
const IN_FILE: u64 = 1;
const OWNERS: u64 = 2;
const OTHERS: u64 = 3;
const CHILDS: u64 = 4;

const HELD: [u64; PAGES] = [IN_FILE; PAGES];
const HELD_BY_OWNER: [u64; PAGES] = [OWNERS; PAGES];
/// Some copies, some pages of the file.
const HELD_BY_OTHER: [u64; PAGES] = [IN_FILE, OTHERS, IN_FILE, IN_FILE, OTHERS];
/// One copy, else pages of the parent.
const HELD_BY_CHILD: [u64; PAGES] = [OWNERS, CHILDS, OWNERS, OWNERS, OWNERS];

/// A file with all its pages, and who maps it.
struct Mapped {
    file: Huge,
    shared: Map,
    owner: Map,
    other: Map,
    /// Of the owner. For each number that it is sent it says whether its pages are right.
    child: Child,
}

impl Mapped {
    fn new() -> Check<Self> {
        let file = Huge::new(OURS)?;
        let request = Request::of(OURS, PAGES);
        let shared = file.map(request)?;
        let owner = file.map(request.private())?;
        let other = file.map(request.private())?;
        for page in 0..PAGES {
            shared.mark(page, HELD[page]);
            owner.mark(page, HELD_BY_OWNER[page]);
            match HELD_BY_OTHER[page] {
                IN_FILE => other.marked(page, IN_FILE)?,
                stamp => other.mark(page, stamp),
            }
        }
        let child = fork(|link| {
            owner.mark(1, CHILDS);
            link.send(0)?;
            while let Message::Number(first) = link.receive()? {
                holds(
                    &owner,
                    HELD_BY_CHILD,
                    first as usize..link.number()? as usize,
                )?;
                link.send(0)?;
            }
            Ok(())
        })?;
        child.link.number()?;
        Ok(Self {
            file,
            shared,
            owner,
            other,
            child,
        })
    }

    /// Fails unless all have zeros where pages were taken away, and else what they had. Those come
    /// first that get pages of their own: what the file gets is in none of them.
    fn lost(&self, hole: Range<usize>) -> Check {
        holds(&self.owner, HELD_BY_OWNER, hole.clone())?;
        holds(&self.other, HELD_BY_OTHER, hole.clone())?;
        for end in [hole.start, hole.end] {
            self.child.link.send(end as u64)?;
        }
        self.child.link.number()?;
        holds(&self.shared, HELD, hole)
    }
}

/// Fails unless the pages of `hole` are empty, and the others hold these.
fn holds(map: &Map, stamps: [u64; PAGES], hole: Range<usize>) -> Check {
    for (page, stamp) in stamps.into_iter().enumerate() {
        if hole.contains(&page) {
            map.unmarked(page)?;
        } else {
            map.marked(page, stamp)?;
        }
    }
    Ok(())
}

/// What is counted when a call is over.
struct Counted {
    info: [u64; 4],
    free: u64,
    resv: u64,
}

impl Counted {
    fn of(file: &Huge) -> Check<Self> {
        Ok(Self {
            info: file.info()?,
            free: OURS.free()?,
            resv: OURS.resv()?,
        })
    }

    /// Fails unless the file and the pool have what they have here, where nothing failed. A private
    /// mapping that lost a page may go without a promise for another.
    fn again(&self, file: &Huge) -> Check {
        OURS.settles_at_free(self.free)?;
        same!(file.info()?, self.info, "what the file says of itself");
        let (resv, most) = (OURS.resv()?, self.resv);
        check!(resv <= most, "{resv} pages reserved, of {most}");
        Ok(())
    }
}

/// Has each allocation of `call` fail, and looks at all that the file has. How many calls were refused.
fn changed(
    call: impl Fn(&Huge) -> Result<(), Errno>,
    seen: impl Fn(&Mapped) -> Check,
) -> Check<usize> {
    catch()?;
    let _pool = Resized::ours(POOL)?;
    let plain = Mapped::new()?;
    call(&plain.file)?;
    let counted = Counted::of(&plain.file)?;
    seen(&plain)?;
    drop(plain);
    OURS.settles_at_free(POOL)?;
    each_seen(
        NO_MEMORY,
        Mapped::new,
        |mapped| call(&mapped.file),
        |mapped, ()| {
            counted.again(&mapped.file)?;
            seen(mapped)
        },
    )
}

fn bytes(pages: usize) -> u64 {
    (pages * HUGE) as u64
}

/// The first two holes leave three parts, for which there is no room in what a file is charged for.
pub fn punch() -> Check {
    let all = || {
        changed(
            |file| {
                file.punch(bytes(1), bytes(1))?;
                file.punch(bytes(3), bytes(1))?;
                file.punch(bytes(1), bytes(3))
            },
            |mapped| mapped.lost(1..4),
        )
    };
    // It is one allocation that matters, and the others before it differ from call to call.
    poll::until("calls that were refused", all, |refused| *refused > 0).map(drop)
}

/// Nobody sees what was past the end when the file grows again.
pub fn shrink() -> Check {
    const LEFT: usize = 2;
    let seen = |mapped: &Mapped| {
        for map in [&mapped.shared, &mapped.owner, &mapped.other] {
            let read = map.try_read(LEFT * HUGE);
            check!(read.is_err(), "{read:?} past the end");
        }
        mapped.file.set_size(bytes(PAGES))?;
        mapped.lost(LEFT..PAGES)
    };
    changed(|file| file.set_size(bytes(LEFT)), seen).map(drop)
}

/// Further than its pages and its mappings reach.
pub fn grow() -> Check {
    let _pool = Resized::ours(POOL)?;
    let mapped = Mapped::new()?;
    none(|| mapped.file.set_size(bytes(2 * PAGES)))
}

pub fn info() -> Check {
    let _pool = Resized::ours(POOL)?;
    let mapped = Mapped::new()?;
    none(|| mapped.file.info())
}
