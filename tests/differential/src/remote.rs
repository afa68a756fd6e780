// SPDX-License-Identifier: GPL-2.0

//! Memory of a process, reached through the kernel and not through an address of one's own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::op::Way;
use crate::outcome::Event;
use crate::stamp::{self, Words, PROBES};
use crate::sys::{call, Returned};
use crate::touch::Access;

/// A way to a process's memory that is open.
pub enum Remote {
    Vm(libc::pid_t),
    Mem(File),
}

impl Remote {
    /// Opens it.
    pub fn open(pid: libc::pid_t, way: Way) -> Result<Self, i32> {
        match way {
            Way::Vm => Ok(Self::Vm(pid)),
            Way::Mem => OpenOptions::new()
                .read(true)
                .write(true)
                .open(format!("/proc/{pid}/mem"))
                .map(Self::Mem)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)),
        }
    }

    /// Reads the words of the page at `page`, or writes them for a stamp.
    pub fn access(&self, page: usize, access: Access, stamp: u64) -> Event {
        let mut words = match access {
            Access::Read => Words::default(),
            Access::Write => stamp::words(stamp),
        };
        let moved = match self {
            Self::Vm(pid) => vm(*pid, page, access, &mut words),
            Self::Mem(file) => mem(file, page, access, &mut words),
        };
        match (moved, access) {
            (Ok(length), _) if length != size_of::<Words>() as i64 => Event::Returned(length),
            (Ok(_), Access::Read) => Event::Read(stamp::read(words)),
            (Ok(_), Access::Write) => Event::Wrote,
            (Err(errno), _) => Event::Errno(errno),
        }
    }
}

fn vm(pid: libc::pid_t, page: usize, access: Access, words: &mut Words) -> Returned {
    let here = libc::iovec {
        iov_base: words.as_mut_ptr().cast(),
        iov_len: size_of::<Words>(),
    };
    let there = PROBES.map(|probe| libc::iovec {
        iov_base: (page + probe) as *mut _,
        iov_len: size_of::<u64>(),
    });
    let count = there.len() as libc::c_ulong;
    // SAFETY: Here there is room for all words; there, whatever is mapped in an arena is no Rust
    // object of that process.
    call(unsafe {
        match access {
            Access::Read => libc::process_vm_readv(pid, &here, 1, there.as_ptr(), count, 0),
            Access::Write => libc::process_vm_writev(pid, &here, 1, there.as_ptr(), count, 0),
        }
    } as i64)
}

fn mem(file: &File, page: usize, access: Access, words: &mut Words) -> Returned {
    let mut moved = 0;
    for (word, probe) in words.iter_mut().zip(PROBES) {
        let offset = (page + probe) as u64;
        let result = match access {
            Access::Read => {
                let mut bytes = [0; size_of::<u64>()];
                let result = file.read_at(&mut bytes, offset);
                *word = u64::from_ne_bytes(bytes);
                result
            }
            Access::Write => file.write_at(&word.to_ne_bytes(), offset),
        };
        match result {
            Ok(length) => moved += length as i64,
            Err(error) => return Err(error.raw_os_error().unwrap_or(libc::EINVAL)),
        }
    }
    Ok(moved)
}
