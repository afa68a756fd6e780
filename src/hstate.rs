// SPDX-License-Identifier: GPL-2.0

//! One huge page size: its pool, its limbo, and the locks that serialise its faults.
//!
//! Mirrors `struct hstate` and the fault mutex table of mm/hugetlb.c.

use kernel::{
    cpu,
    prelude::*,
    sync::{lock::mutex::MutexBackend, lock::Guard, new_mutex, Arc, Mutex},
};

use crate::{
    limbo::Limbo,
    mm::page::{FilePage, FreePage},
    policy::{count::PageCount, placement::Placement, pool::Claim, size::HugeSize},
    pool::Pool,
};

/// Fault mutexes for each CPU, as many as hugetlb has.
const FAULT_LOCKS_PER_CPU: usize = 8;

/// A huge page size and all that belongs to it.
pub(crate) struct Hstate {
    size: HugeSize,
    pool: Arc<Pool>,
    limbo: Limbo,
    /// Never empty.
    fault_locks: KVec<Pin<KBox<Mutex<()>>>>,
}

impl Hstate {
    /// An hstate with an empty pool. Sleeps.
    pub(crate) fn new(size: HugeSize) -> Result<Arc<Self>> {
        let pool = Arc::pin_init(Pool::new(size), GFP_KERNEL)?;
        let limbo = Limbo::new(pool.clone())?;
        let mut fault_locks = KVec::new();
        for _ in 0..FAULT_LOCKS_PER_CPU * cpu::nr_cpu_ids() as usize {
            let lock = KBox::pin_init(new_mutex!((), "rust_hugetlb::fault"), GFP_KERNEL)?;
            fault_locks.push(lock, GFP_KERNEL)?;
        }
        let this = Self {
            size,
            pool,
            limbo,
            fault_locks,
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

    /// How many pages are in no file but still pinned. Sleeps.
    pub(crate) fn pinned(&self) -> PageCount {
        self.limbo.reap()
    }

    /// A page for a file: a free one, one that was pinned till now, or a surplus one. Sleeps.
    pub(crate) fn take(&self, placement: &Placement, claim: Claim) -> Option<FreePage> {
        self.pool
            .take(placement, claim)
            .or_else(|| self.pool().take(placement, claim))
            .or_else(|| self.pool.take_surplus(placement, claim))
    }

    /// Takes back a page that was not used after all, and what it was taken on.
    pub(crate) fn unuse(&self, page: FreePage, claim: Claim) {
        self.pool.unuse(page, claim);
    }

    /// Takes a page back from its file, which no page table maps any more. Sleeps.
    pub(crate) fn retire(&self, page: FilePage) {
        match page.leave() {
            Ok(page) => self.pool.put(page),
            Err(page) => self.limbo.hold(page),
        }
    }

    /// Serialises faults on the same page of the same file. `file` is any number that tells files
    /// apart, `index` in huge pages. Sleeps.
    pub(crate) fn lock_fault(
        &self,
        file: usize,
        index: usize,
    ) -> Option<Guard<'_, (), MutexBackend>> {
        // Fibonacci hashing (include/linux/hash.h, GOLDEN_RATIO_64): the high bits are the good ones.
        let hash = (file ^ index.rotate_left(32)).wrapping_mul(0x61C8_8646_80B5_83EB) >> 32;
        let slot = hash.checked_rem(self.fault_locks.len())?;
        Some(self.fault_locks.get(slot)?.lock())
    }
}
