// SPDX-License-Identifier: GPL-2.0

//! The pages of a file, or of a private mapping of it, by index, in an XArray.
//!
//! Why not `kernel::xarray`: it cannot be walked, and a sparse file must be emptied without trying
//! every index (rust/kernel/xarray.rs is where the walk belongs).

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{self, NonNull},
};

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        rcu, Arc,
    },
    types::Opaque,
};

use super::{
    fault_lock::{FaultLock, FaultLocks, FileKey},
    host::Host,
    page::Listed,
};

type Folio = NonNull<bindings::folio>;

/// Pages that are looked up in one go where all are taken out.
const AT_ONCE: usize = 32;

/// A walk that begins at the root (include/linux/xarray.h).
const XAS_RESTART: *mut bindings::xa_node = ptr::without_provenance_mut(3);

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

impl<P: Listed> Entry<'_, P> {
    /// # Safety
    ///
    /// `folio` must be in the table, and stay there for the lifetime: taking it out needs the lock
    /// of its index mutably, or the table.
    unsafe fn new(folio: Folio) -> Self {
        Self {
            // SAFETY: By the caller's promise. `ManuallyDrop` keeps it in the table's hands.
            page: ManuallyDrop::new(unsafe { P::from_raw(folio) }),
            _lock: PhantomData,
        }
    }
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
        // SAFETY: By the type invariant it is a page of the table, and the lock is lent with it.
        Some(unsafe { Entry::new(folio) })
    }

    /// Puts `page` at the index that is locked, where there is none, and lends it. Gives it back if
    /// there is no memory for the table. Sleeps.
    pub(crate) fn insert<'a>(
        &'a self,
        lock: &'a mut FaultLock<'_>,
        page: P,
    ) -> core::result::Result<Entry<'a, P>, P> {
        if !self.is_locked_by(lock) {
            return Err(page);
        }
        let folio = page.into_raw();
        // SAFETY: The pointer is from `into_raw`; the lock is held mutably.
        let refused = match unsafe { self.store(lock.index(), folio) } {
            // SAFETY: It is in the table, and the lock is lent with it.
            Ok(None) => return Ok(unsafe { Entry::new(folio) }),
            // There is one: it stays.
            // SAFETY: As above; the pointer was in the table.
            Ok(Some(old)) => match unsafe { self.store(lock.index(), old) } {
                Ok(Some(new)) => new,
                _ => old,
            },
            Err(_) => folio,
        };
        // SAFETY: That one is not in the table.
        Err(unsafe { P::from_raw(refused) })
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
        // SAFETY: The pointer is from `into_raw`; the lock is held mutably.
        match unsafe { self.store(lock.index(), folio) } {
            // SAFETY: By the type invariant; the table no longer has it.
            Ok(old) => Ok(old.map(|old| unsafe { P::from_raw(old) })),
            // SAFETY: It was not stored.
            Err(_) => Err(unsafe { P::from_raw(folio) }),
        }
    }

    /// Puts a page at `index`; returns what was there. Sleeps.
    ///
    /// # Safety
    ///
    /// `folio` must be from [`Listed::into_raw`] of a `P`, and is the table's unless that fails.
    /// The lock of `index` must be held mutably.
    unsafe fn store(&self, index: usize, folio: Folio) -> Result<Option<Folio>> {
        // SAFETY: The table is initialised, and folios are aligned as entries must be. xa_store
        // locks by itself and may sleep, as we may. INVARIANT: By the caller's promise.
        let old = unsafe {
            bindings::xa_store(
                self.xa.get(),
                index,
                folio.as_ptr().cast(),
                bindings::GFP_KERNEL,
            )
        };
        // SAFETY: xa_store returned it.
        to_result(unsafe { bindings::xa_err(old) })?;
        let old = NonNull::new(old.cast());
        if old.is_none() {
            self.count.fetch_add(1, Relaxed);
        }
        Ok(old)
    }

    /// Takes out the page at the index that is locked, if there is one.
    pub(crate) fn remove(&self, lock: &mut FaultLock<'_>) -> Option<P> {
        if !self.is_locked_by(lock) {
            return None;
        }
        self.erase(lock.index())
    }

    /// Takes out all pages, in their order, and hands them to `taken`. Sleeps if that does.
    pub(crate) fn drain(self: Pin<&mut Self>, mut taken: impl FnMut(P)) {
        let mut pages = [None; AT_ONCE];
        let mut from = Some(0);
        while let Some(index) = from {
            from = self.read(index, &mut pages);
            for folio in pages.iter_mut().filter_map(Option::take) {
                // SAFETY: By the type invariant. The table is ours alone and does not look at it any
                // more; below it forgets it.
                taken(unsafe { P::from_raw(folio) });
            }
        }
        // SAFETY: The table is initialised; this leaves an empty one.
        unsafe { bindings::xa_destroy(self.xa.get()) };
        self.count.store(0, Relaxed);
    }

    /// Copies the first pages at `from` or after it into `pages`, which is empty. Where to go on, if
    /// that is full.
    fn read(&self, from: usize, pages: &mut [Option<Folio>]) -> Option<usize> {
        let mut walk = bindings::xa_state {
            xa: self.xa.get(),
            xa_index: from,
            xa_node: XAS_RESTART,
            ..Default::default()
        };
        let _readers = rcu::read_lock();
        for slot in pages {
            // SAFETY: The table is initialised, and its nodes stay under RCU.
            let entry = unsafe { bindings::xas_find(&mut walk, usize::MAX) };
            *slot = Some(NonNull::new(entry.cast())?);
        }
        walk.xa_index.checked_add(1)
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
    fn drop(self: Pin<&mut Self>) {
        self.drain(drop);
    }
}
