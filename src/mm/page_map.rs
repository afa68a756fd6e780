// SPDX-License-Identifier: GPL-2.0

//! The pages of a file by index, in an XArray.
//!
//! Why not `kernel::xarray`: it cannot be walked, and a sparse file must be emptied without trying
//! every index (rust/kernel/xarray.rs is where the walk belongs).

use core::{marker::PhantomData, ops::Deref, ptr::NonNull};

use kernel::{bindings, prelude::*, types::Opaque};

use super::page::{FilePage, Listed};

/// A sparse table of pages.
///
/// # Invariants
///
/// Each entry is a pointer from [`FilePage::into_raw`], and the table owns that page.
#[pin_data(PinnedDrop)]
pub(crate) struct PageMap {
    #[pin]
    xa: Opaque<bindings::xarray>,
}

// SAFETY: The table owns its pages, which may go to any thread.
unsafe impl Send for PageMap {}
// SAFETY: The XArray has its own lock; what it leads to is shared by reference only.
unsafe impl Sync for PageMap {}

/// A page that stays in its table for as long as this lives.
pub(crate) struct Entry<'a> {
    page: core::mem::ManuallyDrop<FilePage>,
    _map: PhantomData<&'a PageMap>,
}

impl Deref for Entry<'_> {
    type Target = FilePage;

    fn deref(&self) -> &FilePage {
        &self.page
    }
}

impl PageMap {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: Initialises the slot it is given.
            xa <- Opaque::ffi_init(|slot| unsafe { bindings::xa_init_flags(slot, 0) }),
        })
    }

    /// The page at `index`, if there is one.
    ///
    /// Pages leave the table only through [`Self::pop`], which nobody else can call meanwhile, as
    /// it takes `&mut self`.
    pub(crate) fn get(&self, index: usize) -> Option<Entry<'_>> {
        // SAFETY: The table is initialised; xa_load locks by itself (RCU).
        let entry = unsafe { bindings::xa_load(self.xa.get(), index) };
        let folio = NonNull::new(entry.cast())?;
        // SAFETY: By the type invariant. `ManuallyDrop` keeps the page in the table's hands.
        let page = core::mem::ManuallyDrop::new(unsafe { FilePage::from_raw(folio) });
        Some(Entry {
            page,
            _map: PhantomData,
        })
    }

    /// Puts `page` at `index`, where there is none. Gives it back if there is no memory for the
    /// table. Sleeps.
    pub(crate) fn insert(
        &self,
        index: usize,
        page: FilePage,
    ) -> core::result::Result<(), FilePage> {
        let folio = page.into_raw();
        // SAFETY: The table is initialised, and folios are aligned as entries must be. xa_store
        // locks by itself and may sleep, as we may. INVARIANT: The pointer is from `into_raw` and
        // becomes the table's.
        let err = unsafe {
            let old = bindings::xa_store(
                self.xa.get(),
                index,
                folio.as_ptr().cast(),
                bindings::GFP_KERNEL,
            );
            bindings::xa_err(old)
        };
        if err != 0 {
            // SAFETY: It was not stored.
            return Err(unsafe { FilePage::from_raw(folio) });
        }
        Ok(())
    }

    /// Takes out the page with the lowest index.
    pub(crate) fn pop(self: Pin<&mut Self>) -> Option<FilePage> {
        let mut index = 0;
        // SAFETY: The table is initialised.
        let entry = unsafe {
            bindings::xa_find(self.xa.get(), &mut index, usize::MAX, bindings::XA_PRESENT)
        };
        let folio = NonNull::new(entry.cast())?;
        // SAFETY: The table is initialised.
        unsafe { bindings::xa_erase(self.xa.get(), index) };
        // SAFETY: By the type invariant; the table no longer has it.
        Some(unsafe { FilePage::from_raw(folio) })
    }
}

#[pinned_drop]
impl PinnedDrop for PageMap {
    fn drop(mut self: Pin<&mut Self>) {
        while self.as_mut().pop().is_some() {}
        // SAFETY: The table is initialised and empty.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}
