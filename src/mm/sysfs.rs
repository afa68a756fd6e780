// SPDX-License-Identifier: GPL-2.0

//! Folders and files of sysfs (include/linux/sysfs.h, include/linux/kobject.h).
//!
//! Safe wrappers of what lib/kobject.c and fs/sysfs/file.c offer, as far as it is needed here
//! (they belong in a rust/kernel/kobject.rs). A file is gone before its memory is: removal waits
//! for readers and writers inside.

use core::{fmt, pin::Pin, ptr::NonNull};

use kernel::{
    bindings, container_of,
    error::{to_result, Error, Result},
    ffi::{c_char, c_uint, CStr},
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    types::Opaque,
};

/// A folder, with the files and folders in it, for as long as this lives.
///
/// # Invariants
///
/// Owns a reference to a kobject that is in sysfs.
pub(crate) struct Directory {
    kobj: NonNull<bindings::kobject>,
    _parent: Option<Arc<Directory>>,
}

// SAFETY: A reference to a kobject belongs to no thread.
unsafe impl Send for Directory {}
// SAFETY: sysfs has locks of its own.
unsafe impl Sync for Directory {}

impl Directory {
    /// A new folder in `parent`, or in /sys/kernel. Sleeps.
    pub(crate) fn create(parent: Option<Arc<Self>>, name: &CStr) -> Result<Arc<Self>> {
        let above = match &parent {
            Some(parent) => parent.kobj.as_ptr(),
            // SAFETY: Set once at boot.
            None => unsafe { bindings::kernel_kobj },
        };
        // SAFETY: Both are valid; the name is copied.
        let kobj = unsafe { bindings::kobject_create_and_add(name.as_char_ptr(), above) };
        let this = Self {
            kobj: NonNull::new(kobj).ok_or(ENOMEM)?,
            _parent: parent,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. The folder goes now, whoever else has a reference to the
        // kobject and for how long: the module may be loaded again at once.
        unsafe {
            bindings::kobject_del(self.kobj.as_ptr());
            bindings::kobject_put(self.kobj.as_ptr());
        }
    }
}

/// What a file shows and takes. Both may sleep; several may run at once.
pub(crate) trait Attribute: Send + Sync + 'static {
    /// Writes what a reader sees, at most a page. It fails if a signal came meanwhile: EINTR.
    fn show(&self, out: &mut Output<'_>) -> fmt::Result;

    /// Acts on what was written.
    fn store(&self, input: &Input<'_>) -> Result;
}

/// Where [`Attribute::show`] writes.
pub(crate) struct Output<'a> {
    page: &'a mut [u8],
    length: usize,
}

impl Output<'_> {
    /// How many bytes still fit.
    pub(crate) fn room(&self) -> usize {
        self.page.len() - self.length
    }
}

impl fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).ok_or(fmt::Error)?;
        self.page
            .get_mut(self.length..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// What was written to a file.
///
/// # Invariants
///
/// Points to a string with a NUL at its end.
pub(crate) struct Input<'a>(&'a c_char);

impl Input<'_> {
    /// Whether it is that word, with or without an end of the line (`sysfs_streq`).
    pub(crate) fn is(&self, word: &CStr) -> bool {
        // SAFETY: By the type invariant; both end with a NUL.
        unsafe { bindings::sysfs_streq(self.0, word.as_char_ptr()) }
    }

    /// As an `unsigned long`: `kstrtoul` to a base. EINVAL and ERANGE as it says.
    pub(crate) fn parse(&self, base: u32) -> Result<usize> {
        let mut value: u64 = 0;
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::kstrtoull(self.0, base as c_uint, &mut value) })?;
        usize::try_from(value).map_err(|_| ERANGE)
    }

    /// As a number of bytes, with a letter behind it if need be: `memparse`. Whatever is no number
    /// is 0, and whatever follows one is ignored.
    pub(crate) fn parse_bytes(&self) -> usize {
        // SAFETY: By the type invariant; nobody asks where the number ended.
        let bytes = unsafe { bindings::memparse(self.0, core::ptr::null_mut()) };
        bytes as usize
    }
}

/// `struct kobj_attribute`, whose callbacks the bindings of some kernels wrap in unions.
#[repr(C)]
struct KobjAttribute {
    attr: bindings::attribute,
    show: Option<
        unsafe extern "C" fn(*mut bindings::kobject, *mut KobjAttribute, *mut c_char) -> isize,
    >,
    store: Option<
        unsafe extern "C" fn(
            *mut bindings::kobject,
            *mut KobjAttribute,
            *const c_char,
            usize,
        ) -> isize,
    >,
}

static_assert!(size_of::<KobjAttribute>() == size_of::<bindings::kobj_attribute>());

/// A file in a folder, for as long as this lives.
///
/// # Invariants
///
/// `attr` is a file of `directory` from initialisation to drop.
#[pin_data(PinnedDrop)]
pub(crate) struct File<T: Attribute> {
    #[pin]
    attr: Opaque<KobjAttribute>,
    directory: Arc<Directory>,
    attribute: T,
}

// SAFETY: It may be removed on another thread than the one that made it.
unsafe impl<T: Attribute> Send for File<T> {}
// SAFETY: Shared references only read.
unsafe impl<T: Attribute> Sync for File<T> {}

impl<T: Attribute> File<T> {
    /// A new file of that mode. Without the modes' write bits it has no `store`, without the read
    /// bits no `show`. Sleeps.
    pub(crate) fn create(
        directory: Arc<Directory>,
        name: &'static CStr,
        mode: u16,
        attribute: T,
    ) -> Result<Pin<KBox<Self>>> {
        let kobj = directory.kobj.as_ptr();
        KBox::try_pin_init(
            try_pin_init!(Self {
                directory,
                attribute,
                // INVARIANT: Last, so that a file that could not be made is never dropped.
                attr <- Opaque::try_ffi_init(|slot: *mut KobjAttribute| {
                    // SAFETY: The slot may be written to and stays where it is; the folder is there.
                    to_result(unsafe {
                        slot.write(KobjAttribute {
                            attr: Self::attribute(name, mode),
                            show: (mode & 0o444 != 0).then_some(Self::show),
                            store: (mode & 0o222 != 0).then_some(Self::store),
                        });
                        let list = [&raw const (*slot).attr, core::ptr::null()];
                        bindings::sysfs_create_files(kobj, list.as_ptr())
                    })
                }),
            }),
            GFP_KERNEL,
        )
    }

    fn attribute(name: &'static CStr, mode: u16) -> bindings::attribute {
        let mut attr: bindings::attribute = pin_init::zeroed();
        attr.name = name.as_char_ptr();
        attr.mode = mode;
        // Attributes in dynamic memory need a lock class in static memory.
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        {
            attr.key = kernel::static_lock_class!().as_ptr();
        }
        attr
    }

    /// # Safety
    ///
    /// `attr` must be of a `File<T>` that stays for `'a`.
    unsafe fn of<'a>(attr: *mut KobjAttribute) -> &'a Self {
        let attr: *mut Opaque<KobjAttribute> = attr.cast();
        // SAFETY: By the caller's promise.
        unsafe { &*container_of!(attr, Self, attr) }
    }

    /// # Safety
    ///
    /// To be called by sysfs for a file of this type, with a page to write to.
    unsafe extern "C" fn show(
        _: *mut bindings::kobject,
        attr: *mut KobjAttribute,
        buffer: *mut c_char,
    ) -> isize {
        // SAFETY: sysfs keeps the file while we are in here, and gives us a page for the text.
        let (this, page) = unsafe {
            (
                Self::of(attr),
                core::slice::from_raw_parts_mut(buffer.cast(), PAGE_SIZE),
            )
        };
        let mut out = Output { page, length: 0 };
        match this.attribute.show(&mut out) {
            Ok(()) => out.length as isize,
            Err(fmt::Error) if current!().signal_pending() => EINTR.to_errno() as isize,
            Err(fmt::Error) => EIO.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// To be called by sysfs for a file of this type, with a NUL behind what was written.
    unsafe extern "C" fn store(
        _: *mut bindings::kobject,
        attr: *mut KobjAttribute,
        buffer: *const c_char,
        length: usize,
    ) -> isize {
        // SAFETY: sysfs keeps the file while we are in here. INVARIANT: It puts a NUL behind what
        // was written.
        let (this, input) = unsafe { (Self::of(attr), Input(&*buffer)) };
        match this.attribute.store(&input) {
            Ok(()) => length as isize,
            Err(err) => Error::to_errno(err) as isize,
        }
    }
}

#[pinned_drop]
impl<T: Attribute> PinnedDrop for File<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. Waits for readers and writers inside.
        unsafe {
            let list = [&raw const (*self.attr.get()).attr, core::ptr::null()];
            bindings::sysfs_remove_files(self.directory.kobj.as_ptr(), list.as_ptr());
        }
    }
}
