// SPDX-License-Identifier: GPL-2.0

//! The pages of a file, or of a private mapping of it, by index, in an XArray.
//!
//! Why not `kernel::xarray`: it cannot be walked, and a sparse file must be emptied without trying
//! every index (rust/kernel/xarray.rs is where the walk belongs).

use core::{marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr::NonNull};

use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    types::Opaque,
};

use super::{
    fault_lock::{FaultLock, FaultLocks, FileKey},
    host::Host,
    page::Listed,
};

/// A sparse table of pages of one file. Each entry is looked at and changed under the
/// [`FaultLock`] of its index only.
///
/// # Invariants
///
/// Each entry is a pointer from [`Listed::into_raw`] of a `P`, and the table owns that page. Entries
/// come and go under a lock of `locks` on (`file`, index), or through a mutable reference.
#[pin_data(PinnedDrop)]
pub(crate) struct PageMap<P: Listed> {
    #[pin]
    xa: Opaque<bindings::xarray>,
    locks: Arc<FaultLocks>,
    file: FileKey,
    count: Atomic<usize>,
    _pages: PhantomData<P>,
}

// SAFETY: The table owns its pages, which may go to any thread.
unsafe impl<P: Listed + Send> Send for PageMap<P> {}
// SAFETY: The XArray has its own lock; what it leads to is lent by shared reference only.
unsafe impl<P: Listed + Send + Sync> Sync for PageMap<P> {}

/// A page that stays in its table for as long as this lives.
pub(crate) struct Entry<'a, P> {
    page: ManuallyDrop<P>,
    _lock: PhantomData<&'a P>,
}

impl<P> Deref for Entry<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.page
    }
}

impl<P: Listed> PageMap<P> {
    /// An empty table for pages of the file that `host` stands for. Sleeps.
    pub(crate) fn new(host: &Host, locks: Arc<FaultLocks>) -> Result<Pin<KBox<Self>>> {
        let file = FileKey::new(host);
        let this = pin_init!(Self {
            // SAFETY: Initialises the slot it is given.
            xa <- Opaque::ffi_init(|slot| unsafe { bindings::xa_init_flags(slot, 0) }),
            locks,
            file,
            count: Atomic::new(0),
            _pages: PhantomData,
        });
        KBox::pin_init(this, GFP_KERNEL)
    }

    /// Locks `index`, for this table and all others of the same file. Sleeps.
    pub(crate) fn lock(&self, index: usize) -> FaultLock<'_> {
        self.locks.lock(self.file, index)
    }

    /// How many pages it has.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// The lowest index at `from` or after it that has a page. It may be gone when you look.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut index = from;
        // SAFETY: The table is initialised; xa_find locks by itself (RCU).
        let entry = unsafe {
            bindings::xa_find(self.xa.get(), &mut index, usize::MAX, bindings::XA_PRESENT)
        };
        (!entry.is_null()).then_some(index)
    }

    /// The page at the index that is locked, if there is one.
    pub(crate) fn get<'a>(&'a self, lock: &'a FaultLock<'_>) -> Option<Entry<'a, P>> {
        if !self.is_locked_by(lock) {
            return None;
        }
        // SAFETY: The table is initialised; xa_load locks by itself (RCU).
        let entry = unsafe { bindings::xa_load(self.xa.get(), lock.index()) };
        let folio = NonNull::new(entry.cast())?;
        // SAFETY: By the type invariant, and the page stays where it is: taking it out needs the
        // lock mutably or the table mutably. `ManuallyDrop` keeps it in the table's hands.
        let page = ManuallyDrop::new(unsafe { P::from_raw(folio) });
        Some(Entry {
            page,
            _lock: PhantomData,
        })
    }

    /// Puts `page` at the index that is locked, where there is none. Gives it back if there is no
    /// memory for the table. Sleeps.
    pub(crate) fn insert(&self, lock: &mut FaultLock<'_>, page: P) -> core::result::Result<(), P> {
        if self.get(lock).is_some() {
            return Err(page);
        }
        self.replace(lock, page).map(drop)
    }

    /// Puts `page` at the index that is locked; returns what was there. Gives `page` back if there
    /// is no memory for the table, which there always is where something was there. Sleeps.
    pub(crate) fn replace(
        &self,
        lock: &mut FaultLock<'_>,
        page: P,
    ) -> core::result::Result<Option<P>, P> {
        if !self.is_locked_by(lock) {
            return Err(page);
        }
        let folio = page.into_raw();
        // SAFETY: The table is initialised, and folios are aligned as entries must be. xa_store
        // locks by itself and may sleep, as we may. INVARIANT: The pointer is from `into_raw` and
        // becomes the table's.
        let old = unsafe {
            bindings::xa_store(
                self.xa.get(),
                lock.index(),
                folio.as_ptr().cast(),
                bindings::GFP_KERNEL,
            )
        };
        // SAFETY: xa_store returned it.
        if unsafe { bindings::xa_err(old) } != 0 {
            // SAFETY: It was not stored.
            return Err(unsafe { P::from_raw(folio) });
        }
        let Some(old) = NonNull::new(old.cast()) else {
            self.count.fetch_add(1, Relaxed);
            return Ok(None);
        };
        // SAFETY: By the type invariant; the table no longer has it.
        Ok(Some(unsafe { P::from_raw(old) }))
    }

    /// Takes out the page at the index that is locked, if there is one.
    pub(crate) fn remove(&self, lock: &mut FaultLock<'_>) -> Option<P> {
        if !self.is_locked_by(lock) {
            return None;
        }
        self.erase(lock.index())
    }

    /// Takes out the page with the lowest index.
    pub(crate) fn pop(self: Pin<&mut Self>) -> Option<P> {
        let index = self.next(0)?;
        self.erase(index)
    }

    fn is_locked_by(&self, lock: &FaultLock<'_>) -> bool {
        lock.is_of(&self.locks, self.file)
    }

    /// Under the lock of `index`, held mutably, or with a mutable reference to the table.
    fn erase(&self, index: usize) -> Option<P> {
        // SAFETY: The table is initialised; xa_erase locks by itself.
        let entry = unsafe { bindings::xa_erase(self.xa.get(), index) };
        let folio = NonNull::new(entry.cast())?;
        self.count.fetch_sub(1, Relaxed);
        // SAFETY: By the type invariant; the table no longer has it.
        Some(unsafe { P::from_raw(folio) })
    }
}

#[pinned_drop]
impl<P: Listed> PinnedDrop for PageMap<P> {
    fn drop(mut self: Pin<&mut Self>) {
        while self.as_mut().pop().is_some() {}
        // SAFETY: The table is initialised and empty.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}
