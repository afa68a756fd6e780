// SPDX-License-Identifier: GPL-2.0

//! An io_uring whose registered buffers pin pages: for writing, and for as long as the ring lives
//! (FOLL_WRITE | FOLL_LONGTERM), whatever becomes of the mapping and of the process. Through them
//! the kernel reads and writes the pages as a device would.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;
use io_uring::{opcode, types, IoUring};

use crate::pipe::Pipe;
use crate::worker::Worker;
use crate::{call, check, fail, same, Check, Errno, HUGE};

/// Buffers that a ring may have registered.
pub const SLOTS: u16 = 16;

/// What the pipe is made to hold, and so what one transfer moves.
const CHUNK: usize = 1 << 20;

/// A ring, and a pipe that its data come from and go to.
pub struct Ring {
    submitter: Worker<IoUring>,
    /// The ring's. A forked child has it, too, and may pin by it.
    fd: RawFd,
    reads: File,
    writes: File,
}

/// One huge page, registered or to be. The address is what the ring knows the page by, even when
/// nothing is mapped there any more.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    pub slot: u16,
    pub base: *mut u8,
}

/// include/uapi/linux/io_uring.h
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
    tags: u64,
    count: u32,
    reserved2: u32,
}

const IORING_REGISTER_BUFFERS_UPDATE: libc::c_uint = 16;

impl Ring {
    pub fn new() -> Check<Self> {
        let submitter = Worker::new(|| {
            let ring = IoUring::new(u32::from(SLOTS))?;
            ring.submitter().register_buffers_sparse(SLOTS.into())?;
            Ok(ring)
        })?;
        let fd = submitter.call(|ring| Ok(ring.as_raw_fd()))?;
        let (reads, writes) = Pipe::new()?.into_ends();
        // SAFETY: fcntl takes numbers.
        call(unsafe { libc::fcntl(writes.as_raw_fd(), libc::F_SETPIPE_SZ, CHUNK) })?;
        Ok(Self {
            submitter,
            fd,
            reads,
            writes,
        })
    }

    /// Pins the page that this process has at the buffer's address. A forked child may call it, and
    /// [`unpin`](Self::unpin); the rest is its parent's.
    pub fn pin(&self, buffer: Buffer) -> Result<(), Errno> {
        self.register(buffer.slot, buffer.base, HUGE)
    }

    /// Ends the pin, once no request uses it.
    pub fn unpin(&self, slot: u16) -> Result<(), Errno> {
        self.register(slot, std::ptr::null_mut(), 0)
    }

    fn register(&self, slot: u16, base: *mut u8, bytes: usize) -> Result<(), Errno> {
        let part = libc::iovec {
            iov_base: base.cast(),
            iov_len: bytes,
        };
        let update = Update {
            offset: slot.into(),
            reserved: 0,
            data: &raw const part as u64,
            tags: 0,
            count: 1,
            reserved2: 0,
        };
        // SAFETY: The kernel reads the update and the iovec. Requests alone write to the page, and
        // its owner expects them.
        call(unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.fd,
                IORING_REGISTER_BUFFERS_UPDATE,
                &update,
                size_of::<Update>(),
            )
        })?;
        Ok(())
    }

    /// Has the kernel write `stamp` to every word of the page.
    pub fn fill(&mut self, buffer: Buffer, stamp: u64) -> Check {
        for offset in (0..HUGE).step_by(CHUNK) {
            self.arrive(CHUNK, stamp)?;
            let length = self.run(self.read_entry(buffer, offset, CHUNK))?;
            same!(length, CHUNK, "bytes read into a registered buffer");
        }
        Ok(())
    }

    /// Has the kernel read the page; fails unless every word is `stamp`.
    pub fn holds(&mut self, buffer: Buffer, stamp: u64) -> Check {
        self.part_holds(buffer, 0, HUGE, stamp)
    }

    /// The same for `bytes` bytes from byte `from` on.
    pub fn part_holds(&mut self, buffer: Buffer, from: usize, bytes: usize, stamp: u64) -> Check {
        let mut content = vec![0; CHUNK];
        for offset in (from..from + bytes).step_by(CHUNK) {
            let bytes = CHUNK.min(from + bytes - offset);
            let fd = types::Fd(self.writes.as_raw_fd());
            let at = buffer.base.wrapping_add(offset);
            let entry = opcode::WriteFixed::new(fd, at, bytes as u32, buffer.slot).build();
            same!(
                self.run(entry)?,
                bytes,
                "bytes written from a registered buffer"
            );
            let content = &mut content[..bytes];
            self.reads.read_exact(content)?;
            for (number, word) in content.chunks_exact(8).enumerate() {
                if word != stamp.to_ne_bytes() {
                    let at = offset + number * 8;
                    fail!("the pinned page has {word:02x?} at {at:#x}, not {stamp:#x}");
                }
            }
        }
        Ok(())
    }

    /// Starts a read of `bytes` bytes into the page; it waits for data to [`arrive`](Self::arrive).
    pub fn start_read(&mut self, buffer: Buffer, bytes: usize) -> Check {
        let entry = self.read_entry(buffer, 0, bytes);
        self.submitter.call(move |ring| {
            push(ring, &entry)?;
            same!(ring.submit()?, 1, "requests submitted");
            check!(ring.completion().next().is_none(), "it did not wait");
            Ok(())
        })
    }

    /// `bytes` bytes, 1 MiB at most, arrive at the pipe, every word of them `stamp`.
    pub fn arrive(&mut self, bytes: usize, stamp: u64) -> Check {
        self.writes
            .write_all(&stamp.to_ne_bytes().repeat(bytes / 8))?;
        Ok(())
    }

    /// Waits until a started request is over: the bytes it moved.
    pub fn finish(&mut self) -> Check<usize> {
        self.submitter.call(finish)
    }

    fn run(&self, entry: Entry) -> Check<usize> {
        self.submitter.call(move |ring| {
            push(ring, &entry)?;
            finish(ring)
        })
    }

    fn read_entry(&self, buffer: Buffer, offset: usize, bytes: usize) -> Entry {
        let fd = types::Fd(self.reads.as_raw_fd());
        let at = buffer.base.wrapping_add(offset);
        opcode::ReadFixed::new(fd, at, bytes as u32, buffer.slot).build()
    }
}

fn push(ring: &mut IoUring, entry: &Entry) -> Check {
    // SAFETY: The memory is a registered buffer, which the ring keeps.
    unsafe { ring.submission().push(entry) }?;
    Ok(())
}

fn finish(ring: &mut IoUring) -> Check<usize> {
    ring.submit_and_wait(1)?;
    match ring.completion().next().map(|end| end.result()) {
        None => fail!("no request is over"),
        Some(result) if result < 0 => fail!("a request failed: {}", Errno(-result)),
        Some(result) => Ok(result as usize),
    }
}
