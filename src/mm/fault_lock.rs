// SPDX-License-Identifier: GPL-2.0

//! The locks that serialise what happens to one page of one file.
//!
//! Mirrors `hugetlb_fault_mutex_table` (mm/hugetlb.c). Here, and not in the shell, because what a
//! [`PageMap`](super::page_map::PageMap) lends out is valid for as long as such a lock is held.

use core::ptr;

use kernel::{
    cpu,
    prelude::*,
    sync::{lock::mutex::MutexBackend, lock::Guard, new_mutex, Arc, Mutex},
};

use super::host::Host;

/// Locks for each CPU, as many as hugetlb has.
const PER_CPU: usize = 8;

type Slot = Pin<KBox<Mutex<()>>>;

/// A table of locks, shared by hash.
pub(crate) struct FaultLocks {
    first: Slot,
    others: KVec<Slot>,
}

impl FaultLocks {
    /// A table for the CPUs of this machine. Sleeps.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let slot = || KBox::pin_init(new_mutex!((), "rust_hugetlb::fault"), GFP_KERNEL);
        let mut others = KVec::new();
        for _ in 1..PER_CPU * cpu::nr_cpu_ids() as usize {
            others.push(slot()?, GFP_KERNEL)?;
        }
        let first = slot()?;
        Ok(Arc::new(Self { first, others }, GFP_KERNEL)?)
    }

    /// Waits for everybody who holds one of the locks now: whoever takes one after this sees what the
    /// caller did before it. Sleeps, without any of the locks.
    pub(crate) fn wait_for_holders(&self) {
        drop(self.first.lock());
        for slot in &self.others {
            drop(slot.lock());
        }
    }

    /// Locks the page of `file` at `index`, in huge pages. Sleeps.
    pub(super) fn lock(&self, file: FileKey, index: usize) -> FaultLock<'_> {
        // Fibonacci hashing (include/linux/hash.h, GOLDEN_RATIO_64): the high bits are the good ones.
        let hash = (file.0 ^ index.rotate_left(32)).wrapping_mul(0x61C8_8646_80B5_83EB) >> 32;
        let slot = hash % (self.others.len() + 1);
        FaultLock {
            table: self,
            file,
            index,
            _guard: self.others.get(slot).unwrap_or(&self.first).lock(),
        }
    }
}

/// What tells files apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FileKey(usize);

impl FileKey {
    /// The file that `host` stands for.
    pub(super) fn new(host: &Host) -> Self {
        Self(host.mapping() as usize)
    }
}

/// The right to one page of one file: while this lives, nobody else has it.
///
/// # Invariants
///
/// Holds the lock that `table` has for (`file`, `index`).
pub(crate) struct FaultLock<'a> {
    table: &'a FaultLocks,
    file: FileKey,
    index: usize,
    _guard: Guard<'a, (), MutexBackend>,
}

impl FaultLock<'_> {
    /// The page's index in the file, in huge pages.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Whether it is a lock of this table on this file.
    pub(super) fn is_of(&self, table: &FaultLocks, file: FileKey) -> bool {
        ptr::eq(self.table, table) && self.file == file
    }
}
