// SPDX-License-Identifier: GPL-2.0

//! The internal inodes that host the mappings of huge files.
//!
//! Each huge file has an inode of its own, whichever front (device node or other) it was opened
//! through: `unmap_mapping_pages` on it reaches the mappings of that file only, and a shared futex
//! in a page is told apart by it. It is a character device's, as drivers/dax/device.c does: DAX
//! treats regular files as files of a filesystem. They live in a pseudo filesystem that cannot be
//! mounted (fs/libfs.c; compare fs/anon_inodes.c).

use core::{cell::UnsafeCell, ops::Range, ptr::NonNull};

use kernel::{
    bindings, c_str, container_of,
    error::{from_err_ptr, to_result, Result},
    ffi::{c_int, c_ulong, c_void},
    page::PAGE_SHIFT,
    prelude::*,
    sync::Arc,
};

use super::memory_map::Place;

/// "RHTL", for statfs; nobody else uses it.
const MAGIC: c_ulong = 0x5248_544c;

/// What `mapping_gfp_mask` says of pages that nobody ever allocates for these mappings: that they must
/// lie in the lowest zone. That makes `vma_migratable` false, and NUMA balancing leaves the mappings
/// alone, as it does hugetlb's: its hints would cost faults, and the pages cannot move.
const NOT_MIGRATABLE: bindings::gfp_t = bindings::GFP_KERNEL | 1 << bindings::___GFP_DMA_BIT;

/// The least and the largest order of a mapping's folios: madvise (MADV_COLD, MADV_PAGEOUT) of a part
/// would split a page if it could, and warns where it cannot because that is too large.
fn whole_pages(order: u32) -> c_ulong {
    let (least, largest) = (
        bindings::mapping_flags_AS_FOLIO_ORDER_MIN,
        bindings::mapping_flags_AS_FOLIO_ORDER_MAX,
    );
    let order = order as c_ulong;
    order << least | order << largest
}

extern "C" {
    /// fs/libfs.c; include/linux/pseudo_fs.h is not among the headers that bindings are made of.
    fn init_pseudo(fc: *mut bindings::fs_context, magic: c_ulong) -> *mut c_void;
}

/// # Safety
///
/// To be called by the VFS with a new context only.
unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> c_int {
    // SAFETY: The VFS passes a valid context.
    if unsafe { init_pseudo(fc, MAGIC) }.is_null() {
        ENOMEM.to_errno()
    } else {
        0
    }
}

struct FsType(UnsafeCell<bindings::file_system_type>);

// SAFETY: Only the VFS uses it, under its locks.
unsafe impl Sync for FsType {}

/// Static, as lockdep takes the lock classes in it for those of the superblock. Without `owner`:
/// the mount would hold a reference to the module and rmmod be refused for ever.
static FS_TYPE: FsType = FsType(UnsafeCell::new(bindings::file_system_type {
    name: kernel::str::as_char_ptr_in_const_context(c_str!("rust_hugetlb")),
    init_fs_context: Some(init_fs_context),
    kill_sb: Some(bindings::kill_anon_super),
    ..pin_init::zeroed()
}));

/// The pseudo filesystem, mounted for as long as this lives.
///
/// # Invariants
///
/// Points to a mount made by `kern_mount`.
pub(crate) struct PseudoFs(NonNull<bindings::vfsmount>);

// SAFETY: A mount belongs to no thread.
unsafe impl Send for PseudoFs {}
// SAFETY: Shared references only read `mnt_sb`, which does not change.
unsafe impl Sync for PseudoFs {}

impl PseudoFs {
    /// Mounts it. At most one may exist at a time. Sleeps.
    pub(crate) fn mount() -> Result<Self> {
        // SAFETY: The type is complete and static.
        let mount = from_err_ptr(unsafe { bindings::kern_mount(FS_TYPE.0.get()) })?;
        // INVARIANT: It is not an error, so it is a mount.
        NonNull::new(mount).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for PseudoFs {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; each host holds an `Arc` of us, so no inode is left.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}

/// One internal inode.
///
/// # Invariants
///
/// Owns a reference to an inode of `_fs`.
pub(crate) struct Host {
    inode: NonNull<bindings::inode>,
    _fs: Arc<PseudoFs>,
}

// SAFETY: A reference to an inode belongs to no thread.
unsafe impl Send for Host {}
// SAFETY: Shared references only read `i_mapping`, which does not change.
unsafe impl Sync for Host {}

impl Host {
    /// A new inode without pages, for those of `1 << order` base pages. The kernel asks for entries
    /// larger than 2 MiB in DAX mappings only. Sleeps.
    pub(crate) fn new(fs: Arc<PseudoFs>, order: u32) -> Result<Self> {
        // SAFETY: By `PseudoFs`'s invariant.
        let inode = from_err_ptr(unsafe { bindings::alloc_anon_inode((*fs.0.as_ptr()).mnt_sb) })?;
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: Nobody else knows the inode yet.
        unsafe {
            (*inode.as_ptr()).i_mode |= bindings::S_IFCHR as bindings::umode_t;
            if order > bindings::PMD_ORDER {
                (*inode.as_ptr()).i_flags |= bindings::S_DAX;
            }
            let mapping = &mut *(*inode.as_ptr()).i_mapping;
            mapping.gfp_mask = NOT_MIGRATABLE;
            mapping.flags |= whole_pages(order);
        }
        // INVARIANT: alloc_anon_inode returned a reference, which is ours.
        Ok(Self { inode, _fs: fs })
    }

    /// Whether the current task may make a file of `bytes` bytes: EFBIG, and SIGXFSZ for it, past its
    /// RLIMIT_FSIZE.
    pub(crate) fn check_size(&self, bytes: u64) -> Result {
        let bytes = i64::try_from(bytes).map_err(|_| EFBIG)?;
        // SAFETY: By the type invariant. The inode's own size stays 0.
        to_result(unsafe { bindings::inode_newsize_ok(self.inode.as_ptr(), bytes) })
    }

    /// Takes a range of the file, in base pages, out of all page tables, private copies included.
    /// `count` 0: to the end. Sleeps.
    pub(crate) fn unmap(&self, base_index: usize, count: usize) {
        // SAFETY: By the type invariant the mapping is valid. (`pgoff_t`s that wrap, as with no
        // `count`, mean the end: `unmap_mapping_pages`.)
        unsafe { bindings::unmap_mapping_pages(self.mapping(), base_index, count, true) };
    }

    /// Shows `each` the VMAs of the file that have a part of `range`, in base pages, in the order in
    /// which hugetlb looks at its own (`mapping_rmap_tree_foreach`). They are linked and their ranges
    /// do not change meanwhile; `each` may not sleep for memory, as reclaim takes such locks.
    pub(super) fn each_vma(
        &self,
        range: Range<usize>,
        mut each: impl FnMut(*const bindings::vm_area_struct),
    ) {
        let mapping = self.mapping();
        // SAFETY: By the type invariant the mapping is valid. Under the lock, nobody changes the tree
        // of its VMAs, whose nodes are parts of them.
        unsafe {
            bindings::down_read(&raw mut (*mapping).i_mmap_rwsem);
            let mut node = (*mapping).i_mmap.rb_leftmost;
            while !node.is_null() {
                let vma = container_of!(node, bindings::vm_area_struct, shared.rb).cast_const();
                // By their starts.
                let first = (*vma).vm_pgoff;
                if first >= range.end {
                    break;
                }
                if first.saturating_add(pages_of(vma)) > range.start {
                    each(vma);
                }
                node = bindings::rb_next(node);
            }
            bindings::up_read(&raw mut (*mapping).i_mmap_rwsem);
        }
    }

    /// Whether a place is in this file.
    pub(crate) fn has(&self, place: &Place) -> bool {
        self.mapping().addr() == place.mapping
    }

    /// What `file->f_mapping` and `folio->mapping` point to.
    pub(super) fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariant.
        unsafe { (*self.inode.as_ptr()).i_mapping }
    }
}

/// The length of a VMA, in base pages.
///
/// # Safety
///
/// The VMA must be valid and its range may not change.
pub(super) unsafe fn pages_of(vma: *const bindings::vm_area_struct) -> usize {
    // SAFETY: By the caller's promise; the union has no other user in a VMA that is in use.
    let range = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1 };
    range.vm_end.saturating_sub(range.vm_start) >> PAGE_SHIFT
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::iput(self.inode.as_ptr()) };
    }
}
