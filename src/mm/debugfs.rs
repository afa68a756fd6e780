// SPDX-License-Identifier: GPL-2.0

//! Files of debugfs that are read record by record (include/linux/debugfs.h, seq_file.h).
//!
//! Why not `kernel::debugfs`: it makes the whole text at once, and again in a larger buffer until it
//! fits; and its files have no owner, so that a module could go while one is open, and with it the
//! `file_operations` that the last close looks at.

use core::{marker::PhantomData, pin::Pin};

use kernel::{
    bindings,
    ffi::{c_int, c_void},
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::Arc,
};

/// What a file shows. Several may read at once.
pub(crate) trait Records: Send + Sync + 'static {
    /// How many there are just now.
    fn count(&self) -> usize;

    /// Writes the record of that index; nothing if there is none any more. Sleeps.
    fn show(&self, index: usize, out: &SeqFile) -> Result;
}

/// A folder at the root of debugfs, for as long as this lives; or nothing where debugfs is off.
pub(crate) struct Directory(*mut bindings::dentry);

// SAFETY: debugfs has locks of its own.
unsafe impl Send for Directory {}
// SAFETY: As above.
unsafe impl Sync for Directory {}

impl Directory {
    /// Sleeps.
    pub(crate) fn create(name: &CStr) -> Result<Arc<Self>> {
        // SAFETY: The name is copied; no parent is the root.
        let dentry =
            unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };
        Ok(Arc::new(Self(dentry), GFP_KERNEL)?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: debugfs takes back what it gave, an error pointer included.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// A file that root may read, for as long as this lives.
///
/// # Invariants
///
/// `dentry` is what debugfs made of `fops` and `records`.
#[pin_data(PinnedDrop)]
pub(crate) struct File<T: Records> {
    records: T,
    fops: bindings::file_operations,
    dentry: *mut bindings::dentry,
    _directory: Arc<Directory>,
}

// SAFETY: A file may be removed on another thread than the one that made it.
unsafe impl<T: Records> Send for File<T> {}
// SAFETY: Shared references only read.
unsafe impl<T: Records> Sync for File<T> {}

impl<T: Records> File<T> {
    /// A new file, which keeps `module` from being removed while it is open. Sleeps.
    pub(crate) fn create(
        directory: Arc<Directory>,
        name: &CStr,
        module: &'static ThisModule,
        records: T,
    ) -> Result<Pin<KBox<Self>>> {
        let parent = directory.0;
        KBox::pin_init(
            pin_init!(&this in Self {
                records,
                fops: bindings::file_operations {
                    owner: module.as_ptr(),
                    open: Some(Sequence::<T>::open),
                    read: Some(bindings::seq_read),
                    llseek: Some(bindings::seq_lseek),
                    release: Some(bindings::seq_release),
                    ..pin_init::zeroed()
                },
                _directory: directory,
                // SAFETY: Both fields were initialised above and stay where they are until `drop`
                // has removed the file. The name is copied; debugfs takes an error pointer as
                // parent.
                dentry: unsafe {
                    bindings::debugfs_create_file_full(
                        name.as_char_ptr(),
                        0o400,
                        parent,
                        (&raw mut (*this.as_ptr()).records).cast(),
                        core::ptr::null(),
                        &raw const (*this.as_ptr()).fops,
                    )
                },
            }),
            GFP_KERNEL,
        )
    }
}

#[pinned_drop]
impl<T: Records> PinnedDrop for File<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. Waits for calls under way.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

/// The C side of a file: `seq_operations` whose positions are the records' indices.
struct Sequence<T>(PhantomData<T>);

impl<T: Records> Sequence<T> {
    const OPERATIONS: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start),
        stop: Some(Self::stop),
        next: Some(Self::next),
        show: Some(Self::show),
    };

    /// # Safety
    ///
    /// To be called by debugfs to open a file of ours.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: debugfs keeps the file in place meanwhile; `seq_open` leaves a `seq_file`.
        unsafe {
            let status = bindings::seq_open(file, &Self::OPERATIONS);
            if status == 0 {
                let seq = (*file).private_data.cast::<bindings::seq_file>();
                (*seq).private = (*inode).i_private;
            }
            status
        }
    }

    /// # Safety
    ///
    /// `seq` must be of an open file of ours, which debugfs keeps in place for `'a`.
    unsafe fn records<'a>(seq: *mut bindings::seq_file) -> &'a T {
        // SAFETY: `open` put it there.
        unsafe { &*(*seq).private.cast::<T>() }
    }

    /// The position, as the token that stands for its record; null past the end.
    ///
    /// # Safety
    ///
    /// As for the callbacks.
    unsafe fn token(seq: *mut bindings::seq_file, position: *mut bindings::loff_t) -> *mut c_void {
        // SAFETY: By the caller's promise.
        let (records, index) = unsafe { (Self::records(seq), *position) };
        match usize::try_from(index) {
            Ok(index) if index < records.count() => position.cast(),
            _ => core::ptr::null_mut(),
        }
    }

    /// # Safety
    ///
    /// To be called by seq_file for an open file of ours.
    unsafe extern "C" fn start(
        seq: *mut bindings::seq_file,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise.
        unsafe { Self::token(seq, position) }
    }

    /// # Safety
    ///
    /// To be called by seq_file for an open file of ours.
    unsafe extern "C" fn next(
        seq: *mut bindings::seq_file,
        _: *mut c_void,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise.
        unsafe {
            *position += 1;
            Self::token(seq, position)
        }
    }

    /// # Safety
    ///
    /// To be called by seq_file for an open file of ours.
    unsafe extern "C" fn stop(_: *mut bindings::seq_file, _: *mut c_void) {}

    /// # Safety
    ///
    /// To be called by seq_file for an open file of ours, with a token of [`Self::token`].
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, token: *mut c_void) -> c_int {
        // SAFETY: By the caller's promise; nobody else uses the `seq_file` meanwhile.
        let (records, index, out) = unsafe {
            (
                Self::records(seq),
                *token.cast::<bindings::loff_t>(),
                SeqFile::from_raw(seq),
            )
        };
        match records.show(usize::try_from(index).unwrap_or(usize::MAX), out) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }
}
