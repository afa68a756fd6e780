// SPDX-License-Identifier: GPL-2.0

//! The free pages of one hstate, with their counters, under one lock.
//!
//! The shell around [`policy::pool`](crate::policy::pool) and
//! [`policy::resize`](crate::policy::resize): each list holds exactly as many pages as the counter
//! beside it says. Called by faults, by files that end, by limbo and by sysfs.

use kernel::{
    prelude::*,
    sync::{new_mutex, new_spinlock, Mutex, SpinLock},
};

use crate::{
    mm::{list::PageList, node, page::FreePage},
    policy::{
        count::PageCount,
        node::{NodeId, NodeSet},
        pool::{self, Counts, Fate},
        resize::{Resize, Step},
        size::HugeSize,
    },
};

/// What a resize is about.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    /// All nodes with memory.
    All,
    /// One node; the others keep what they have.
    Node(NodeId),
}

/// The free pages of one size.
///
/// Locks: `resize` before `inner`. `inner` is held for O(nodes) and never while allocating.
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
/// `free[n]` holds `counts.on(n).free` pages: known-zero ones at the front, others at the back.
struct Inner {
    counts: pool::Pool<KVec<Counts>>,
    free: KVec<PageList<FreePage>>,
}

impl Pool {
    /// An empty pool. Sleeps.
    pub(crate) fn new(size: HugeSize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            size,
            resize <- new_mutex!((), "rust_hugetlb::Pool::resize"),
            inner <- new_spinlock!(Inner::new()?, "rust_hugetlb::Pool::inner"),
        })
    }

    /// The counters: of one node or of all.
    pub(crate) fn counts(&self, scope: Scope) -> Counts {
        let inner = self.inner.lock();
        match scope {
            Scope::All => inner.counts.total(),
            Scope::Node(node) => inner.counts.on(node),
        }
    }

    /// A free page, as near to `nid` as there is one.
    pub(crate) fn take(&self, nid: usize) -> Option<FreePage> {
        let mut inner = self.inner.lock();
        node::by_distance(nid).find_map(|nid| inner.take(NodeId::new(nid)?))
    }

    /// Takes back a page that has no user any more.
    pub(crate) fn put(&self, page: FreePage) {
        let surplus = self.inner.lock().put(page);
        // To the page allocator, outside the lock.
        drop(surplus);
    }

    /// Grows or shrinks to `count` persistent pages, as far as it goes; a signal stops it. Sleeps.
    pub(crate) fn resize(&self, count: PageCount, scope: Scope) {
        let _one_at_a_time = self.resize.lock();
        let mut resize = match scope {
            Scope::All => Resize::to_total(count, memory_nodes()),
            Scope::Node(node) => Resize::to_node(count, node, &self.inner.lock().counts),
        };
        loop {
            let step = resize.next(&mut self.inner.lock().counts);
            match step {
                Step::Alloc { node, hard } => {
                    match FreePage::alloc(node.index(), self.size.order(), hard) {
                        Some(page) => {
                            let refused = self.inner.lock().add(&mut resize, page);
                            drop(refused);
                        }
                        None => resize.failed(node),
                    }
                    if current!().signal_pending() {
                        resize.interrupt();
                    }
                }
                Step::GiveBack { node } => {
                    let page = self.inner.lock().pop_removed(node);
                    drop(page);
                }
                Step::Done => break,
            }
        }
    }
}

impl Inner {
    fn new() -> Result<Self> {
        let mut counts = KVec::new();
        let mut free = KVec::new();
        for _ in 0..node::possible() {
            counts.push(Counts::default(), GFP_KERNEL)?;
            free.push(PageList::new(), GFP_KERNEL)?;
        }
        let first = memory_nodes().iter().next().unwrap_or(NodeId::FIRST);
        Ok(Self {
            counts: pool::Pool::new(counts, first),
            free,
        })
    }

    fn take(&mut self, node: NodeId) -> Option<FreePage> {
        if !self.counts.take(node) {
            return None;
        }
        self.free.get_mut(node.index())?.pop_front()
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

    /// Adds a page that a resize got; returns it if the pool has no such node.
    fn add(&mut self, resize: &mut Resize, page: FreePage) -> Option<FreePage> {
        match NodeId::new(page.nid()) {
            Some(node) if resize.allocated(node, &mut self.counts) => self.list(node, page),
            _ => Some(page),
        }
    }

    fn list(&mut self, node: NodeId, page: FreePage) -> Option<FreePage> {
        let Some(list) = self.free.get_mut(node.index()) else {
            return Some(page);
        };
        if page.is_zero() {
            list.push_front(page);
        } else {
            list.push_back(page);
        }
        None
    }

    /// A page that the counters no longer have: not a known-zero one if there is another.
    fn pop_removed(&mut self, node: NodeId) -> Option<FreePage> {
        self.free.get_mut(node.index())?.pop_back()
    }
}

fn memory_nodes() -> NodeSet {
    let mut set = NodeSet::EMPTY;
    for node in node::with_memory().filter_map(NodeId::new) {
        set.insert(node);
    }
    set
}
