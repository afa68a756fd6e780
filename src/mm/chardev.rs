// SPDX-License-Identifier: GPL-2.0

//! Character devices whose opens are files that can be mapped huge.
//!
//! `kernel::miscdevice` has no `get_unmapped_area`, no way to set `vm_ops` and no say in
//! `f_mapping`; this is the same with these three (rust/kernel/miscdevice.rs is where they belong).

use core::{marker::PhantomData, pin::Pin};

use kernel::{
    bindings, container_of,
    error::{to_result, Error, Result},
    ffi::{c_int, c_long, c_uint, c_ulong},
    fs::{
        file::flags::{O_ACCMODE, O_RDONLY},
        File,
    },
    mm::virt::VmaNew,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Acquire, Atomic, Release},
        Arc,
    },
    types::Opaque,
};

use super::{
    fault::{Fault, Outcome},
    host::Host,
    ioctl::{self, Request},
    vm_ops::{self, Opened, PrivateMapping},
    vma::{AreaSearch, Mapping, NewMapping},
};

/// What an open of a device becomes: a file that can be mapped.
pub(crate) trait MappedFile: Send + Sync + Sized + 'static {
    /// What a device node stands for, from which its files are made.
    type Device: Send + Sync + 'static;

    /// What a private mapping keeps of its own.
    type Private: PrivateMapping + 'static;

    /// A new file. Sleeps.
    fn open(device: &Self::Device) -> Result<Arc<Self>>;

    /// Its last descriptor and its last mapping are gone. Sleeps.
    fn release(&self);

    /// The inode that hosts the file's mappings.
    fn host(&self) -> &Host;

    /// The size of its pages, in bytes: a power of two.
    fn page_bytes(&self) -> usize;

    /// Finds a place for a mapping. Under the mmap write lock.
    fn find_area(&self, search: &AreaSearch) -> Result<usize>;

    /// Lets this mapping be made, or not; with what it keeps, if it is a private one. Under the mmap
    /// write lock; sleeps.
    fn map(&self, mapping: &NewMapping<'_>) -> Result<Option<Arc<Self::Private>>>;

    /// Handles a fault in a shared mapping. Under the VMA's or the mmap lock; sleeps.
    fn fault(&self, fault: &Fault<'_>) -> Outcome;

    /// Handles a fault in a private mapping. Under the VMA's or the mmap lock; sleeps.
    fn fault_private(&self, fault: &Fault<'_>, private: &Self::Private) -> Outcome;

    /// A forked task gets `copy`, one VMA of `parent`, which is in the parent's page tables no more.
    /// None: all its faults shall fail. Under both mmap write locks; sleeps.
    fn fork(&self, parent: &Self::Private, copy: Mapping<'_>) -> Option<Arc<Self::Private>>;

    /// A private mapping has one more VMA. Under the mmap write lock; sleeps.
    fn opened(&self, private: &Self::Private, mapping: Mapping<'_>, opened: Opened);

    /// A private mapping has one VMA less, which is in no page tables any more. Sleeps.
    fn closed(&self, private: &Self::Private, mapping: Mapping<'_>);

    /// Does what an ioctl asks for. Sleeps.
    fn ioctl(&self, request: Request) -> Result<ioctl::Reply>;
}

/// A registered misc device; its node appears in /dev with mode 0600.
///
/// # Invariants
///
/// `misc` is registered from initialisation to drop.
#[pin_data(PinnedDrop)]
pub(crate) struct CharDevice<T: MappedFile> {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    fops: bindings::file_operations,
    /// Nobody may open the device before the whole module is set up: should a later step fail,
    /// nothing would keep the module in memory for that file.
    live: Atomic<bool>,
    device: T::Device,
}

// SAFETY: It may be unregistered on another thread than the one that registered it.
unsafe impl<T: MappedFile> Send for CharDevice<T> {}
// SAFETY: Shared references only read.
unsafe impl<T: MappedFile> Sync for CharDevice<T> {}

impl<T: MappedFile> CharDevice<T> {
    /// Registers a device of that name. Opens fail with EAGAIN until [`Self::go_live`]. Sleeps.
    pub(crate) fn register(
        name: &'static CStr,
        module: &'static ThisModule,
        device: T::Device,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(&this in Self {
                fops: FileOperations::<T>::table(module),
                live: Atomic::new(false),
                device,
                // INVARIANT: Last, so that a device that cannot be registered is never dropped.
                misc <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                    // SAFETY: The slot may be written to, and `fops` was initialised above; both
                    // stay where they are.
                    to_result(unsafe {
                        slot.write(bindings::miscdevice {
                            minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                            name: name.as_char_ptr(),
                            fops: &raw const (*this.as_ptr()).fops,
                            ..pin_init::zeroed()
                        });
                        bindings::misc_register(slot)
                    })
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Lets users in.
    pub(crate) fn go_live(&self) {
        self.live.store(true, Release);
    }
}

#[pinned_drop]
impl<T: MappedFile> PinnedDrop for CharDevice<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// The `file_operations` of files of `T`.
///
/// `private_data` of such a file is an `Arc<T>`'s pointer from a successful open to the release.
struct FileOperations<T>(PhantomData<T>);

impl<T: MappedFile> FileOperations<T> {
    fn table(module: &'static ThisModule) -> bindings::file_operations {
        bindings::file_operations {
            owner: module.as_ptr(),
            open: Some(Self::open),
            release: Some(Self::release),
            llseek: Some(bindings::noop_llseek),
            // For msync; there is nothing to write out.
            fsync: Some(bindings::noop_fsync),
            get_unmapped_area: Some(Self::get_unmapped_area),
            mmap: Some(Self::mmap),
            unlocked_ioctl: Some(Self::ioctl),
            compat_ioctl: bindings::compat_ptr_ioctl,
            ..pin_init::zeroed()
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of ours, and stay open for `'a`.
    unsafe fn file<'a>(file: *mut bindings::file) -> &'a T {
        // SAFETY: `open` put it there.
        unsafe { &*(*file).private_data.cast::<T>() }
    }

    /// # Safety
    ///
    /// To be called by the VFS to open one of our devices.
    unsafe extern "C" fn open(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: misc_open put our `miscdevice` there, and keeps it registered meanwhile.
        let device = unsafe {
            let misc: *mut Opaque<bindings::miscdevice> = (*file).private_data.cast();
            &*container_of!(misc, CharDevice<T>, misc)
        };
        if !device.live.load(Acquire) {
            return EAGAIN.to_errno();
        }
        match T::open(&device.device) {
            Ok(opened) => {
                // SAFETY: The file is being opened, so nobody else looks at it; the host lives as
                // long as `opened`, that is until the release.
                unsafe {
                    (*file).f_mapping = opened.host().mapping();
                    (*file).private_data = Arc::into_raw(opened).cast_mut().cast();
                }
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by the VFS at the end of an open file of ours.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` put it there, and this is the end of the file: each mapping of it held a
        // reference to it.
        let released = unsafe { Arc::from_raw((*file).private_data.cast::<T>()) };
        released.release();
        0
    }

    /// # Safety
    ///
    /// To be called by the kernel for an open file of ours, with the mmap write lock held.
    unsafe extern "C" fn get_unmapped_area(
        file: *mut bindings::file,
        hint: c_ulong,
        length: c_ulong,
        base_page_offset: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        // SAFETY: The kernel calls this for an open file, with the mmap write lock held.
        let (this, search) = unsafe {
            (
                Self::file(file),
                AreaSearch::new(file, hint, length, base_page_offset, flags),
            )
        };
        this.find_area(&search)
            .unwrap_or_else(|err: Error| err.to_errno() as c_ulong)
    }

    /// # Safety
    ///
    /// To be called by the kernel for an open file of ours and a VMA of it being set up.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The kernel calls this for an open file and a VMA being set up.
        let (this, vma) = unsafe { (Self::file(file), VmaNew::from_raw(vma)) };
        let mapping = NewMapping::new(vma);
        match vm_ops::install(&mapping, this) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by the VFS for an open file of ours.
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: The VFS calls this for an open file.
        let (this, flags) = unsafe { (Self::file(file), File::from_raw_file(file).flags()) };
        let writable = flags & O_ACCMODE != O_RDONLY;
        match ioctl::serve(command, argument, writable, |request| this.ioctl(request)) {
            Ok(()) => 0,
            Err(err) => err.to_errno() as c_long,
        }
    }
}
