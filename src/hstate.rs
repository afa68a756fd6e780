// SPDX-License-Identifier: GPL-2.0

//! One huge page size: its pool, its limbo, and the locks that serialise its faults.
//!
//! Mirrors `struct hstate` of mm/hugetlb.c.

use kernel::{prelude::*, str::CString, sync::Arc};

use crate::{
    explain::Explain,
    files::Files,
    limbo::Limbo,
    mm::{
        fault_lock::FaultLocks,
        hwpoison,
        list::PageList,
        memory_map::MemoryMap,
        node,
        page::{FilePage, FreePage, PinnedPage},
        private_page::PrivatePage,
    },
    oom::Oom,
    patrol::{Beat, Notes, Patrol},
    policy::{
        count::PageCount, growth::Growth, node::NodeId, placement::Placement, pool::Claim,
        size::HugeSize,
    },
    pool::Pool,
    resizing::Extent,
    surplus::Spares,
};

/// A huge page size and all that belongs to it.
pub(crate) struct Hstate {
    size: HugeSize,
    /// First, as dropping it waits for what uses the others.
    patrol: Patrol,
    _oom: Oom,
    files: Arc<Files>,
    pool: Arc<Pool>,
    limbo: Arc<Limbo>,
    fault_locks: Arc<FaultLocks>,
    explain: Arc<Explain>,
}

impl Hstate {
    /// An hstate with an empty pool. Sleeps.
    pub(crate) fn new(size: HugeSize, map: Arc<MemoryMap>) -> Result<Arc<Self>> {
        let pool = Arc::pin_init(Pool::new(size), GFP_KERNEL)?;
        let limbo = Arc::new(Limbo::new(pool.clone())?, GFP_KERNEL)?;
        let files = Files::new()?;
        let beat = Beat {
            size,
            pool: pool.clone(),
            limbo: limbo.clone(),
            files: files.clone(),
            map: map.clone(),
            notes: Notes::new()?,
        };
        let this = Self {
            size,
            patrol: Patrol::new(beat)?,
            _oom: Oom::new(pool.clone())?,
            files,
            pool,
            limbo,
            fault_locks: FaultLocks::new()?,
            explain: Explain::new(size, map)?,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// The size.
    pub(crate) fn size(&self) -> HugeSize {
        self.size
    }

    /// The pool, after pages that are no longer pinned went back to it. Sleeps.
    pub(crate) fn pool(&self) -> &Pool {
        self.limbo.reap();
        &self.pool
    }

    /// Resizes the pool, and remembers how that went. Sleeps.
    pub(crate) fn resize(&self, count: PageCount, extent: Extent) -> Growth {
        let growth = self.pool().resize(count, extent);
        self.explain.note(growth);
        growth
    }

    /// The name of the folder with its files, and of its map in debugfs. ENOMEM. Sleeps.
    pub(crate) fn folder(&self) -> Result<CString> {
        CString::try_from_fmt(kernel::prelude::fmt!("hugepages-{}kB", self.size().kib()))
    }

    /// Why the pool does not grow.
    pub(crate) fn explain(&self) -> &Arc<Explain> {
        &self.explain
    }

    /// How many pages are in no file but still pinned. Sleeps.
    pub(crate) fn pinned(&self) -> PageCount {
        self.limbo.reap()
    }

    /// How many pages left the pool as broken ones since the module was loaded, of one node or of all.
    /// Sleeps.
    pub(crate) fn broken(&self, node: Option<NodeId>) -> PageCount {
        self.patrol.go();
        let on = |nid| hwpoison::broken_on(self.size.order(), nid);
        let broken = match node {
            Some(node) => on(node.index()),
            None => (0..node::possible()).map(on).sum(),
        };
        PageCount::new(broken)
    }

    /// Its open files.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// A page for a file: a free one, one that was pinned till now, or a surplus one. Sleeps.
    pub(crate) fn take(
        &self,
        placement: &Placement,
        claim: Claim,
        spares: &mut Spares,
    ) -> Option<FreePage> {
        self.pool
            .take(placement, claim)
            .or_else(|| self.pool().take(placement, claim))
            .or_else(|| self.pool.take_surplus(placement, claim, spares))
    }

    /// A free page of one node.
    pub(crate) fn take_on(&self, node: NodeId, claim: Claim) -> Option<FreePage> {
        self.pool.take_on(node, claim)
    }

    /// Counts a page that is given to somebody who expects zeros in it.
    pub(crate) fn count_touch(&self, page: &FreePage) {
        self.pool.touches().count(page);
    }

    /// Takes back a page that was not used after all, and what it was taken on.
    pub(crate) fn unuse(&self, page: FreePage, claim: Claim) {
        self.pool.unuse(page, claim);
    }

    /// Takes back a page, taken on `claim`, that was given to nobody. Somebody who looks pages up by
    /// their number may hold it for a moment all the same. Sleeps.
    pub(crate) fn take_back(&self, page: Result<FreePage, PinnedPage>, claim: Claim) {
        match page {
            Ok(page) => self.unuse(page, claim),
            Err(page) => {
                self.limbo.hold(page);
                if claim == Claim::Reserved {
                    self.pool.lock().counts.promise_held();
                }
            }
        }
    }

    /// Takes a page back from its file, which no page table maps any more. Sleeps.
    pub(crate) fn retire(&self, page: FilePage) {
        match page.leave() {
            Ok(page) => self.pool.put(page),
            Err(page) => self.limbo.hold(page),
        }
    }

    /// Takes back a private mapping's share of a page, which its page tables do not map any more.
    /// Sleeps.
    pub(crate) fn retire_private(&self, page: PrivatePage) {
        match page.leave() {
            None => {}
            Some(Ok(page)) => self.pool.put(page),
            Some(Err(page)) => self.limbo.hold(page),
        }
    }

    /// Takes back pages that nobody uses any more, in their order.
    pub(crate) fn put_all(&self, pages: PageList<FreePage>) {
        self.pool.put_all(pages);
    }

    /// Keeps a page that left its file but is still pinned. Sleeps.
    pub(crate) fn keep_pinned(&self, page: PinnedPage) {
        self.limbo.hold(page);
    }

    /// Whether there is no surplus page.
    pub(crate) fn has_no_surplus(&self) -> bool {
        self.pool.counts(None).surplus.is_zero()
    }

    /// The locks that serialise what happens to a page of a file.
    pub(crate) fn fault_locks(&self) -> Arc<FaultLocks> {
        self.fault_locks.clone()
    }
}
