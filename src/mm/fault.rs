// SPDX-License-Identifier: GPL-2.0

//! Page faults in mappings of huge files.
//!
//! Mirrors `vm_fault` and its users in drivers/dax/device.c (rust/kernel/mm/virt.rs is where a fault
//! type belongs).

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{bindings, page::PAGE_SHIFT, page::PAGE_SIZE};

use super::{hwpoison, page::Mappable, vma::Mapping, zap_guard::ZapGuard};

/// A page fault in a mapping of a huge file, under the mmap read lock or the VMA's.
///
/// # Invariants
///
/// Points to a fault that the kernel is handling for the duration of `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'a> {
    vmf: NonNull<bindings::vm_fault>,
    /// The page-table entry that the kernel wants: it maps `1 << level` base pages.
    level: u32,
    /// Of the mapping, if it can have a PUD.
    guard: Option<&'a ZapGuard>,
    _fault: PhantomData<&'a ()>,
}

impl<'a> Fault<'a> {
    /// # Safety
    ///
    /// The kernel must be handling that fault for the duration of `'a`.
    pub(super) unsafe fn new(vmf: NonNull<bindings::vm_fault>, level: u32) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            vmf,
            level,
            guard: None,
            _fault: PhantomData,
        }
    }

    /// The same in a mapping with that guard.
    pub(super) fn with_guard(self, guard: &'a ZapGuard) -> Self {
        let guard = Some(guard);
        // INVARIANT: It is the same fault.
        Self { guard, ..self }
    }

    /// The VMA.
    pub(super) fn vma(&self) -> *mut bindings::vm_area_struct {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf.as_ptr()).__bindgen_anon_1.vma }
    }

    /// The mapping; none without a VMA, which no fault is.
    pub(crate) fn mapping(&self) -> Option<Mapping<'a>> {
        let vma = NonNull::new(self.vma())?;
        // SAFETY: The kernel holds the VMA's lock, or the mmap lock, while it handles the fault.
        Some(unsafe { Mapping::new(vma) })
    }

    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: By the type invariant.
        unsafe { (*self.vmf.as_ptr()).flags }
    }

    /// Whether the page will be written to.
    pub(crate) fn is_write(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Whether a private mapping must have the page for itself: to write to it, or because somebody
    /// pins it to see what the mapping sees from now on (FAULT_FLAG_UNSHARE).
    pub(crate) fn wants_own(&self) -> bool {
        let wants = bindings::fault_flag_FAULT_FLAG_WRITE | bindings::fault_flag_FAULT_FLAG_UNSHARE;
        self.flags() & wants != 0
    }

    /// Whether somebody wants to write, or a page of its own, where the mapping does not let it
    /// (ptrace, FOLL_FORCE): no page that we could insert would do, and the caller would ask again
    /// and again.
    pub(crate) fn is_futile(&self) -> bool {
        self.wants_own() && !self.mapping().is_some_and(|mapping| mapping.is_writable())
    }

    /// The first byte of the huge page (`1 << order` base pages) around the address, in bytes from
    /// the start of the mapping; none if it is not all inside the mapping.
    fn offset(&self, order: u32) -> Option<usize> {
        let size = PAGE_SIZE << order;
        let mapping = self.mapping()?;
        // SAFETY: By the type invariant.
        let address = unsafe { (*self.vmf.as_ptr()).__bindgen_anon_1.address };
        let offset = (address & !(size - 1)).checked_sub(mapping.start())?;
        (offset.checked_add(size)? <= mapping.length()).then_some(offset)
    }

    /// The index of that byte in the file, in base pages; none if it is no multiple of the huge
    /// page's.
    pub(crate) fn base_index(&self, order: u32) -> Option<usize> {
        let offset = self.offset(order)?;
        let index = (offset >> PAGE_SHIFT).checked_add(self.mapping()?.base_page_offset())?;
        (index & ((1 << order) - 1) == 0).then_some(index)
    }

    /// The index in the file of the base page at the address.
    fn base_index_of_address(&self) -> Option<usize> {
        let mapping = self.mapping()?;
        // SAFETY: By the type invariant.
        let address = unsafe { (*self.vmf.as_ptr()).__bindgen_anon_1.address };
        let offset = address.checked_sub(mapping.start())?;
        (offset >> PAGE_SHIFT).checked_add(mapping.base_page_offset())
    }

    /// Whether it is handled under the VMA's own lock, not the mmap lock.
    pub(super) fn is_vma_locked(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_VMA_LOCK != 0
    }

    /// Takes the huge page around the address out of this mapping's page tables.
    pub(crate) fn zap(&self, order: u32) {
        if let (Some(mapping), Some(offset)) = (self.mapping(), self.offset(order)) {
            mapping.zap(offset, PAGE_SIZE << order);
        }
    }

    /// Maps `page` at the fault's address, writable if `writable` and the mapping is. Takes a
    /// reference for the page table. The place must be empty or hold the same page: under the fault
    /// lock of its index nobody else fills it.
    ///
    /// A 2 MiB page is mapped by a PMD whatever the kernel wants: there is one. A PUD is there only
    /// if the kernel asks for one; where it does not, as THP is off for the mapping, a 1 GiB page is
    /// mapped base page by base page.
    ///
    /// A broken page is not mapped.
    pub(crate) fn insert(&self, page: &impl Mappable, writable: bool) -> Outcome {
        if page.is_broken() {
            return Outcome::BROKEN;
        }
        let (vmf, folio) = (self.vmf.as_ptr(), page.folio());
        match (page.order(), self.level, self.guard) {
            (bindings::PMD_ORDER, _, _) => {
                // SAFETY: By the type invariant; the page is there while `page` is, of that size.
                Outcome(unsafe { bindings::vmf_insert_folio_pmd(vmf, folio, writable) })
            }
            (bindings::PUD_ORDER, bindings::PUD_ORDER, Some(guard)) => {
                guard.insert(|| self.insert_pud(folio, writable))
            }
            (order, 0, _) => self.hand_over(page, order),
            _ => Outcome::FALLBACK,
        }
    }

    /// Puts a 1 GiB entry in, under the guard.
    ///
    /// Another thread may put a table there, whose own look at the entry found one that is gone by now
    /// (`__handle_mm_fault`). `insert_pud` warns of that where the entry is to be writable, and else
    /// leaves it alone. So a new entry has the rights that the mapping gives all its entries; if that is
    /// too little, for a write that somebody wants to hear of (`vma_wants_writenotify`), the next fault
    /// finds it there, and it does not go while the guard is held.
    fn insert_pud(&self, folio: *mut bindings::folio, writable: bool) -> Outcome {
        const PRESENT: bindings::pudval_t = 1 << bindings::_PAGE_BIT_PRESENT;
        const LEAF: bindings::pudval_t = 1 << bindings::_PAGE_BIT_PSE;
        let vmf = self.vmf.as_ptr();
        // SAFETY: By the type invariant; at this level the kernel has found the entry, whose table
        // stays meanwhile. It may change as we read it.
        let entry = unsafe { (&raw const (*(*vmf).pud).pud).read_volatile() };
        if entry & LEAF == 0 && entry & PRESENT != 0 {
            return Outcome::AGAIN;
        }
        let writable = writable && entry & LEAF != 0;
        // SAFETY: By the type invariant; the folio is of that size, and there while the caller has it.
        Outcome(unsafe { bindings::vmf_insert_folio_pud(vmf, folio, writable) })
    }

    /// Lets the kernel map the base page at the fault's address. It does so when the fault lock is gone,
    /// so it gets the page locked: who wants it unmapped waits for that
    /// ([`FilePage::wait_for_hand_over`](super::page::FilePage::wait_for_hand_over)). Sleeps.
    fn hand_over(&self, page: &impl Mappable, order: u32) -> Outcome {
        let Some(base_index) = self.base_index_of_address() else {
            return Outcome::SIGBUS;
        };
        let head: *mut bindings::page = page.folio().cast();
        // SAFETY: The page has that many base pages, contiguous in the memory map.
        let base_page = unsafe { head.add(base_index & ((1 << order) - 1)) };
        // SAFETY: The memory map of the page stays with it.
        if unsafe { hwpoison::is_broken(base_page) } {
            // The kernel would take the page for one of the page cache that can be dropped.
            return Outcome::BROKEN;
        }
        page.lock();
        page.add_reference();
        // SAFETY: By the type invariant. The kernel takes over the reference, and the lock.
        unsafe { (*self.vmf.as_ptr()).page = base_page };
        Outcome::LOCKED
    }
}

/// What a fault handler answers.
pub(crate) struct Outcome(pub(super) bindings::vm_fault_t);

impl Outcome {
    /// No page to be had here: the task gets SIGBUS.
    pub(crate) const SIGBUS: Self = Self(bindings::vm_fault_reason_VM_FAULT_SIGBUS);

    /// The page there is broken: the task gets SIGBUS (BUS_MCEERR_AR).
    pub(crate) const BROKEN: Self = Self(bindings::vm_fault_reason_VM_FAULT_HWPOISON);

    /// Nothing was done: the access is to be tried again.
    pub(super) const AGAIN: Self = Self(bindings::vm_fault_reason_VM_FAULT_NOPAGE);

    /// The fault has a page for the kernel to map, which is locked.
    const LOCKED: Self = Self(bindings::vm_fault_reason_VM_FAULT_LOCKED);

    pub(super) const RETRY: Self = Self(bindings::vm_fault_reason_VM_FAULT_RETRY);

    pub(super) const FALLBACK: Self = Self(bindings::vm_fault_reason_VM_FAULT_FALLBACK);
}
