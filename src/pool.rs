// SPDX-License-Identifier: GPL-2.0

//! The free pages of one hstate, with their counters, under one lock.
//!
//! The shell around [`policy::pool`](crate::policy::pool) and
//! [`policy::resize`](crate::policy::resize): each list holds exactly as many pages as the counter
//! beside it says. Called by faults, by files that begin and end, by limbo and by sysfs.

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::{
        lock::{mutex::MutexBackend, spinlock::SpinLockBackend, Guard},
        Arc, Mutex, SpinLock,
    },
};

use crate::{
    mm::{free_list::FreeList, list::PageList, loan::Taken, node, page::FreePage},
    policy::{
        count::PageCount,
        growth::Growth,
        node::NodeId,
        placement::Placement,
        pool::{self, Claim, Counts, Fate},
        resize::{Ask, Resize, Step},
        scrub::Percent,
        size::HugeSize,
    },
    resizing::{self, Extent},
    scrubber::Scrubber,
    task::memory_nodes,
    touches::Touches,
};

/// The free pages of one size.
///
/// Locks: `resize` before `inner`; of two pools, the larger size's first, which lockdep knows as
/// each size has lock classes of its own. `inner` is held for O(nodes), or for a few pages that come
/// back together, or to take the pieces of one larger page, and never while allocating.
#[pin_data]
pub(crate) struct Pool {
    size: HugeSize,
    /// One resize at a time (`resize_lock` of struct hstate).
    #[pin]
    resize: Mutex<()>,
    inner: Arc<Stock>,
    scrubber: Scrubber,
    touches: Touches,
}

/// What the lock is about. The scrubber has it, too, and who helps to grow.
pub(crate) type Stock = SpinLock<Inner>;

/// # Invariants
///
/// `free[n]` holds `counts.on(n).free` pages, but for those that were set apart.
pub(crate) struct Inner {
    pub(crate) counts: pool::Pool<KVec<Counts>>,
    pub(crate) free: KVec<FreeList>,
    /// The resize under way.
    pub(crate) resize: Option<Resize>,
    /// How much of a CPU's time may be spent on clearing the pages of a node.
    pub(crate) scrub_share: Percent,
    /// How many pages stay when memory runs out.
    pub(crate) oom_floor: PageCount,
    /// A node that has a page to clear and had none, since somebody looked here last.
    dirtied: Option<NodeId>,
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
            inner: Arc::pin_init(
                SpinLock::new(
                    Inner::new(*size)?,
                    c_str!("rust_hugetlb::Pool::inner"),
                    inner_class
                ),
                GFP_KERNEL
            )?,
            scrubber: Scrubber::new(inner)?,
            touches: Touches::new(),
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

    /// What the lock is about.
    pub(crate) fn stock(&self) -> &Arc<Stock> {
        &self.inner
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

    /// The free pages that are known to be zero: of one node, or of all.
    pub(crate) fn zeroed(&self, node: Option<NodeId>) -> PageCount {
        let inner = self.inner.lock();
        let lists = match node {
            None => inner.free.get(..),
            Some(node) => inner.free.get(node.index()..=node.index()),
        };
        let zeroed = |lists: &[FreeList]| lists.iter().map(FreeList::zeroed).sum();
        PageCount::new(lists.map_or(0, zeroed))
    }

    /// How much of a CPU's time may be spent on clearing the free pages of a node.
    pub(crate) fn scrub_share(&self) -> Percent {
        self.inner.lock().scrub_share
    }

    /// Sets that.
    pub(crate) fn set_scrub_share(&self, share: Percent) {
        self.inner.lock().scrub_share = share;
        self.scrub();
    }

    /// How many pages stay when memory runs out: [`PageCount::MAX`] if all do.
    pub(crate) fn oom_floor(&self) -> PageCount {
        self.inner.lock().oom_floor
    }

    /// Sets that.
    pub(crate) fn set_oom_floor(&self, floor: PageCount) {
        self.inner.lock().oom_floor = floor;
    }

    /// Pages may have become free that are not known to be zero.
    pub(crate) fn scrub(&self) {
        self.scrubber.wake_all();
    }

    /// What those who expected zeros were given.
    pub(crate) fn touches(&self) -> &Touches {
        &self.touches
    }

    /// A free page. Sleeps if it is being cleared at the moment.
    pub(crate) fn take(&self, placement: &Placement, claim: Claim) -> Option<FreePage> {
        let mut inner = self.inner.lock();
        let taken = nodes_of(placement).find_map(|node| inner.take(node, claim));
        drop(inner);
        taken.map(Taken::get)
    }

    /// A free page of one node. Sleeps if it is being cleared at the moment.
    pub(crate) fn take_on(&self, node: NodeId, claim: Claim) -> Option<FreePage> {
        let taken = self.inner.lock().take(node, claim);
        taken.map(Taken::get)
    }

    /// Takes the free page of `node` that begins at `frame` out of the pool: it is broken. Whether it
    /// was there. Sleeps if it is being cleared at the moment.
    pub(crate) fn lose(&self, node: NodeId, frame: usize) -> bool {
        let mut inner = self.inner.lock();
        let list = inner.free.get_mut(node.index());
        let Some(page) = list.and_then(|list| list.pop_at(frame)) else {
            return false;
        };
        inner.counts.lose(node);
        drop(inner);
        drop(page);
        true
    }

    /// Takes back a page that has no user any more.
    pub(crate) fn put(&self, page: FreePage) {
        let mut inner = self.inner.lock();
        let surplus = inner.put(page);
        self.settle(inner, surplus);
    }

    /// Does what is to be done outside the lock: pages that the pool does not keep go to the page
    /// allocator, the scrubber is woken.
    fn settle<T>(&self, mut inner: Guard<'_, Inner, SpinLockBackend>, rest: T) {
        let dirtied = inner.dirtied.take();
        drop(inner);
        drop(rest);
        if let Some(node) = dirtied {
            self.scrubber.wake(node);
        }
    }

    /// Takes back pages that have no user any more, one after the other, in one round of the lock:
    /// a few. One more for each node that has a page to clear now and had none.
    pub(crate) fn put_all(&self, mut pages: PageList<FreePage>) {
        while !pages.is_empty() {
            let mut surplus = PageList::new();
            let mut inner = self.inner.lock();
            while let Some(page) = pages.pop_front() {
                if let Some(page) = inner.put(page) {
                    surplus.push_back(page);
                }
                if inner.dirtied.is_some() {
                    break;
                }
            }
            self.settle(inner, surplus);
        }
    }

    /// Takes back a page that was not used after all, and what it was taken on.
    pub(crate) fn unuse(&self, page: FreePage, claim: Claim) {
        match claim {
            Claim::Unreserved => self.put(page),
            Claim::Reserved => {
                let mut inner = self.inner.lock();
                let stranger = inner.unuse_reserved(page);
                self.settle(inner, stranger);
            }
        }
    }

    /// Grows or shrinks to `count` persistent pages, as far as it goes; a signal stops it. How far
    /// that was. Sleeps.
    pub(crate) fn resize(&self, count: PageCount, extent: Extent) -> Growth {
        let _one_at_a_time = self.resize.lock();
        let resize = match extent {
            Extent::Total(nodes) => Resize::to_total(count, nodes),
            Extent::Node(node) => Resize::to_node(count, node, &self.inner.lock().counts),
        };
        resizing::run(self, resize, extent.nodes());
        let node = extent.node();
        Growth {
            asked: count,
            got: self.counts(node).persistent(),
            node,
            interrupted: current!().signal_pending(),
        }
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
            resize: None,
            scrub_share: Percent::DEFAULT,
            oom_floor: PageCount::MAX,
            dirtied: None,
        })
    }

    fn take(&mut self, node: NodeId, claim: Claim) -> Option<Taken<FreePage>> {
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

    /// What the resize under way is to do next.
    pub(crate) fn next_step(&mut self) -> Step {
        let Self { resize, counts, .. } = self;
        resize
            .as_mut()
            .map_or(Step::Done, |resize| resize.next(counts))
    }

    /// A page that somebody who helps it may ask for.
    pub(crate) fn ask(&mut self) -> Option<Ask> {
        self.resize.as_mut()?.ask(&mut self.counts)
    }

    /// What came of that: adds the page; returns it if the pool has no such node.
    pub(crate) fn got(&mut self, ask: Ask, page: Option<FreePage>) -> Option<FreePage> {
        let Some(resize) = &mut self.resize else {
            return page;
        };
        let Some(page) = page else {
            resize.failed(ask.node);
            return None;
        };
        if resize.allocated(ask.node, &mut self.counts) {
            self.list(ask.node, page)
        } else {
            Some(page)
        }
    }

    /// Ends it.
    pub(crate) fn interrupt(&mut self) {
        if let Some(resize) = &mut self.resize {
            resize.interrupt();
        }
    }

    /// Lists a page that the counters have already; returns it if the pool has no such node, or loses
    /// it because it is broken.
    pub(crate) fn list(&mut self, node: NodeId, page: FreePage) -> Option<FreePage> {
        let Some(list) = self.free.get_mut(node.index()) else {
            return Some(page);
        };
        if page.is_broken() {
            self.counts.lose(node);
            return Some(page);
        }
        let is_first = !page.is_zero() && !list.has_dirty();
        list.push(page);
        if is_first {
            self.dirtied = Some(node);
        }
        None
    }

    /// A page that the counters no longer have: not a known-zero one if there is another.
    pub(crate) fn pop_removed(&mut self, node: NodeId) -> Option<Taken<FreePage>> {
        self.free.get_mut(node.index())?.pop_dirty()
    }
}

/// The nodes to try, in order.
pub(crate) fn nodes_of(placement: &Placement) -> impl Iterator<Item = NodeId> + '_ {
    placement.passes().flat_map(|nodes| {
        node::by_distance(placement.near.index())
            .filter_map(NodeId::new)
            .filter(|node| nodes.contains(*node))
    })
}
