// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls for mappings of huge files.
//!
//! Mirrors drivers/dax/device.c and `hugetlb_vm_ops`. Shared mappings of 2 MiB pages keep nothing of
//! their own: fork, split and unmap are the kernel's business alone. Those of 1 GiB pages keep a
//! guard for each VMA. A private mapping is an object in `vm_private_data` which its VMAs share; where
//! a VMA is copied into another address space, which is fork, the copy gets an object of its own.

use core::{
    marker::PhantomData,
    mem::{self, ManuallyDrop},
    ops::Range,
    ptr::{self, NonNull},
};

use kernel::{
    bindings,
    ffi::{c_int, c_uint, c_ulong, c_void},
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    types::ForeignOwnable,
};

use super::{
    chardev::MappedFile,
    fault::{Fault, Outcome},
    host::pages_of,
    vma::{Mapping, MmId, NewMapping},
    zap_guard::ZapGuard,
};

extern "C" {
    /// include/linux/mmap_lock.h, by way of rust/helpers/vma.c; not among the bindings. Of a VMA.
    fn rust_helper_vma_end_read(vma: *mut c_void);
}

/// What a private mapping of a file keeps, whatever that is.
pub(crate) trait PrivateMapping: Send + Sync {
    /// The address space it is in.
    fn mm(&self) -> MmId;
}

/// How a private mapping comes to have one more VMA.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A VMA is split in two.
    Split,
    /// A VMA is moved: until the old one is closed both have the range.
    Moved,
}

/// Whether mappings of `file` have 1 GiB entries, and so guards; such a file has no private ones.
fn is_guarded(file: &impl MappedFile) -> bool {
    file.page_bytes() == PAGE_SIZE << bindings::PUD_ORDER
}

/// Makes it a mapping of `file`, if that lets it: a shared or a private one. Sleeps.
pub(super) fn install<T: MappedFile>(mapping: &NewMapping<'_>, file: &T) -> Result {
    let guard = if is_guarded(file) {
        // SAFETY: The mmap write lock is held while a mapping is being set up.
        Some(unsafe { ZapGuard::new(mapping.mm(), mapping.start(), mapping.length()) }?)
    } else {
        None
    };
    match (file.map(mapping)?, guard) {
        (Some(_), Some(_)) => return Err(EINVAL),
        (Some(private), None) => mapping.install(
            Operations::<T>::PRIVATE,
            Arc::into_raw(private).cast_mut().cast(),
        ),
        (None, Some(guard)) => mapping.install(Operations::<T>::GUARDED, guard.into_foreign()),
        (None, None) => mapping.install(Operations::<T>::SHARED, ptr::null_mut()),
    }
    Ok(())
}

/// Shows `each` the VMAs of private mappings that have a part of `range`, in base pages: what they
/// keep, and what they have of the file. See [`Host::each_vma`] for the order, and for what `each` may
/// do.
///
/// [`Host::each_vma`]: super::host::Host::each_vma
pub(crate) fn each_private<T: MappedFile>(
    file: &T,
    range: Range<usize>,
    mut each: impl FnMut(&T::Private, Range<usize>),
) {
    if is_guarded(file) {
        return;
    }
    file.host().each_vma(range, |vma| {
        // SAFETY: As `each_vma` promises, it is valid, and its range does not change.
        let (data, first, pages) =
            unsafe { ((*vma).vm_private_data, (*vma).vm_pgoff, pages_of(vma)) };
        // SAFETY: VMAs of this host are those that `install` set up for a `T`: without guards, what
        // they keep is null for shared ones. It is taken away when the VMA is not linked any more.
        if let Some(private) = unsafe { data.cast::<T::Private>().as_ref() } {
            each(private, first..first.saturating_add(pages));
        }
    });
}

/// The `vm_operations_struct`s of mappings of `T`.
///
/// `vm_private_data` of a VMA with the first is null. With the others it is a `KBox<ZapGuard>`'s
/// pointer or an `Arc<T::Private>`'s, or null where there was no memory for one, or a signal came: of a
/// VMA that was copied, by fork or when it was cut or moved.
struct Operations<T>(PhantomData<T>);

impl<T: MappedFile> Operations<T> {
    const SHARED: &'static bindings::vm_operations_struct = &bindings::vm_operations_struct {
        fault: Some(Self::fault::<false>),
        huge_fault: Some(Self::huge_fault::<false>),
        may_split: Some(Self::may_split),
        pagesize: Some(Self::pagesize),
        ..pin_init::zeroed()
    };

    const GUARDED: &'static bindings::vm_operations_struct = &bindings::vm_operations_struct {
        open: Some(Self::open_guarded),
        close: Some(Self::close_guarded),
        ..*Self::SHARED
    };

    const PRIVATE: &'static bindings::vm_operations_struct = &bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        fault: Some(Self::fault::<true>),
        huge_fault: Some(Self::huge_fault::<true>),
        ..*Self::SHARED
    };

    /// # Safety
    ///
    /// `vma` must be a mapping with these operations, locked by the caller for `'a`.
    unsafe fn file<'a>(vma: *const bindings::vm_area_struct) -> &'a T {
        // SAFETY: Only [`install`] sets these operations, on VMAs of files that `chardev` opened;
        // the VMA holds a reference to the file, and the file its `T`.
        unsafe { &*(*(*vma).vm_file).private_data.cast::<T>() }
    }

    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping, which `PRIVATE` tells apart.
    unsafe fn handle<const PRIVATE: bool>(vmf: *mut bindings::vm_fault, level: u32) -> Outcome {
        let Some(vmf) = NonNull::new(vmf) else {
            return Outcome::SIGBUS;
        };
        // SAFETY: The kernel is handling this fault until we return.
        let fault = unsafe { Fault::new(vmf, level) };
        // SAFETY: The kernel holds the VMA's lock, or the mmap lock.
        let file = unsafe { Self::file(fault.vma()) };
        if level != 0 && PAGE_SIZE << level != file.page_bytes() {
            return Outcome::FALLBACK;
        }
        if level == bindings::PUD_ORDER && fault.is_vma_locked() {
            // mremap cannot move a PUD: `find_area` takes it out of the page table first, and it may
            // not come back before the move, which the mmap lock sees to.
            // SAFETY: The fault is handled under the VMA's lock, which RETRY says was dropped.
            unsafe { rust_helper_vma_end_read(fault.vma().cast()) };
            return Outcome::RETRY;
        }
        // SAFETY: The VMA is valid, and locked against whoever replaces this.
        let data = unsafe { (*fault.vma()).vm_private_data };
        if !PRIVATE {
            // SAFETY: By the type's contract a shared mapping has a guard there or null; the VMA's
            // lock keeps it.
            return match unsafe { data.cast::<ZapGuard>().as_ref() } {
                Some(guard) => file.fault(&fault.with_guard(guard)),
                // A PUD is not safe without: base pages are.
                None if level == bindings::PUD_ORDER => Outcome::FALLBACK,
                None => file.fault(&fault),
            };
        }
        // SAFETY: By the type's contract the VMA holds that reference.
        match unsafe { data.cast::<T::Private>().as_ref() } {
            Some(private) => file.fault_private(&fault, private),
            None => Outcome::SIGBUS,
        }
    }

    /// Where THP is off for the mapping (`enabled=never`, MADV_NOHUGEPAGE, PR_SET_THP_DISABLE), the
    /// kernel asks for a base page. It gets the huge page here, too, if that is of 2 MiB. And in a
    /// private mapping the kernel comes here to copy on write, when it already holds the mmap lock.
    ///
    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping.
    unsafe extern "C" fn fault<const PRIVATE: bool>(
        vmf: *mut bindings::vm_fault,
    ) -> bindings::vm_fault_t {
        // SAFETY: By the kernel's contract for `->fault`.
        unsafe { Self::handle::<PRIVATE>(vmf, 0) }.0
    }

    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping.
    unsafe extern "C" fn huge_fault<const PRIVATE: bool>(
        vmf: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        // SAFETY: By the kernel's contract for `->huge_fault`.
        unsafe { Self::handle::<PRIVATE>(vmf, order) }.0
    }

    /// # Safety
    ///
    /// To be called by the kernel for such a mapping, with the mmap write lock held.
    unsafe extern "C" fn may_split(vma: *mut bindings::vm_area_struct, address: c_ulong) -> c_int {
        // SAFETY: The kernel holds the mmap write lock.
        let file = unsafe { Self::file(vma) };
        if address & (file.page_bytes() - 1) == 0 {
            0
        } else {
            EINVAL.to_errno()
        }
    }

    /// # Safety
    ///
    /// To be called by the kernel for such a mapping, with the mmap lock held.
    unsafe extern "C" fn pagesize(vma: *mut bindings::vm_area_struct) -> c_ulong {
        // SAFETY: The kernel holds the mmap lock.
        unsafe { Self::file(vma) }.page_bytes()
    }

    /// # Safety
    ///
    /// To be called by the kernel for a copy of a guarded mapping, with the mmap write lock held of
    /// the address space that the copy is in.
    unsafe extern "C" fn open_guarded(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The kernel passes a valid VMA that nobody else can see or change yet.
        let (copy, data) = unsafe {
            let Some(vma) = NonNull::new(vma) else { return };
            (Mapping::new(vma), &mut (*vma.as_ptr()).vm_private_data)
        };
        // SAFETY: The mmap write lock is held.
        let guard = unsafe { ZapGuard::new(copy.mm(), copy.start(), copy.length()) };
        // What is there is the other VMA's.
        *data = guard.map_or(ptr::null_mut(), ForeignOwnable::into_foreign);
    }

    /// # Safety
    ///
    /// To be called by the kernel for a guarded mapping, which no page table shows any more.
    unsafe extern "C" fn close_guarded(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The kernel passes a valid VMA that it is about to free.
        let data = unsafe { mem::replace(&mut (*vma).vm_private_data, ptr::null_mut()) };
        if !data.is_null() {
            // SAFETY: The VMA's guard, which is ours now.
            drop(unsafe { Pin::<KBox<ZapGuard>>::from_foreign(data) });
        }
    }

    /// # Safety
    ///
    /// To be called by the kernel for a copy of such a mapping, with the mmap write locks held of
    /// the address space that the copy is in and of the current task's.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The kernel passes a valid VMA that nobody else can see or change yet.
        let (file, copy, data) = unsafe {
            let Some(vma) = NonNull::new(vma) else { return };
            (
                Self::file(vma.as_ptr()),
                Mapping::new(vma),
                &mut (*vma.as_ptr()).vm_private_data,
            )
        };
        // SAFETY: The pointer was copied from a VMA that still holds its reference to it.
        let Some(private) = (unsafe { data.cast::<T::Private>().as_ref() }) else {
            return;
        };
        if private.mm() == copy.mm() {
            // SAFETY: The pointer is an `Arc`'s, whose reference stays where it is.
            let theirs = ManuallyDrop::new(unsafe { Arc::from_raw(private) });
            *data = Arc::into_raw(Arc::clone(&theirs)).cast_mut().cast();
            // SAFETY: The mmap write lock is held. The copy is not linked yet.
            let opened = match unsafe { copy.find(copy.mm()) } {
                Some(_) => Opened::Split,
                None => Opened::Moved,
            };
            file.opened(private, copy, opened);
            return;
        }
        *data = ptr::null_mut();
        if private.mm() != MmId::current() {
            return;
        }
        // What the parent writes from now on is not for the child: it has to fault again. Its VMA is
        // at the same place.
        // SAFETY: The mmap write lock of the current task, which is the one that forks, is held.
        let Some(parent) = (unsafe { copy.find(MmId::current()) }) else {
            return;
        };
        parent.zap(0, parent.length());
        if let Some(child) = file.fork(private, copy) {
            *data = Arc::into_raw(child).cast_mut().cast();
        }
    }

    /// # Safety
    ///
    /// To be called by the kernel for such a mapping, which no page table shows any more.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        let Some(vma) = NonNull::new(vma) else { return };
        // SAFETY: The kernel passes a valid VMA that it is about to free.
        let (file, mapping, data) = unsafe {
            (
                Self::file(vma.as_ptr()),
                Mapping::new(vma),
                mem::replace(&mut (*vma.as_ptr()).vm_private_data, ptr::null_mut()),
            )
        };
        if !data.is_null() {
            // SAFETY: The VMA's reference, which is ours now.
            let private = unsafe { Arc::from_raw(data.cast::<T::Private>()) };
            file.closed(&private, mapping);
        }
    }
}
