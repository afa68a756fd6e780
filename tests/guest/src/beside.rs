// SPDX-License-Identifier: GPL-2.0

//! The same acts on hugetlb's pool and on the module's, with everything that was seen compared.
//!
//! hugetlb goes first: what the test expects and hugetlb does not do is a mistake of the test.

use std::fmt::{Debug, Display};
use std::fs::File;
use std::iter::zip;

use crate::bus::{touch_all, Touch, Touched};
use crate::file::Huge;
use crate::map::{Map, Request};
use crate::policy::run_on_cpu;
use crate::pool::{memory_nodes, Pool, Resized, HUGETLB, OURS};
use crate::{check, device, poll, same, Check, Errno, Fail, HUGE};

/// nr, free, resv, surplus.
pub type Totals = (u64, u64, u64, u64);

/// One of the two pools, and what was seen on it so far.
pub struct Side {
    pool: Pool,
    seen: Vec<(String, String)>,
}

/// Runs `act` on both pools, each with `pages` pages evenly on its nodes and no overcommit, and
/// compares what was seen. In the end each pool must be unused.
pub fn beside(pages: u64, act: impl Fn(&mut Side) -> Check) -> Check {
    beside_in([HUGETLB, OURS], pages, act)
}

/// The same with hugetlb's pool and the module's of another page size.
pub fn beside_in(pools: [Pool; 2], pages: u64, act: impl Fn(&mut Side) -> Check) -> Check {
    // Local is the same node for both.
    run_on_cpu(0)?;
    let [hugetlbs, ours] = pools.map(|pool| {
        let name = if pool.is_ours() {
            "the module"
        } else {
            "hugetlb"
        };
        let mut side = Side {
            pool,
            seen: Vec::new(),
        };
        match side.run(pages, &act) {
            Ok(()) => Ok(side.seen),
            Err(Fail(why)) => Err(Fail(format!("on {name}: {why}"))),
        }
    });
    let (hugetlbs, ours) = (hugetlbs?, ours?);
    for ((what, seen), (_, want)) in zip(&ours, &hugetlbs) {
        check!(seen == want, "{what}: {seen}, with hugetlb {want}");
    }
    same!(ours.len(), hugetlbs.len(), "things seen");
    check!(!ours.is_empty(), "nothing was seen");
    Ok(())
}

impl Side {
    fn run(&mut self, pages: u64, act: impl Fn(&mut Self) -> Check) -> Check {
        let _pool = Resized::of(self.pool, 0)?;
        // Clearing a 1 GiB page takes a second: only tests that look at nodes do it then.
        if self.pool.page_bytes() == HUGE {
            self.rewind()?;
        }
        self.pool.set(pages)?;
        same!(self.pool.nr()?, pages, "nr_hugepages to begin with");
        act(self)?;
        let pool = self.pool;
        poll::until(
            "resv, surplus and pages in use in the end",
            || {
                let counts = pool.counts()?;
                Ok((counts.resv, counts.surplus, counts.nr - counts.free))
            },
            |seen| *seen == (0, 0, 0),
        )
        .map(drop)
    }

    /// Sets both rotations of an empty pool to the first node, wherever they were: a node's file
    /// moves them to that node.
    pub fn rewind(&self) -> Check {
        let first = memory_nodes()?[0];
        self.pool.set_node(first, 1)?;
        self.pool.set_node(first, 0)
    }

    /// The pool.
    pub fn pool(&self) -> Pool {
        self.pool
    }

    /// A new huge file.
    pub fn open(&self) -> Check<File> {
        Ok(device::open_of(self.pool)?)
    }

    /// A new huge file that can be changed.
    pub fn huge(&self) -> Check<Huge> {
        Ok(Huge::new(self.pool)?)
    }

    /// A new huge file and `pages` pages of it, reserved and mapped.
    pub fn map(&self, pages: usize) -> Result<Map, Errno> {
        Request::of(self.pool, pages).map(&device::open_of(self.pool)?)
    }

    /// The same with MAP_NORESERVE.
    pub fn map_unreserved(&self, pages: usize) -> Result<Map, Errno> {
        Request::of(self.pool, pages)
            .unreserved()
            .map(&device::open_of(self.pool)?)
    }

    /// Something seen, to be compared.
    pub fn note(&mut self, what: impl Display, seen: impl Debug) {
        self.seen.push((what.to_string(), format!("{seen:?}")));
    }

    /// Something seen that DEVIATIONS.md lists: fails unless it is what stands there for this pool.
    pub fn deviates<T: Debug + PartialEq>(
        &mut self,
        what: impl Display,
        seen: T,
        hugetlb: T,
        ours: T,
    ) -> Check {
        let want = if self.pool == OURS { ours } else { hugetlb };
        same!(seen, want, "{what}");
        self.note(what, "as listed");
        Ok(())
    }

    /// Notes all counters, the nodes' too.
    pub fn note_counts(&mut self, what: impl Display) -> Check {
        let counts = self.pool.counts()?;
        self.note(what, counts);
        Ok(())
    }

    /// Notes all counters; fails unless the totals are `want`.
    pub fn counts(&mut self, what: impl Display, want: Totals) -> Check {
        let counts = self.pool.counts()?;
        let seen = (counts.nr, counts.free, counts.resv, counts.surplus);
        same!(seen, want, "nr, free, resv, surplus {what}");
        self.note(what, counts);
        Ok(())
    }

    /// Waits until the totals are `want`, and notes all counters.
    pub fn settles(&mut self, what: impl Display, want: Totals) -> Check {
        let pool = self.pool;
        let what = what.to_string();
        poll::until(
            &format!("nr, free, resv, surplus {what}"),
            || {
                let counts = pool.counts()?;
                Ok((counts.nr, counts.free, counts.resv, counts.surplus))
            },
            |seen| *seen == want,
        )?;
        self.counts(what, want)
    }

    /// Notes that mapping was refused with ENOMEM, and that no counter changed by it.
    pub fn refuses(&mut self, what: &str, map: impl FnOnce(&Self) -> Result<Map, Errno>) -> Check {
        let before = self.pool.counts()?;
        let result = map(self).map(drop);
        same!(result, Err(Errno(libc::ENOMEM)), "{what}");
        same!(self.pool.counts()?, before, "counters after {what}");
        self.note(what, before);
        Ok(())
    }

    /// Notes how far a mapping can be touched, for writing, in a child.
    pub fn touch(&mut self, what: impl Display, map: &Map) -> Check<Touched> {
        let touched = touch_all(map, Touch::Write)?;
        self.note(what, &touched);
        Ok(touched)
    }

    /// The same; fails unless the first `pages` pages are there and the next one, if the mapping
    /// has it, is a SIGBUS.
    pub fn touches(&mut self, what: impl Display, map: &Map, pages: usize) -> Check {
        let what = what.to_string();
        let touched = self.touch(&what, map)?;
        let end = (pages < map.pages()).then_some(pages);
        let seen = (touched.pages, touched.bus.map(|(page, _)| page));
        same!(seen, (pages, end), "pages touched, and SIGBUS, {what}");
        Ok(())
    }
}
