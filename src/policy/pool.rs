// SPDX-License-Identifier: GPL-2.0

//! The counters of one hstate, and the rules by which a page changes them.
//!
//! Mirrors the counters of `struct hstate`, `remove_hugetlb_folio`, `add_hugetlb_folio`,
//! `adjust_pool_surplus`, `available_huge_pages`, `alloc_surplus_hugetlb_folio` and the end of
//! `free_huge_folio` (mm/hugetlb.c). The shell keeps one of
//! these beside the free lists, under the same lock: a list holds exactly as many pages as the
//! counter here says.
//!
//! # Invariants
//!
//! Whenever the lock is free: for each node `free ≤ nr`; the totals are the sums over the nodes; and
//! of these `resv ≤ free ≤ nr`, and `surplus ≤ nr` also without the pages that are changing their size
//! (a promise that a broken page was meant for exceeds `free`: see [`Pool::lose`],
//! [`Pool::promise_held`]). [`Pool::check`] says whether they hold. (One node can have more surplus than
//! pages, as with hugetlb: see [`Pool::remove_free`].)

use core::ops::DerefMut;

use super::count::PageCount;
use super::node::{NodeId, NodeSet, Rotation};

/// The pages of a pool, or of one node of it. In huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All pages, surplus ones included.
    pub nr: PageCount,
    /// Pages in no file.
    pub free: PageCount,
    /// Pages beyond the persistent size; they go back to the page allocator when they are freed.
    pub surplus: PageCount,
}

impl Counts {
    /// The pages the pool keeps (`persistent_huge_pages`).
    pub const fn persistent(&self) -> PageCount {
        self.nr.minus(self.surplus)
    }
}

/// What becomes of a page that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// It is a free page of the pool now.
    Keep,
    /// It was surplus: give it back to the page allocator.
    GiveBack,
}

/// Whether a page is taken on a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was reserved: the reservation is used up.
    Reserved,
    /// It was not: pages that others have reserved are not to be had.
    Unreserved,
}

/// The counters of a pool. `N` is a table of per-node counts that the shell allocates.
#[derive(Debug)]
pub struct Pool<N> {
    total: Counts,
    /// Free pages that are promised (`resv_huge_pages`).
    resv: PageCount,
    /// How many surplus pages may be made (`nr_overcommit_huge_pages`).
    overcommit: PageCount,
    /// Pages that broke while they were free, or that were promised again before they were.
    lost: PageCount,
    /// Persistent pages that are changing their size: in `nr`, not in `free`.
    apart: PageCount,
    nodes: N,
    /// Where the next page is taken from the page allocator (`next_nid_to_alloc`).
    pub(super) to_alloc: Rotation,
    /// Where the next page is given back (`next_nid_to_free`).
    pub(super) to_free: Rotation,
}

impl<N: DerefMut<Target = [Counts]>> Pool<N> {
    /// An empty pool over `nodes`, a table with one zeroed entry for each possible node; rotations
    /// begin at `first`.
    pub fn new(nodes: N, first: NodeId) -> Self {
        Self {
            total: Counts::default(),
            resv: PageCount::ZERO,
            overcommit: PageCount::ZERO,
            lost: PageCount::ZERO,
            apart: PageCount::ZERO,
            nodes,
            to_alloc: Rotation::starting_at(first),
            to_free: Rotation::starting_at(first),
        }
    }

    /// The totals.
    pub fn total(&self) -> Counts {
        self.total
    }

    /// One node's counts; zero for a node that the table does not have.
    pub fn on(&self, node: NodeId) -> Counts {
        self.nodes.get(node.index()).copied().unwrap_or_default()
    }

    /// The free pages that are promised.
    pub fn resv(&self) -> PageCount {
        self.resv
    }

    /// The limit of surplus pages that reservations and faults may make.
    pub fn overcommit(&self) -> PageCount {
        self.overcommit
    }

    /// Sets that limit. Surplus pages beyond it stay.
    pub fn set_overcommit(&mut self, limit: PageCount) {
        self.overcommit = limit;
    }

    /// The free pages that nobody was promised.
    pub fn available(&self) -> PageCount {
        self.total.free.minus(self.resv)
    }

    /// The persistent pages that are not changing their size.
    pub(super) fn staying(&self) -> PageCount {
        self.total.persistent().minus(self.apart)
    }

    /// Whether another surplus page may be made.
    pub fn may_overcommit(&self) -> bool {
        self.total.surplus < self.overcommit
    }

    /// A page from the page allocator joins as a free one. False if the table has no such node.
    #[must_use]
    pub fn add(&mut self, node: NodeId) -> bool {
        self.update(node, |counts| {
            counts.nr = counts.nr.plus(PageCount::ONE);
            counts.free = counts.free.plus(PageCount::ONE);
        })
    }

    /// A page from the page allocator joins as a surplus page in use. False if the limit is reached
    /// or the table has no such node.
    #[must_use]
    pub fn add_surplus(&mut self, node: NodeId) -> bool {
        self.may_overcommit()
            && self.update(node, |counts| {
                counts.nr = counts.nr.plus(PageCount::ONE);
                counts.surplus = counts.surplus.plus(PageCount::ONE);
            })
    }

    /// A free page of `node` gets a user. False if there is none to be had.
    #[must_use]
    pub fn take(&mut self, node: NodeId, claim: Claim) -> bool {
        if self.on(node).free.is_zero()
            || (claim == Claim::Unreserved && self.available().is_zero())
        {
            return false;
        }
        if claim == Claim::Reserved {
            self.resv = self.resv.minus(PageCount::ONE);
        }
        self.update(node, |counts| {
            counts.free = counts.free.minus(PageCount::ONE);
        })
    }

    /// A surplus page that just joined gets its user. False if the limit is reached or the table
    /// has no such node.
    #[must_use]
    pub fn take_surplus(&mut self, node: NodeId, claim: Claim) -> bool {
        let joined = self.add_surplus(node);
        if joined && claim == Claim::Reserved {
            self.resv = self.resv.minus(PageCount::ONE);
        }
        joined
    }

    /// A page of `node` goes back unused, and what it was taken on is promised again. It stays in
    /// the pool even if its node has surplus.
    pub fn unuse_reserved(&mut self, node: NodeId) {
        self.update(node, |counts| {
            counts.free = counts.free.plus(PageCount::ONE);
        });
        self.resv = self.resv.plus(PageCount::ONE);
    }

    /// A page that was taken on a promise goes back unused, but somebody holds it for a moment yet: the
    /// promise is made again, of that page, and until it is free there may be one less than promised.
    pub fn promise_held(&mut self) {
        self.resv = self.resv.plus(PageCount::ONE);
        self.lost = self.lost.plus(PageCount::ONE);
    }

    /// Promises `count` of the available pages.
    pub(super) fn reserve(&mut self, count: PageCount) {
        self.resv = self.resv.plus(count);
    }

    /// Ends `count` promises.
    pub(super) fn unreserve(&mut self, count: PageCount) {
        self.resv = self.resv.minus(count);
    }

    /// A page of `node` lost its last user.
    pub fn put(&mut self, node: NodeId) -> Fate {
        if self.on(node).surplus.is_zero() {
            self.update(node, |counts| {
                counts.free = counts.free.plus(PageCount::ONE);
            });
            return Fate::Keep;
        }
        self.update(node, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.surplus = counts.surplus.minus(PageCount::ONE);
        });
        Fate::GiveBack
    }

    /// A free page of `node` is broken, and nobody's from now on; with it goes a surplus page if the
    /// node has any (`dissolve_free_hugetlb_folio`), or if it was the last that the surplus of another
    /// node counted on (where hugetlb's persistent pages fall below 0). What was promised stays promised,
    /// which may be one page more than there is now: who comes last gets none.
    pub fn lose(&mut self, node: NodeId) {
        let has_surplus = |on: &Counts| !on.surplus.is_zero();
        let counted_on = if has_surplus(&self.on(node)) {
            Some(node)
        } else if self.staying().is_zero() {
            self.nodes
                .iter()
                .position(has_surplus)
                .and_then(NodeId::new)
        } else {
            None
        };
        if let Some(node) = counted_on {
            self.update(node, |counts| {
                counts.surplus = counts.surplus.minus(PageCount::ONE);
            });
        }
        self.update(node, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.free = counts.free.minus(PageCount::ONE);
        });
        self.lost = self.lost.plus(PageCount::ONE);
    }

    /// Takes one free page out of the pool, from the next of `allowed` that has any, and says
    /// where. As with hugetlb, a node whose pages are all surplus gives one, too: then it has more
    /// surplus than pages, until one of those goes.
    pub(super) fn remove_free(&mut self, allowed: &NodeSet) -> Option<NodeId> {
        let mut rotation = self.to_free;
        let node = rotation.find(allowed, |node| !self.on(node).free.is_zero());
        self.to_free = rotation;
        self.update(node?, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.free = counts.free.minus(PageCount::ONE);
        })
        .then_some(node?)
    }

    /// The same, of a node that has surplus, and with the page a surplus one goes.
    pub(super) fn remove_free_surplus(&mut self, allowed: &NodeSet) -> Option<NodeId> {
        let mut rotation = self.to_free;
        let node = rotation.find(allowed, |node| {
            let counts = self.on(node);
            !counts.free.is_zero() && !counts.surplus.is_zero()
        });
        self.to_free = rotation;
        self.update(node?, |counts| {
            counts.nr = counts.nr.minus(PageCount::ONE);
            counts.free = counts.free.minus(PageCount::ONE);
            counts.surplus = counts.surplus.minus(PageCount::ONE);
        })
        .then_some(node?)
    }

    /// Makes a surplus page of `allowed` a persistent one. False if there is none.
    pub(super) fn surplus_to_persistent(&mut self, allowed: &NodeSet) -> bool {
        let mut rotation = self.to_alloc;
        let node = rotation.find(allowed, |node| !self.on(node).surplus.is_zero());
        self.to_alloc = rotation;
        node.is_some_and(|node| {
            self.update(node, |counts| {
                counts.surplus = counts.surplus.minus(PageCount::ONE);
            })
        })
    }

    /// Makes a persistent page of `allowed` a surplus one. False if there is none.
    pub(super) fn persistent_to_surplus(&mut self, allowed: &NodeSet) -> bool {
        let mut rotation = self.to_free;
        let node = rotation.find(allowed, |node| !self.on(node).persistent().is_zero());
        self.to_free = rotation;
        node.is_some_and(|node| {
            self.update(node, |counts| {
                counts.surplus = counts.surplus.plus(PageCount::ONE);
            })
        })
    }

    /// How many free pages, of one node or of all, may become pages of another size: not those that
    /// are promised, of whichever node they will be; nor more than there are persistent pages, so
    /// that surplus stays what it is.
    pub fn spare(&self, node: Option<NodeId>) -> PageCount {
        let free = node.map_or(self.total, |node| self.on(node)).free;
        free.minus(self.resv).min(self.staying())
    }

    /// Sets `count` free pages of `node` apart: still in the pool, but nobody can take them.
    pub(super) fn set_apart(&mut self, node: NodeId, count: PageCount) {
        self.update(node, |counts| counts.free = counts.free.minus(count));
        self.apart = self.apart.plus(count);
    }

    /// They are free again, as they were.
    pub(super) fn put_back(&mut self, node: NodeId, count: PageCount) {
        self.update(node, |counts| counts.free = counts.free.plus(count));
        self.apart = self.apart.minus(count);
    }

    /// They have left the pool: the same memory joins another one.
    pub(super) fn leave(&mut self, node: NodeId, count: PageCount) {
        self.update(node, |counts| counts.nr = counts.nr.minus(count));
        self.apart = self.apart.minus(count);
    }

    /// `count` pages join as free persistent ones: the same memory has left another pool.
    pub(super) fn join(&mut self, node: NodeId, count: PageCount) {
        self.update(node, |counts| {
            counts.nr = counts.nr.plus(count);
            counts.free = counts.free.plus(count);
        });
    }

    /// Whether the invariants hold.
    pub fn check(&self) -> bool {
        let mut sum = Counts::default();
        for counts in self.nodes.iter() {
            if counts.free > counts.nr {
                return false;
            }
            sum.nr = sum.nr.plus(counts.nr);
            sum.free = sum.free.plus(counts.free);
            sum.surplus = sum.surplus.plus(counts.surplus);
        }
        sum == self.total
            && sum.surplus.plus(self.apart) <= sum.nr
            && self.resv <= sum.free.plus(self.lost)
    }

    /// Changes a node's counts and the totals alike.
    fn update(&mut self, node: NodeId, change: impl Fn(&mut Counts)) -> bool {
        let Some(counts) = self.nodes.get_mut(node.index()) else {
            return false;
        };
        change(counts);
        change(&mut self.total);
        true
    }
}
