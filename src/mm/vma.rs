// SPDX-License-Identifier: GPL-2.0

//! Mappings of huge files: finding a place, setting them up, and their faults.
//!
//! Mirrors drivers/dax/device.c; the types say which lock is held, as rust/kernel/mm/virt.rs does
//! (where a setter for `vm_ops` and a fault type belong). Only for 2 MiB pages so far.

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{
    bindings,
    error::Result,
    ffi::{c_int, c_uint, c_ulong},
    mm::virt::{flags, VmaNew},
    prelude::*,
};

use super::{
    chardev::MappedFile,
    page::FilePage,
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
    base_page_offset: usize,
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

    /// Makes it a mapping of `T`, whose file the VMA must be of; `chardev` sees to that.
    ///
    /// VM_DONTEXPAND keeps mremap from growing it, and userfaultfd, guard markers, khugepaged and
    /// merging from planting page tables where huge pages go.
    pub(super) fn install<T: MappedFile>(&self) {
        self.0.set_dontexpand();
        // SAFETY: The VMA is being set up, so nobody else looks at it; the operations are static.
        unsafe { (*self.0.as_ptr()).vm_ops = Operations::<T>::TABLE };
    }
}

/// A page fault in a mapping of a huge file, under the mmap read lock or the VMA's.
///
/// # Invariants
///
/// Points to a fault that the kernel is handling for the duration of `'a`.
pub(crate) struct Fault<'a> {
    vmf: NonNull<bindings::vm_fault>,
    _fault: PhantomData<&'a ()>,
}

impl Fault<'_> {
    fn vma(&self) -> *mut bindings::vm_area_struct {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf.as_ptr()).__bindgen_anon_1.vma }
    }

    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf.as_ptr()).flags }
    }

    /// Whether the page will be written to.
    pub(crate) fn is_write(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Whether somebody wants to write, or a page of its own, where the mapping does not let it
    /// (ptrace, FOLL_FORCE): no page that we could insert would do, and the caller would ask again
    /// and again.
    pub(crate) fn is_futile(&self) -> bool {
        let wants = bindings::fault_flag_FAULT_FLAG_WRITE | bindings::fault_flag_FAULT_FLAG_UNSHARE;
        // SAFETY: By the type invariant the VMA is valid and its flags are stable.
        let vm_flags = unsafe { (*self.vma()).__bindgen_anon_2.vm_flags };
        self.flags() & wants != 0 && vm_flags & flags::WRITE == 0
    }

    /// The index, in base pages, of the first byte of the huge page (`1 << order` base pages)
    /// around the address; none if it is not all inside the mapping.
    pub(crate) fn base_index(&self, order: u32) -> Option<usize> {
        let size = kernel::page::PAGE_SIZE << order;
        // SAFETY: By the type invariant.
        let (address, start, end, offset) = unsafe {
            let vma = &*self.vma();
            let range = vma.__bindgen_anon_1.__bindgen_anon_1;
            (
                (*self.vmf.as_ptr()).__bindgen_anon_1.address,
                range.vm_start,
                range.vm_end,
                vma.vm_pgoff,
            )
        };
        let first = address & !(size - 1);
        if first < start || first.checked_add(size)? > end {
            return None;
        }
        let index = ((first - start) >> kernel::page::PAGE_SHIFT).checked_add(offset)?;
        (index & ((1 << order) - 1) == 0).then_some(index)
    }

    /// The mapping's own memory policy (mbind), if it has one.
    pub(crate) fn policy(&self) -> Option<MemPolicy> {
        // SAFETY: By the type invariant the VMA is locked, and so does not change its policy.
        let policy: *const RawMemPolicy = unsafe { (*self.vma()).vm_policy }.cast();
        if policy.is_null() {
            return None;
        }
        // SAFETY: The VMA has a reference to it. (A cpuset that changes may rebind the nodes as we
        // copy them; the page allocator puts up with that, too.)
        Some(unsafe { MemPolicy::copy(policy) })
    }

    /// Maps `page`, a 2 MiB page, at the fault's address. Takes a reference for the page table.
    pub(crate) fn insert(&self, page: &FilePage) -> Outcome {
        // SAFETY: By the type invariant. The page is of PMD size and stays while its file holds it.
        // The place is empty or holds the same page: a file's page at an index does not change
        // while mappings exist.
        Outcome(unsafe {
            bindings::vmf_insert_folio_pmd(self.vmf.as_ptr(), page.folio(), self.is_write())
        })
    }
}

/// What a fault handler answers.
pub(crate) struct Outcome(bindings::vm_fault_t);

impl Outcome {
    /// No page to be had here: the task gets SIGBUS.
    pub(crate) const SIGBUS: Self = Self(bindings::vm_fault_reason_VM_FAULT_SIGBUS);

    const FALLBACK: Self = Self(bindings::vm_fault_reason_VM_FAULT_FALLBACK);
}

/// The `vm_operations_struct` of mappings of `T`.
struct Operations<T>(PhantomData<T>);

impl<T: MappedFile> Operations<T> {
    const TABLE: &'static bindings::vm_operations_struct = &bindings::vm_operations_struct {
        fault: Some(Self::fault),
        huge_fault: Some(Self::huge_fault),
        may_split: Some(Self::may_split),
        pagesize: Some(Self::pagesize),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `vma` must be a mapping with these operations, locked by the caller for `'a`.
    unsafe fn file<'a>(vma: *const bindings::vm_area_struct) -> &'a T {
        // SAFETY: Only `NewMapping::install` sets these operations, on VMAs of files that `chardev`
        // opened; the VMA holds a reference to the file, and the file its `T`.
        unsafe { &*(*(*vma).vm_file).private_data.cast::<T>() }
    }

    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping.
    unsafe fn handle(vmf: *mut bindings::vm_fault) -> Outcome {
        let Some(vmf) = NonNull::new(vmf) else {
            return Outcome::SIGBUS;
        };
        // INVARIANT: The kernel is handling this fault until we return.
        let fault = Fault {
            vmf,
            _fault: PhantomData,
        };
        // SAFETY: The kernel holds the VMA's lock, or the mmap lock.
        unsafe { Self::file(fault.vma()) }.fault(&fault)
    }

    /// Where THP is off for the mapping (`enabled=never`, MADV_NOHUGEPAGE, PR_SET_THP_DISABLE), the
    /// kernel asks for a base page. It gets the huge page here, too.
    ///
    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the kernel's contract for `->fault`.
        unsafe { Self::handle(vmf) }.0
    }

    /// # Safety
    ///
    /// To be called by the kernel for a fault in such a mapping.
    unsafe extern "C" fn huge_fault(
        vmf: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        if order != bindings::PMD_ORDER {
            return Outcome::FALLBACK.0;
        }
        // SAFETY: By the kernel's contract for `->huge_fault`.
        unsafe { Self::handle(vmf) }.0
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
}
