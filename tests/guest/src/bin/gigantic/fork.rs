// SPDX-License-Identifier: GPL-2.0

//! fork. Where a mapping has a flag that makes the kernel copy its page tables, it copies a 1 GiB
//! entry without a reference: such flags must be refused.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

use guest::child::{fork, in_child};
use guest::map::Map;
use guest::pool::OURS_1G;
use guest::{call, refused, same, word, Check, Errno};

use crate::balance::{balanced, faults_of, marked_in_one_entry, warm, Resident};
use crate::PAGE;

/// include/uapi/asm-generic/mman-common.h
const MADV_GUARD_INSTALL: libc::c_int = 102;

pub fn with_what_would_copy_page_tables() -> Check {
    balanced(1, || {
        warm()?;
        let map = Map::of(OURS_1G, 1)?;
        map.mark(0, 1);
        for bytes in [4096, PAGE] {
            // SAFETY: The range lies in the mapping.
            let guard = unsafe { libc::madvise(map.base().cast(), bytes, MADV_GUARD_INSTALL) };
            refused!(call(guard), libc::EINVAL, "a guard in {bytes} bytes");
        }
        refused!(write_protect(&map)?, libc::EINVAL, "uffd-wp");
        refused!(
            map.advise(libc::MADV_WIPEONFORK),
            libc::EINVAL,
            "MADV_WIPEONFORK"
        );
        marked_in_one_entry(&map, 0, 1)?;
        let resident = Resident::now()?;
        for round in 1..4 {
            let child = fork(|link| {
                marked_in_one_entry(&map, 0, round)?;
                link.send(1)?;
                link.number()?;
                marked_in_one_entry(&map, 0, round + 1)?;
                in_child(|| marked_in_one_entry(&map, 0, round + 1))
            })?;
            child.link.number()?;
            map.mark(0, round + 1);
            child.link.send(1)?;
            child.finish()?;
            map.marked(0, round + 1)?;
            resident.grew_by(0)?;
            same!(OURS_1G.free()?, 0, "free_hugepages");
        }
        Ok(())
    })
}

/// Registers the mapping for asynchronous write protection.
fn write_protect(map: &Map) -> Check<Result<(), Errno>> {
    /// include/uapi/linux/userfaultfd.h
    const UFFD_API: u64 = 0xAA;
    const WP_UNPOPULATED: u64 = 1 << 13;
    const WP_ASYNC: u64 = 1 << 15;
    const MODE_WP: u64 = 1 << 1;
    const UFFDIO_API: libc::c_ulong = libc::_IOWR::<[u64; 3]>(0xAA, 0x3f);
    const UFFDIO_REGISTER: libc::c_ulong = libc::_IOWR::<[u64; 4]>(0xAA, 0);
    // SAFETY: userfaultfd takes a number; the descriptor is nobody else's.
    let file = unsafe {
        let fd = call(libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC))?;
        File::from_raw_fd(fd as libc::c_int)
    };
    let mut api = [UFFD_API, WP_UNPOPULATED | WP_ASYNC, 0];
    let mut register = [map.base() as u64, PAGE as u64, MODE_WP, 0];
    // SAFETY: Both arguments are as long as the numbers say.
    unsafe {
        call(libc::ioctl(file.as_raw_fd(), UFFDIO_API, api.as_mut_ptr()))?;
        let result = libc::ioctl(file.as_raw_fd(), UFFDIO_REGISTER, register.as_mut_ptr());
        Ok(call(result).map(drop))
    }
}

pub fn advice_about_fork() -> Check {
    balanced(1, || {
        warm()?;
        let resident = Resident::now()?;
        let map = Map::of(OURS_1G, 1)?;
        map.mark(0, 1);
        map.advise(libc::MADV_DONTFORK)?;
        in_child(|| {
            same!(
                word::load(&map, 0),
                Err(Errno(libc::EFAULT)),
                "the word in a child after MADV_DONTFORK"
            );
            Ok(())
        })?;
        refused!(map.advise(libc::MADV_DOFORK), libc::EINVAL, "MADV_DOFORK");
        // The page is the file's: it is gone from this address only.
        resident.grew_by(PAGE)?;
        map.advise(libc::MADV_DONTNEED)?;
        resident.grew_by(0)?;
        same!(faults_of(|| map.marked(0, 1))?, 1, "faults after it");
        resident.grew_by(PAGE)
    })
}
