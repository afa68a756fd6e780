// SPDX-License-Identifier: GPL-2.0 OR MIT

//! [`HugeMapping`]: a huge file mapped, and the descriptor it can be shared by.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::{fmt, io, ptr, slice};

use crate::{words, Error, HugeFile, DEVICE_2M, HUGE_PAGE_SIZE};

/// A number of 2 MiB pages of one huge file, mapped readable and writable; shared, unless it was made
/// private.
///
/// A private mapping begins with what is in the file and has a page of its own as soon as it writes
/// there, which no other mapping sees. After a fork both processes have what was written before, and
/// neither sees what the other one writes then.
///
/// Dropping it unmaps the pages and closes the descriptor; the pages return to the pool when no
/// process maps the file or holds a descriptor of it any more.
///
/// # Invariants
///
/// `base` is the start of a mapping of `bytes` bytes, readable and writable, aligned to a page and
/// never 0 bytes long, that this value alone unmaps.
pub struct HugeMapping {
    file: HugeFile,
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: By the invariant the memory belongs to the process, not to a thread, until the drop.
unsafe impl Send for HugeMapping {}
// SAFETY: A shared reference gives safe code only atomic accesses.
unsafe impl Sync for HugeMapping {}

impl HugeMapping {
    /// Opens [`DEVICE_2M`], a new and empty huge file, and maps `pages` pages of it, reserved in the
    /// pool.
    pub fn new(pages: usize) -> Result<Self, Error> {
        Self::open(DEVICE_2M, pages)
    }

    /// Opens [`DEVICE_2M`] and maps `pages` pages, none of them reserved: the pool may have fewer.
    ///
    /// A touch of a page that the pool does not have then is a `SIGBUS`;
    /// [`populate`](Self::populate) is how to find out.
    pub fn new_unreserved(pages: usize) -> Result<Self, Error> {
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        Self::map(HugeFile::new()?, pages, flags)
    }

    /// Opens [`DEVICE_2M`] and maps `pages` pages private, reserved in the pool: memory of this process
    /// that a forked one gets as a copy.
    ///
    /// Where the pool has no page for a copy, this process takes its page away from the forked one,
    /// for which touching it is a `SIGBUS` from then on.
    pub fn new_private(pages: usize) -> Result<Self, Error> {
        Self::map(HugeFile::new()?, pages, libc::MAP_PRIVATE)
    }

    /// Opens the device node `path`, of 2 MiB pages, a new and empty huge file, and maps `pages` pages
    /// of it, reserved in the pool.
    pub fn open(path: impl AsRef<Path>, pages: usize) -> Result<Self, Error> {
        Self::map(HugeFile::open(path)?, pages, libc::MAP_SHARED)
    }

    /// Maps the first `pages` pages of the huge file behind `file`, which another process passed
    /// or a parent left open. Those that nobody reserved or touched yet are reserved now.
    pub fn from_fd(file: OwnedFd, pages: usize) -> Result<Self, Error> {
        Self::map(file.into(), pages, libc::MAP_SHARED)
    }

    /// Maps the first `pages` pages of the huge file behind `file` private: what is in the file to
    /// begin with, and pages of its own, reserved in the pool, for what it writes.
    pub fn from_fd_private(file: OwnedFd, pages: usize) -> Result<Self, Error> {
        Self::map(file.into(), pages, libc::MAP_PRIVATE)
    }

    fn map(file: HugeFile, pages: usize, flags: libc::c_int) -> Result<Self, Error> {
        let action = || format!("map {pages} pages");
        let bytes = pages
            .checked_mul(HUGE_PAGE_SIZE)
            .ok_or_else(|| Error::new(action(), libc::ENOMEM, "ask for fewer pages"))?;
        // SAFETY: Without MAP_FIXED and with no address asked for, no existing memory changes.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                file.as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last(action(), map_remedy));
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| {
            Error::new(
                action(),
                libc::EINVAL,
                "the kernel chose address 0: set vm.mmap_min_addr",
            )
        })?;
        // INVARIANT: mmap succeeded for these bytes (never 0: it refuses that), and nobody else
        // knows the address.
        Ok(Self { file, base, bytes })
    }

    /// Takes every page that is not there yet from the pool, now.
    ///
    /// Where the pool has too few, this is an error (`EFAULT`), while touching the page would be a
    /// `SIGBUS`. Pages it did get stay with the file.
    pub fn populate(&self) -> Result<(), Error> {
        // SAFETY: By the invariant the range is this mapping; populating keeps its content.
        let result = unsafe {
            libc::madvise(
                self.base.as_ptr().cast(),
                self.bytes,
                libc::MADV_POPULATE_WRITE,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(Error::last(
                format!("populate {} pages", self.pages()),
                populate_remedy,
            )),
        }
    }

    /// Copies bytes from `offset` out into `into`.
    ///
    /// Bytes that others write meanwhile may arrive in part.
    ///
    /// # Panics
    ///
    /// When the range does not lie inside the mapping.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) {
        words::read(self, offset, into);
    }

    /// Copies `from` in, to `offset`.
    ///
    /// # Panics
    ///
    /// When the range does not lie inside the mapping.
    pub fn write_at(&self, offset: usize, from: &[u8]) {
        words::write(self, offset, from);
    }

    /// The huge file that is mapped: its size, holes, pages taken beforehand.
    ///
    /// Where it is made smaller, touching the mapping is a `SIGBUS`.
    pub fn file(&self) -> &HugeFile {
        &self.file
    }

    /// The number of pages mapped.
    pub fn pages(&self) -> usize {
        self.bytes / HUGE_PAGE_SIZE
    }

    /// The number of bytes mapped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first byte. Valid for [`bytes`](Self::bytes) bytes until the drop; others may change
    /// what is there at any moment.
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The content as plain bytes.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody writes to the mapped pages: no other process that has the
    /// descriptor or was forked with the mapping, no other mapping of the file in this process,
    /// and no other thread through this one.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: By the invariant the bytes are there, and by the caller's promise they stay.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.bytes) }
    }

    /// The content as plain bytes to write to.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else reads or writes the mapped pages: no other process that
    /// has the descriptor or was forked with the mapping, and no other mapping of the file in this
    /// process.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: By the invariant the bytes are there, and by the caller's promise and the
        // exclusive reference nobody else uses them.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.bytes) }
    }

    /// Another descriptor of the same huge file, to send over a socket or to map again.
    ///
    /// It is closed on exec; [`share_with`](Self::share_with) is the way into a child program.
    pub fn share(&self) -> Result<OwnedFd, Error> {
        self.file
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::from_io("duplicate the descriptor", &error, share_remedy))
    }

    /// Lets the program that `command` will start inherit a descriptor of the huge file, and
    /// returns the number it has there. The child maps it with [`from_fd`](Self::from_fd).
    pub fn share_with(&self, command: &mut Command) -> Result<RawFd, Error> {
        let file = self.share()?;
        let number = file.as_raw_fd();
        let inherit = move || {
            // SAFETY: fcntl touches no memory of ours; the closure keeps the descriptor open.
            match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        };
        // SAFETY: Between fork and exec the closure only calls fcntl, which may be called there.
        unsafe { command.pre_exec(inherit) };
        Ok(number)
    }

    /// Takes over the descriptor `number` that a parent left open for this program, and maps
    /// `pages` pages of its huge file.
    ///
    /// # Safety
    ///
    /// Nothing else in this process owns the descriptor `number`.
    pub unsafe fn from_inherited(number: RawFd, pages: usize) -> Result<Self, Error> {
        // SAFETY: fcntl may be asked about any number.
        if number < 0 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            return Err(Error::new(
                format!("take over descriptor {number}"),
                libc::EBADF,
                "pass the number that the parent left open",
            ));
        }
        // SAFETY: It is open, not negative, and by the caller's promise nobody else's.
        Self::from_fd(unsafe { OwnedFd::from_raw_fd(number) }, pages)
    }
}

impl Deref for HugeMapping {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: By the invariant the words are there and aligned, for as long as `self` is
        // borrowed; an atomic may change under a shared reference, and all of its bit patterns
        // are valid.
        unsafe { slice::from_raw_parts(self.base.as_ptr().cast(), self.bytes / 8) }
    }
}

impl AsFd for HugeMapping {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for HugeMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HugeMapping")
            .field("file", &self.file)
            .field("base", &self.base)
            .field("pages", &self.pages())
            .finish()
    }
}

impl Drop for HugeMapping {
    fn drop(&mut self) {
        // SAFETY: By the invariant the range is ours to unmap, and no borrow outlives `self`.
        // It fails only for a range the kernel never gave, so there is nobody to tell.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

fn map_remedy(errno: i32) -> &'static str {
    match errno {
        libc::EINVAL => "ask for one page or more of a descriptor of the module's device node of 2 MiB pages",
        libc::ENODEV => "pass a descriptor of the module's device node",
        libc::EACCES => "open the device node for reading and writing",
        libc::ENOMEM => {
            "the pool has too few pages that nobody uses or has reserved: write a larger count to /sys/kernel/rust_hugetlb/hugepages-2048kB/nr_hugepages, or ask for fewer pages"
        }
        _ => "see mmap(2)",
    }
}

fn populate_remedy(errno: i32) -> &'static str {
    match errno {
        libc::EFAULT => {
            "the pool has too few free pages: write a larger count to /sys/kernel/rust_hugetlb/hugepages-2048kB/nr_hugepages"
        }
        _ => "see MADV_POPULATE_WRITE in madvise(2)",
    }
}

fn share_remedy(errno: i32) -> &'static str {
    match errno {
        libc::EMFILE | libc::ENFILE => "close descriptors or raise the limit (ulimit -n)",
        _ => "see fcntl(2)",
    }
}

#[cfg(test)]
mod tests;
