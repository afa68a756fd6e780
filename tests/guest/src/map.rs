// SPDX-License-Identifier: GPL-2.0

//! Mappings made by plain system calls, with any argument and the errno that it gives.

use std::os::fd::AsRawFd;
use std::ptr;

use crate::access::{self, Bus};
use crate::pool::Pool;
use crate::{call, fail, Check, Errno, HUGE};

pub const READ: libc::c_int = libc::PROT_READ;
pub const WRITE: libc::c_int = libc::PROT_WRITE;
pub const NONE: libc::c_int = libc::PROT_NONE;

/// An mmap call. Start from one of the constructors and change what the test is about.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub address: *mut u8,
    pub bytes: usize,
    pub protection: libc::c_int,
    pub flags: libc::c_int,
    pub offset: libc::off_t,
    /// Bytes of one of the file's huge pages; mmap is not told.
    pub page_bytes: usize,
}

impl Request {
    /// The plain one: `pages` pages from the start of the file, shared, readable and writable.
    pub fn pages(pages: usize) -> Self {
        Self::sized(HUGE, pages)
    }

    /// The same for a file of `pool`.
    pub fn of(pool: Pool, pages: usize) -> Self {
        Self::sized(pool.page_bytes(), pages)
    }

    fn sized(page_bytes: usize, pages: usize) -> Self {
        Self {
            address: ptr::null_mut(),
            bytes: pages * page_bytes,
            protection: READ | WRITE,
            flags: libc::MAP_SHARED,
            offset: 0,
            page_bytes,
        }
    }

    /// The same with MAP_NORESERVE: the pool need not have the pages.
    pub fn unreserved(self) -> Self {
        Self {
            flags: self.flags | libc::MAP_NORESERVE,
            ..self
        }
    }

    /// The same private.
    pub fn private(self) -> Self {
        Self {
            flags: self.flags & !libc::MAP_SHARED | libc::MAP_PRIVATE,
            ..self
        }
    }

    /// Maps `file` so.
    pub fn map(self, file: &impl AsRawFd) -> Result<Map, Errno> {
        self.map_fd(file.as_raw_fd())
    }

    /// Maps the descriptor `fd` so; -1 with MAP_ANONYMOUS.
    pub fn map_fd(self, fd: libc::c_int) -> Result<Map, Errno> {
        // SAFETY: Tests pass MAP_FIXED only with addresses inside a Map of their own.
        let base = unsafe {
            libc::mmap(
                self.address.cast(),
                self.bytes,
                self.protection,
                self.flags,
                fd,
                self.offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Map {
            base: base.cast(),
            bytes: self.bytes,
            page_bytes: self.page_bytes,
        })
    }
}

/// A range of addresses, unmapped when dropped.
///
/// Its accesses are volatile, because other processes and threads share the bytes.
#[derive(Debug)]
pub struct Map {
    base: *mut u8,
    bytes: usize,
    page_bytes: usize,
}

// SAFETY: The addresses belong to the process, not to a thread.
unsafe impl Send for Map {}
// SAFETY: Threads share it for volatile accesses only, each to aligned words.
unsafe impl Sync for Map {}

impl Map {
    /// `pages` pages of a new huge file of `pool`, whose descriptor is closed already.
    pub fn of(pool: Pool, pages: usize) -> Check<Self> {
        Ok(Request::of(pool, pages).map(&crate::device::open_of(pool)?)?)
    }

    /// `pages` pages of a new huge file, whose descriptor is closed already.
    pub fn of_new_file(pages: usize) -> Check<Self> {
        Ok(Request::pages(pages).map(&crate::device::open()?)?)
    }

    /// The same with MAP_NORESERVE.
    pub fn of_new_file_unreserved(pages: usize) -> Check<Self> {
        Ok(Request::pages(pages)
            .unreserved()
            .map(&crate::device::open()?)?)
    }

    /// Addresses with nothing behind them, for MAP_FIXED inside; aligned to a huge page.
    pub fn reserve(pages: usize) -> Check<(Self, *mut u8)> {
        Self::reserve_for(Request::pages(pages))
    }

    /// The same for a mapping of as many pages as `wanted`'s.
    pub fn reserve_for(wanted: Request) -> Check<(Self, *mut u8)> {
        let request = Request {
            protection: NONE,
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            bytes: wanted.bytes + wanted.page_bytes,
            ..wanted
        };
        let map = request.map_fd(-1)?;
        let aligned = map
            .base
            .wrapping_add(map.base.align_offset(wanted.page_bytes));
        Ok((map, aligned))
    }

    /// Exactly `pages` huge pages of addresses with nothing behind them, as a target of mremap.
    pub fn reserve_exactly(pages: usize) -> Check<Self> {
        let (around, aligned) = Self::reserve(pages)?;
        let before = aligned as usize - around.base as usize;
        let bytes = pages * HUGE;
        for (offset, length) in [(0, before), (before + bytes, HUGE - before)] {
            if length != 0 {
                around.unmap(offset, length)?;
            }
        }
        std::mem::forget(around);
        Ok(Self {
            base: aligned,
            bytes,
            page_bytes: HUGE,
        })
    }

    /// `pages` huge pages' bytes of anonymous memory in base pages.
    pub fn anonymous(pages: usize) -> Check<Self> {
        let request = Request {
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            ..Request::pages(pages)
        };
        Ok(request.map_fd(-1)?)
    }

    pub fn base(&self) -> *mut u8 {
        self.base
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn pages(&self) -> usize {
        self.bytes / self.page_bytes
    }

    /// Bytes of one of its huge pages.
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// The address of byte `offset`.
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes, "{offset} is past the mapping");
        self.base.wrapping_add(offset)
    }

    pub fn read(&self, offset: usize) -> u64 {
        assert!(offset % 8 == 0);
        // SAFETY: The word lies in the mapping; where no page can be had the test gets its SIGBUS.
        unsafe { self.at(offset).cast::<u64>().read_volatile() }
    }

    pub fn write(&self, offset: usize, word: u64) {
        assert!(offset % 8 == 0);
        // SAFETY: As in `read`.
        unsafe { self.at(offset).cast::<u64>().write_volatile(word) }
    }

    /// [`read`](Self::read), where a page may be missing; after [`access::catch`].
    pub fn try_read(&self, offset: usize) -> Result<u64, Bus> {
        assert!(offset % 8 == 0);
        // SAFETY: The word lies in the mapping, which tests read only where it can be.
        unsafe { access::load(self.at(offset).cast()) }
    }

    /// [`write`](Self::write), where a page may be missing; after [`access::catch`].
    pub fn try_write(&self, offset: usize, word: u64) -> Result<(), Bus> {
        assert!(offset % 8 == 0);
        // SAFETY: As in `try_read`; all accesses of a mapping are volatile.
        unsafe { access::store(self.at(offset).cast(), word) }
    }

    /// Writes `stamp` to every word of a page.
    pub fn fill(&self, page: usize, stamp: u64) {
        self.fill_part(page * self.page_bytes, self.page_bytes, stamp);
    }

    /// Writes `stamp` to every word of `bytes` bytes from byte `from` on.
    pub fn fill_part(&self, from: usize, bytes: usize, stamp: u64) {
        for offset in (from..from + bytes).step_by(8) {
            self.write(offset, stamp);
        }
    }

    /// Fails unless every word of a page is `stamp`.
    pub fn holds(&self, page: usize, stamp: u64) -> Check {
        self.part_holds(page * self.page_bytes, self.page_bytes, stamp)
    }

    /// Fails unless every word of `bytes` bytes from byte `offset` on is `stamp`.
    pub fn part_holds(&self, from: usize, bytes: usize, stamp: u64) -> Check {
        for offset in (from..from + bytes).step_by(8) {
            let word = self.read(offset);
            if word != stamp {
                fail!(
                    "page {} has {word:#x} at {:#x}, not {stamp:#x}",
                    offset / self.page_bytes,
                    offset % self.page_bytes
                );
            }
        }
        Ok(())
    }

    /// Unmaps what follows byte `offset`, and ends there.
    pub fn cut(&mut self, offset: usize) -> Result<(), Errno> {
        self.unmap(offset, self.bytes - offset)?;
        self.bytes = offset;
        Ok(())
    }

    /// Writes one word to each base page of a page, made of `stamp` and the place.
    pub fn mark(&self, page: usize, stamp: u64) {
        for (offset, word) in self.marks(page, stamp) {
            self.write(offset, word);
        }
    }

    /// Fails unless the page was [`mark`](Self::mark)ed last with this stamp.
    pub fn marked(&self, page: usize, stamp: u64) -> Check {
        self.has(page, self.marks(page, stamp))
    }

    /// Fails unless the words are zero that [`mark`](Self::mark) would write.
    pub fn unmarked(&self, page: usize) -> Check {
        self.has(page, self.marks(page, 0).map(|(offset, _)| (offset, 0)))
    }

    fn has(&self, page: usize, words: impl Iterator<Item = (usize, u64)>) -> Check {
        for (offset, want) in words {
            let word = self.read(offset);
            if word != want {
                let place = offset % self.page_bytes;
                fail!("page {page} has {word:#x} at {place:#x}, not {want:#x}");
            }
        }
        Ok(())
    }

    /// A word of each base page, each time another one.
    fn marks(&self, page: usize, stamp: u64) -> impl Iterator<Item = (usize, u64)> {
        self.range(page)
            .step_by(4096)
            .enumerate()
            .map(move |(number, offset)| {
                let word = (stamp << 32) | number as u64;
                (offset + number % 512 * 8, word)
            })
    }

    fn range(&self, page: usize) -> std::ops::Range<usize> {
        page * self.page_bytes..(page + 1) * self.page_bytes
    }

    pub fn unmap(&self, offset: usize, bytes: usize) -> Result<i64, Errno> {
        // SAFETY: The range lies in this mapping, whose drop tolerates holes.
        call(unsafe { libc::munmap(self.base.wrapping_add(offset).cast(), bytes) })
    }

    pub fn protect(&self, offset: usize, bytes: usize, to: libc::c_int) -> Result<i64, Errno> {
        // SAFETY: The range lies in this mapping.
        call(unsafe { libc::mprotect(self.base.wrapping_add(offset).cast(), bytes, to) })
    }

    pub fn advise(&self, advice: libc::c_int) -> Result<i64, Errno> {
        // SAFETY: The range is this mapping.
        call(unsafe { libc::madvise(self.base.cast(), self.bytes, advice) })
    }

    /// mremap without a wished address.
    pub fn resize(self, bytes: usize) -> Result<Self, (Self, Errno)> {
        // SAFETY: The range is this mapping, which is forgotten when it moved.
        let base =
            unsafe { libc::mremap(self.base.cast(), self.bytes, bytes, libc::MREMAP_MAYMOVE) };
        self.moved(base, bytes)
    }

    /// mremap to `address`, which lies in a range that the caller reserved.
    pub fn move_to(self, address: *mut u8) -> Result<Self, (Self, Errno)> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: The range is this mapping, the target the caller's.
        let base = unsafe {
            libc::mremap(
                self.base.cast(),
                self.bytes,
                self.bytes,
                flags,
                address.cast::<libc::c_void>(),
            )
        };
        let bytes = self.bytes;
        self.moved(base, bytes)
    }

    /// mremap to other addresses, wherever they are.
    pub fn relocate(&mut self) -> Check {
        let target = Self::reserve_exactly(self.pages())?;
        let here = std::mem::replace(self, target);
        match here.move_to(self.base) {
            Ok(moved) => {
                // What was there to be replaced is.
                std::mem::forget(std::mem::replace(self, moved));
                Ok(())
            }
            Err((here, errno)) => {
                *self = here;
                Err(errno.into())
            }
        }
    }

    fn moved(self, base: *mut libc::c_void, bytes: usize) -> Result<Self, (Self, Errno)> {
        let page_bytes = self.page_bytes;
        if base == libc::MAP_FAILED {
            let errno = Errno::last();
            return Err((self, errno));
        }
        std::mem::forget(self);
        Ok(Self {
            base: base.cast(),
            bytes,
            page_bytes,
        })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: The range is this value's alone.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}
