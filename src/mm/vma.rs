// SPDX-License-Identifier: GPL-2.0

//! Mappings of huge files: finding a place for them, setting them up, and looking at them.
//!
//! Mirrors drivers/dax/device.c; the types say which lock is held, as rust/kernel/mm/virt.rs does
//! (where a setter for `vm_ops` belongs).

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{
    bindings,
    error::Result,
    ffi::{c_int, c_ulong, c_void},
    mm::virt::{flags, VmaNew},
    prelude::*,
};

use super::{
    task::{MemPolicy, RawMemPolicy},
    version::VM_MAYSHARE,
};

/// include/uapi/asm-generic/mman-common.h; MAP_FIXED_NOREPLACE implies it here.
const MAP_FIXED: c_ulong = 0x10;

/// A search for free address space, under the mmap write lock of the current process.
pub(crate) struct AreaSearch {
    file: *mut bindings::file,
    /// The address asked for, in bytes; 0 for any.
    pub(crate) hint: usize,
    /// The length, in bytes.
    pub(crate) length: usize,
    /// The offset into the file, in base pages.
    pub(crate) base_page_offset: usize,
    flags: c_ulong,
}

impl AreaSearch {
    /// # Safety
    ///
    /// `file` must be valid for as long as this lives; the mmap write lock must be held.
    pub(super) unsafe fn new(
        file: *mut bindings::file,
        hint: usize,
        length: usize,
        base_page_offset: usize,
        flags: c_ulong,
    ) -> Self {
        Self {
            file,
            hint,
            length,
            base_page_offset,
            flags,
        }
    }

    /// Whether it must be at the hint and nowhere else (`MAP_FIXED`).
    pub(crate) fn is_fixed(&self) -> bool {
        self.flags & MAP_FIXED != 0
    }

    /// The kernel's own search, which knows nothing of our alignment: `length` bytes at `hint` if
    /// that is free (with MAP_FIXED, at all events), or anywhere.
    pub(crate) fn ask(&self, hint: usize, length: usize) -> Result<usize> {
        // SAFETY: By the promises of `new`.
        let found = unsafe {
            bindings::mm_get_unmapped_area(
                self.file,
                hint,
                length,
                self.base_page_offset,
                self.flags,
            )
        };
        // The top page of the address space stands for errors (IS_ERR_VALUE).
        let errno = found as isize;
        if (-(bindings::MAX_ERRNO as isize)..0).contains(&errno) {
            return Err(Error::from_errno(errno as c_int));
        }
        Ok(found)
    }
}

/// A mapping being set up in `->mmap`, not visible to anybody else yet.
pub(crate) struct NewMapping<'a>(&'a VmaNew);

impl<'a> NewMapping<'a> {
    pub(super) fn new(vma: &'a VmaNew) -> Self {
        Self(vma)
    }

    /// The first address.
    pub(crate) fn start(&self) -> usize {
        self.0.start()
    }

    /// The length, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.0.end() - self.0.start()
    }

    /// The offset into the file, in base pages.
    pub(crate) fn base_page_offset(&self) -> usize {
        // SAFETY: The VMA is valid and nobody else can change it.
        unsafe { (*self.0.as_ptr()).vm_pgoff }
    }

    /// Whether it is a shared mapping (also of a file opened read-only).
    pub(crate) fn is_shared(&self) -> bool {
        self.0.flags() & VM_MAYSHARE != 0
    }

    /// Whether it is writable now.
    pub(crate) fn is_writable(&self) -> bool {
        self.0.writable()
    }

    /// Whether no page is to be reserved for it (`MAP_NORESERVE`).
    pub(crate) fn is_noreserve(&self) -> bool {
        self.0.flags() & flags::NORESERVE != 0
    }

    /// Gives it its operations, and what they find in `vm_private_data`.
    ///
    /// VM_DONTEXPAND keeps mremap from growing it, and userfaultfd, guard markers, khugepaged and
    /// merging from planting page tables where huge pages go.
    pub(super) fn install(
        &self,
        operations: &'static bindings::vm_operations_struct,
        private_data: *mut c_void,
    ) {
        self.0.set_dontexpand();
        // SAFETY: The VMA is being set up, so nobody else looks at it.
        unsafe {
            (*self.0.as_ptr()).vm_ops = operations;
            (*self.0.as_ptr()).vm_private_data = private_data;
        }
    }

    /// The address space it is in.
    pub(crate) fn mm(&self) -> MmId {
        // SAFETY: The VMA is valid.
        MmId(unsafe { (*self.0.as_ptr()).vm_mm })
    }
}

/// Tells address spaces apart, for as long as they live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MmId(*mut bindings::mm_struct);

// SAFETY: It is compared, and used only where the caller promises that it is valid.
unsafe impl Send for MmId {}
// SAFETY: Likewise.
unsafe impl Sync for MmId {}

impl MmId {
    pub(super) fn as_ptr(self) -> *mut bindings::mm_struct {
        self.0
    }

    /// The current task's.
    pub(super) fn current() -> Self {
        // SAFETY: The current task is valid, and only it changes this.
        Self(unsafe { (*bindings::get_current()).mm })
    }
}

/// A mapping that nobody changes meanwhile: under its own lock or the mmap lock.
///
/// # Invariants
///
/// Points to a VMA that is valid and locked for the duration of `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Mapping<'a> {
    vma: NonNull<bindings::vm_area_struct>,
    _locked: PhantomData<&'a ()>,
}

impl Mapping<'_> {
    /// # Safety
    ///
    /// The VMA must be valid and locked for the duration of `'a`.
    pub(super) unsafe fn new(vma: NonNull<bindings::vm_area_struct>) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            vma,
            _locked: PhantomData,
        }
    }

    fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.vma.as_ptr()
    }

    fn range(&self) -> bindings::vm_area_struct__bindgen_ty_1__bindgen_ty_1 {
        // SAFETY: By the type invariant; the union has no other user in a VMA that is in use.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1 }
    }

    /// The address space it is in.
    pub(crate) fn mm(&self) -> MmId {
        // SAFETY: By the type invariant.
        MmId(unsafe { (*self.as_ptr()).vm_mm })
    }

    /// The VMA of `mm` at this one's start, if it is of the same file.
    ///
    /// # Safety
    ///
    /// `mm` must be valid and its mmap write lock held.
    pub(super) unsafe fn find(&self, mm: MmId) -> Option<Self> {
        // SAFETY: By the caller's promise.
        let found = unsafe { bindings::find_vma(mm.0, self.start()) };
        // SAFETY: It is a valid VMA, write-locked with its mm.
        let found = unsafe { Self::new(NonNull::new(found)?) };
        // SAFETY: Both VMAs are valid.
        let same_file = unsafe { (*found.as_ptr()).vm_file == (*self.as_ptr()).vm_file };
        (found.start() <= self.start() && same_file).then_some(found)
    }

    /// The first address.
    pub(super) fn start(&self) -> usize {
        self.range().vm_start
    }

    /// The length, in bytes.
    pub(crate) fn length(&self) -> usize {
        let range = self.range();
        range.vm_end.saturating_sub(range.vm_start)
    }

    /// The offset into the file, in base pages.
    pub(crate) fn base_page_offset(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Whether it is writable now.
    pub(super) fn is_writable(&self) -> bool {
        // SAFETY: By the type invariant; the union has no other user.
        unsafe { (*self.as_ptr()).__bindgen_anon_2.vm_flags & flags::WRITE != 0 }
    }

    /// Whether the mapping has a memory policy of its own (mbind).
    pub(crate) fn has_policy(&self) -> bool {
        // SAFETY: By the type invariant, by which the policy does not change.
        !unsafe { (*self.as_ptr()).vm_policy }.is_null()
    }

    /// The mapping's own memory policy (mbind), if it has one.
    pub(crate) fn policy(&self) -> Option<MemPolicy> {
        // SAFETY: By the type invariant, by which the policy does not change.
        let policy: *const RawMemPolicy = unsafe { (*self.as_ptr()).vm_policy }.cast();
        if policy.is_null() {
            return None;
        }
        // SAFETY: The VMA has a reference to it. (A cpuset that changes may rebind the nodes as we
        // copy them; the page allocator puts up with that, too.)
        Some(unsafe { MemPolicy::copy(policy) })
    }

    /// Takes a part of it, in bytes from its start, out of the page tables, so that it faults again.
    pub(super) fn zap(&self, from: usize, length: usize) {
        if from
            .checked_add(length)
            .is_none_or(|end| end > self.length())
        {
            return;
        }
        // SAFETY: The range is inside the VMA, which is valid and locked by the type invariant.
        unsafe { bindings::zap_vma_range(self.as_ptr(), self.start() + from, length) };
    }
}
