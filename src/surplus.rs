// SPDX-License-Identifier: GPL-2.0

//! Promises, and the surplus pages that are made where the free ones do not suffice: the shell around
//! [`policy::reserve`](crate::policy::reserve).
//!
//! Called by faults, and by files that reserve and end.

use core::mem;

use crate::{
    mm::{list::PageList, page::FreePage},
    policy::{
        count::PageCount,
        node::NodeId,
        placement::Placement,
        pool::{Claim, Fate},
        refusal::Refusal,
        reserve::{self, Reserve, Unreserve},
    },
    pool::{nodes_of, Pool},
    task::memory_nodes,
};

/// Pages for surplus, which no counter has yet.
///
/// To make room for one of a size that is contiguous, the kernel waits for whoever holds what is there:
/// a file system, say, that never answers (`migrate_folio_unmap` in mm/migrate.c). No lock may be held
/// then that others need. So whoever finds that such a page is missing lets go, has it made here, and
/// begins again. Of other sizes they are made when they are needed.
pub(crate) struct Spares {
    pages: PageList<FreePage>,
    missing: bool,
}

impl Spares {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            pages: PageList::new(),
            missing: false,
        }
    }

    /// Makes the page that was missing, with no lock held but of the caller's own file's shape. Whether
    /// to begin again. Sleeps, perhaps for as long as others please.
    pub(crate) fn make(&mut self, pool: &Pool, placement: &Placement) -> bool {
        let page = mem::take(&mut self.missing).then(|| pool.alloc(placement));
        match page.flatten() {
            Some(page) => {
                self.pages.push_back(page);
                true
            }
            None => false,
        }
    }

    /// One of them, or a fresh one where that cannot take long. Sleeps.
    fn get(&mut self, pool: &Pool, placement: &Placement) -> Option<FreePage> {
        let spare = self.pages.pop_front();
        if spare.is_some() || !pool.size().is_contiguous() {
            return spare.or_else(|| pool.alloc(placement));
        }
        self.missing = true;
        None
    }

    /// Takes back one that is too few without those that are missing.
    fn put(&mut self, page: FreePage) {
        if self.missing && !page.is_broken() {
            self.pages.push_back(page);
        }
    }
}

impl Pool {
    /// A surplus page, one of `spares` or fresh from the page allocator. Sleeps.
    pub(crate) fn take_surplus(
        &self,
        placement: &Placement,
        claim: Claim,
        spares: &mut Spares,
    ) -> Option<FreePage> {
        if !self.lock().counts.may_overcommit() {
            return None;
        }
        let page = spares.get(self, placement)?;
        let node = NodeId::new(page.nid())?;
        let taken = self.lock().counts.take_surplus(node, claim);
        taken.then_some(page)
    }

    /// Promises `count` pages, with surplus pages where the free ones do not suffice. What was got for
    /// nothing is in `spares` where others are missing. Sleeps.
    pub(crate) fn reserve(
        &self,
        count: PageCount,
        placement: &Placement,
        spares: &mut Spares,
    ) -> Result<(), Refusal> {
        let mut reserve = Reserve::new(count);
        let mut held = PageList::new();
        loop {
            let mut inner = self.lock();
            match reserve.next(&mut inner.counts) {
                reserve::Step::Allocate => {
                    drop(inner);
                    match spares.get(self, placement) {
                        Some(page) => self.hold(&mut reserve, &mut held, page),
                        None => reserve.failed(),
                    }
                }
                reserve::Step::Enlist => {
                    // Policy enlists and drops no more pages than it has seen held.
                    let (page, node) = next_of(&mut held)?;
                    reserve.enlisted(node, &mut inner.counts);
                    let stranger = inner.list(node, page);
                    drop(inner);
                    drop(stranger);
                }
                reserve::Step::Drop => {
                    let (page, node) = next_of(&mut held)?;
                    let surplus = match reserve.dropped(node, &mut inner.counts) {
                        Fate::Keep => inner.list(node, page),
                        Fate::GiveBack => Some(page),
                    };
                    drop(inner);
                    if let Some(page) = surplus {
                        spares.put(page);
                    }
                }
                reserve::Step::Done(result) => {
                    result?;
                    break;
                }
            }
        }
        let placeable = placement
            .passes()
            .any(|nodes| reserve::is_placeable(count, nodes, &self.lock().counts));
        if placeable {
            Ok(())
        } else {
            self.unreserve(count);
            Err(Refusal::NoPages)
        }
    }

    /// Ends `count` promises that were not used.
    pub(crate) fn unreserve(&self, count: PageCount) {
        let mut unreserve = Unreserve::new(count, memory_nodes());
        loop {
            let mut inner = self.lock();
            let Some(node) = unreserve.next(&mut inner.counts) else {
                break;
            };
            let page = inner.pop_removed(node);
            drop(inner);
            drop(page);
        }
    }

    /// Lets a reservation have a fresh page, if it may.
    fn hold(&self, reserve: &mut Reserve, held: &mut PageList<FreePage>, page: FreePage) {
        match NodeId::new(page.nid()) {
            Some(node) => {
                if reserve.allocated(node, &mut self.lock().counts) {
                    held.push_back(page);
                }
            }
            None => reserve.failed(),
        }
    }

    /// A page from the page allocator, as near as there is one.
    fn alloc(&self, placement: &Placement) -> Option<FreePage> {
        for node in nodes_of(placement) {
            if let Some(page) = FreePage::alloc(node.index(), self.size().order(), true) {
                return Some(page);
            }
        }
        None
    }
}

fn next_of(held: &mut PageList<FreePage>) -> Result<(FreePage, NodeId), Refusal> {
    held.pop_front()
        .and_then(|page| NodeId::new(page.nid()).map(|node| (page, node)))
        .ok_or(Refusal::NoPages)
}
