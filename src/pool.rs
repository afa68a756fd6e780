// SPDX-License-Identifier: GPL-2.0

//! The free pages of one hstate, with their counters, under one lock.
//!
//! The shell around [`policy::pool`](crate::policy::pool), [`policy::resize`](crate::policy::resize)
//! and [`policy::reserve`](crate::policy::reserve): each list holds exactly as many pages as the
//! counter beside it says. Called by faults, by files that begin and end, by limbo and by sysfs.

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::{
        lock::{mutex::MutexBackend, spinlock::SpinLockBackend, Guard},
        Mutex, SpinLock,
    },
};

use crate::{
    mm::{free_list::FreeList, list::PageList, node, page::FreePage},
    policy::{
        count::PageCount,
        growth::Growth,
        node::{NodeId, NodeSet},
        placement::Placement,
        pool::{self, Claim, Counts, Fate},
        refusal::Refusal,
        reserve::{self, Reserve, Unreserve},
        resize::{self, Resize},
        size::HugeSize,
    },
    task::memory_nodes,
};

/// What a resize is about.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// The whole pool, by pages of these nodes.
    Total(NodeSet),
    /// One node; the others keep what they have.
    Node(NodeId),
}

impl Extent {
    /// The nodes that it is about.
    pub(crate) fn nodes(self) -> NodeSet {
        match self {
            Self::Total(nodes) => nodes,
            Self::Node(node) => NodeSet::only(node),
        }
    }

    /// The node, if it is about one.
    pub(crate) fn node(self) -> Option<NodeId> {
        match self {
            Self::Total(_) => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// The free pages of one size.
///
/// Locks: `resize` before `inner`; of two pools, the larger size's first, which lockdep knows as
/// each size has lock classes of its own. `inner` is held for O(nodes), or to take the pieces of one
/// larger page, and never while allocating.
#[pin_data]
pub(crate) struct Pool {
    size: HugeSize,
    /// One resize at a time (`resize_lock` of struct hstate).
    #[pin]
    resize: Mutex<()>,
    #[pin]
    inner: SpinLock<Inner>,
}

/// # Invariants
///
/// `free[n]` holds `counts.on(n).free` pages.
pub(crate) struct Inner {
    pub(crate) counts: pool::Pool<KVec<Counts>>,
    pub(crate) free: KVec<FreeList>,
}

impl Pool {
    /// An empty pool. Sleeps.
    pub(crate) fn new(size: HugeSize) -> impl PinInit<Self, Error> {
        let (resize_class, inner_class) = match size {
            HugeSize::Size2M => (static_lock_class!(), static_lock_class!()),
            HugeSize::Size1G => (static_lock_class!(), static_lock_class!()),
        };
        try_pin_init!(Self {
            size,
            resize <- Mutex::new((), c_str!("rust_hugetlb::Pool::resize"), resize_class),
            inner <- SpinLock::new(
                Inner::new(*size)?,
                c_str!("rust_hugetlb::Pool::inner"),
                inner_class
            ),
        })
    }

    /// The size of its pages.
    pub(crate) fn size(&self) -> HugeSize {
        self.size
    }

    /// Keeps resizes out, and all that they are kept out of. Sleeps.
    pub(crate) fn lock_resize(&self) -> Guard<'_, (), MutexBackend> {
        self.resize.lock()
    }

    /// Keeps resizes out of both pools: one would take what comes from the other for a change of its
    /// own. Sleeps.
    pub(crate) fn lock_resizes<'a>(large: &'a Self, small: &'a Self) -> [impl Sized + use<'a>; 2] {
        [large.lock_resize(), small.lock_resize()]
    }

    /// The counters and the free pages, together.
    pub(crate) fn lock(&self) -> Guard<'_, Inner, SpinLockBackend> {
        self.inner.lock()
    }

    /// The counters: of one node, or of all.
    pub(crate) fn counts(&self, node: Option<NodeId>) -> Counts {
        let inner = self.inner.lock();
        match node {
            None => inner.counts.total(),
            Some(node) => inner.counts.on(node),
        }
    }

    /// The free pages that are promised.
    pub(crate) fn resv(&self) -> PageCount {
        self.inner.lock().counts.resv()
    }

    /// How many surplus pages may be made.
    pub(crate) fn overcommit(&self) -> PageCount {
        self.inner.lock().counts.overcommit()
    }

    /// Sets how many surplus pages may be made.
    pub(crate) fn set_overcommit(&self, limit: PageCount) {
        self.inner.lock().counts.set_overcommit(limit);
    }

    /// A free page.
    pub(crate) fn take(&self, placement: &Placement, claim: Claim) -> Option<FreePage> {
        let mut inner = self.inner.lock();
        nodes_of(placement).find_map(|node| inner.take(node, claim))
    }

    /// A surplus page, fresh from the page allocator. Sleeps.
    pub(crate) fn take_surplus(&self, placement: &Placement, claim: Claim) -> Option<FreePage> {
        if !self.inner.lock().counts.may_overcommit() {
            return None;
        }
        let page = self.alloc(placement)?;
        let node = NodeId::new(page.nid())?;
        let taken = self.inner.lock().counts.take_surplus(node, claim);
        taken.then_some(page)
    }

    /// Takes back a page that has no user any more.
    pub(crate) fn put(&self, page: FreePage) {
        let surplus = self.inner.lock().put(page);
        // To the page allocator, outside the lock.
        drop(surplus);
    }

    /// Takes back a page that was not used after all, and what it was taken on.
    pub(crate) fn unuse(&self, page: FreePage, claim: Claim) {
        match claim {
            Claim::Unreserved => self.put(page),
            Claim::Reserved => {
                let stranger = self.inner.lock().unuse_reserved(page);
                drop(stranger);
            }
        }
    }

    /// Grows or shrinks to `count` persistent pages, as far as it goes; a signal stops it. How far
    /// that was. Sleeps.
    pub(crate) fn resize(&self, count: PageCount, extent: Extent) -> Growth {
        let _one_at_a_time = self.resize.lock();
        let mut resize = match extent {
            Extent::Total(nodes) => Resize::to_total(count, nodes),
            Extent::Node(node) => Resize::to_node(count, node, &self.inner.lock().counts),
        };
        loop {
            let mut inner = self.inner.lock();
            match resize.next(&mut inner.counts) {
                resize::Step::Alloc { node, hard } => {
                    drop(inner);
                    let Some(page) = FreePage::alloc(node.index(), self.size.order(), hard) else {
                        resize.failed(node);
                        continue;
                    };
                    let refused = self.inner.lock().add(&mut resize, page);
                    drop(refused);
                    if current!().signal_pending() {
                        resize.interrupt();
                    }
                }
                resize::Step::GiveBack { node } => {
                    let page = inner.pop_removed(node);
                    drop(inner);
                    drop(page);
                }
                resize::Step::Done => break,
            }
        }
        let node = extent.node();
        Growth {
            asked: count,
            got: self.counts(node).persistent(),
            node,
            interrupted: current!().signal_pending(),
        }
    }

    /// Promises `count` pages, making surplus pages where the free ones do not suffice. Sleeps.
    pub(crate) fn reserve(&self, count: PageCount, placement: &Placement) -> Result<(), Refusal> {
        let mut reserve = Reserve::new(count);
        let mut held = PageList::new();
        loop {
            let mut inner = self.inner.lock();
            match reserve.next(&mut inner.counts) {
                reserve::Step::Allocate => {
                    drop(inner);
                    match self.alloc(placement) {
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
                    drop(surplus);
                }
                reserve::Step::Done(result) => {
                    result?;
                    break;
                }
            }
        }
        let placeable = placement
            .passes()
            .any(|nodes| reserve::is_placeable(count, nodes, &self.inner.lock().counts));
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
            let mut inner = self.inner.lock();
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
                if reserve.allocated(node, &mut self.inner.lock().counts) {
                    held.push_back(page);
                }
            }
            None => reserve.failed(),
        }
    }

    /// A page from the page allocator, as near as there is one.
    fn alloc(&self, placement: &Placement) -> Option<FreePage> {
        for node in nodes_of(placement) {
            if let Some(page) = FreePage::alloc(node.index(), self.size.order(), true) {
                return Some(page);
            }
        }
        None
    }
}

impl Inner {
    fn new(size: HugeSize) -> Result<Self> {
        let mut counts = KVec::new();
        let mut free = KVec::new();
        for node in 0..node::possible() {
            counts.push(Counts::default(), GFP_KERNEL)?;
            let larger = size.larger().map(HugeSize::order);
            free.push(FreeList::new(node, size.order(), larger)?, GFP_KERNEL)?;
        }
        let first = memory_nodes().iter().next().unwrap_or(NodeId::FIRST);
        Ok(Self {
            counts: pool::Pool::new(counts, first),
            free,
        })
    }

    fn take(&mut self, node: NodeId, claim: Claim) -> Option<FreePage> {
        if !self.counts.take(node, claim) {
            return None;
        }
        self.free.get_mut(node.index())?.pop_zero()
    }

    /// Takes back a page; returns it if it was surplus and is to leave the pool.
    fn put(&mut self, page: FreePage) -> Option<FreePage> {
        let Some(node) = NodeId::new(page.nid()) else {
            return Some(page);
        };
        match self.counts.put(node) {
            Fate::Keep => self.list(node, page),
            Fate::GiveBack => Some(page),
        }
    }

    /// Takes back a page with its reservation; returns it if the pool has no such node.
    fn unuse_reserved(&mut self, page: FreePage) -> Option<FreePage> {
        let Some(node) = NodeId::new(page.nid()) else {
            return Some(page);
        };
        self.counts.unuse_reserved(node);
        self.list(node, page)
    }

    /// Adds a page that a resize got; returns it if the pool has no such node.
    fn add(&mut self, resize: &mut Resize, page: FreePage) -> Option<FreePage> {
        match NodeId::new(page.nid()) {
            Some(node) if resize.allocated(node, &mut self.counts) => self.list(node, page),
            _ => Some(page),
        }
    }

    /// Lists a page that the counters have already; returns it if the pool has no such node.
    pub(crate) fn list(&mut self, node: NodeId, page: FreePage) -> Option<FreePage> {
        let Some(list) = self.free.get_mut(node.index()) else {
            return Some(page);
        };
        list.push(page);
        None
    }

    /// A page that the counters no longer have: not a known-zero one if there is another.
    pub(crate) fn pop_removed(&mut self, node: NodeId) -> Option<FreePage> {
        self.free.get_mut(node.index())?.pop_dirty()
    }
}

fn next_of(held: &mut PageList<FreePage>) -> Result<(FreePage, NodeId), Refusal> {
    held.pop_front()
        .and_then(|page| NodeId::new(page.nid()).map(|node| (page, node)))
        .ok_or(Refusal::NoPages)
}

/// The nodes to try, in order.
fn nodes_of(placement: &Placement) -> impl Iterator<Item = NodeId> + '_ {
    placement.passes().flat_map(|nodes| {
        node::by_distance(placement.near.index())
            .filter_map(NodeId::new)
            .filter(|node| nodes.contains(*node))
    })
}
