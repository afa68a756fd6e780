// SPDX-License-Identifier: GPL-2.0

//! Keeps 1 GiB entries from coming while the kernel takes entries out.
//!
//! `zap_pud_range` (mm/memory.c) looks at an entry twice. A 1 GiB entry that comes between is to it
//! a broken table: it logs "bad pud", clears it, and the page's reference and map count are lost.
//! The locks that a fault is under do not keep it out: MADV_DONTNEED has the same ones, and a hole
//! in a file none of them. What it does announce is to mmu notifiers, so that a 1 GiB entry is put
//! in as a driver would put it into a page table of its own (include/linux/mmu_notifier.h,
//! lib/test_hmm.c).

use kernel::{
    bindings, container_of, error::to_result, ffi::c_ulong, new_spinlock, prelude::*,
    sync::SpinLock, types::Opaque,
};

use super::{fault::Outcome, vma::MmId};

#[cfg(not(CONFIG_MMU_NOTIFIER))]
compile_error!("1 GiB mappings need a kernel with CONFIG_MMU_NOTIFIER (KVM, for one, selects it)");

/// Guards one VMA, or what is left of it once it was cut.
///
/// # Invariants
///
/// `notifier` is inserted from initialisation to drop.
#[pin_data(PinnedDrop)]
pub(super) struct ZapGuard {
    /// Held where an entry is put in, and where somebody says that he is about to take some out.
    #[pin]
    lock: SpinLock<()>,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: A notifier may be removed on another thread than the one that inserted it.
unsafe impl Send for ZapGuard {}
// SAFETY: Shared references use what the kernel locks, and the sequence number under `lock`.
unsafe impl Sync for ZapGuard {}

const OPERATIONS: bindings::mmu_interval_notifier_ops = bindings::mmu_interval_notifier_ops {
    invalidate: Some(ZapGuard::invalidate),
    ..pin_init::zeroed()
};

impl ZapGuard {
    /// Guards `length` bytes from `start` on. ENOMEM; with a signal pending, ERESTARTNOINTR. Sleeps.
    ///
    /// # Safety
    ///
    /// `mm` must be valid and its mmap write lock held.
    pub(super) unsafe fn new(mm: MmId, start: usize, length: usize) -> Result<Pin<KBox<Self>>> {
        static TABLE: bindings::mmu_interval_notifier_ops = OPERATIONS;
        let init = try_pin_init!(Self {
            lock <- new_spinlock!((), "rust_hugetlb::ZapGuard"),
            // INVARIANT: Last, so that what could not be inserted is never dropped.
            notifier <- Opaque::try_ffi_init(|slot| {
                // SAFETY: By the caller's promise; the slot stays where it is.
                to_result(unsafe {
                    bindings::mmu_interval_notifier_insert_locked(
                        slot,
                        mm.as_ptr(),
                        start,
                        length,
                        &TABLE,
                    )
                })
            }),
        });
        KBox::try_pin_init(init, GFP_KERNEL).map_err(|err: Error| {
            // The first of an address space takes all its locks, which a signal stops.
            if err == EINTR {
                ERESTARTNOINTR
            } else {
                err
            }
        })
    }

    /// Puts in an entry, unless some are being taken out: then the fault is to come again. In a
    /// fault; sleeps until what is going on at first is over. `insert` may not sleep.
    pub(super) fn insert(&self, insert: impl FnOnce() -> Outcome) -> Outcome {
        // SAFETY: By the type invariant.
        let begun = unsafe { bindings::mmu_interval_read_begin(self.notifier.get()) };
        let _lock = self.lock.lock();
        // SAFETY: By the type invariant; it changes under `lock`.
        let now = unsafe { (*self.notifier.get()).invalidate_seq };
        if now == begun {
            insert()
        } else {
            Outcome::AGAIN
        }
    }

    /// # Safety
    ///
    /// To be called by the kernel for the notifier of a guard.
    unsafe extern "C" fn invalidate(
        notifier: *mut bindings::mmu_interval_notifier,
        _: *const bindings::mmu_notifier_range,
        sequence: c_ulong,
    ) -> bool {
        let notifier: *mut Opaque<bindings::mmu_interval_notifier> = notifier.cast();
        // SAFETY: By the caller's promise; the guard lives until the notifier is removed.
        let this = unsafe { &*container_of!(notifier, Self, notifier) };
        let _lock = this.lock.lock();
        // SAFETY: By the type invariant; mmu_interval_read_begin reads it without our lock.
        unsafe {
            (&raw mut (*this.notifier.get()).invalidate_seq).write_volatile(sequence);
        }
        true
    }
}

#[pinned_drop]
impl PinnedDrop for ZapGuard {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant; no lock is held that a callback takes.
        unsafe { bindings::mmu_interval_notifier_remove(self.notifier.get()) };
    }
}
