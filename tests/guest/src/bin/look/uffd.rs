// SPDX-License-Identifier: GPL-2.0

//! userfaultfd: its registration is refused, and the mapping is as it was.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use guest::beside::Side;
use guest::kind::{beside_both, half_touched, look};
use guest::map::Map;
use guest::pool::OURS;
use guest::{call, refused, same, smaps, Check, Errno, HUGE};

/// include/uapi/linux/userfaultfd.h.
const API: u64 = 0xaa;
const WP_ASYNC: u64 = 1 << 15;
const MODES: [(&str, u64); 5] = [
    ("missing", 1 << 0),
    ("write-protect", 1 << 1),
    ("minor", 1 << 2),
    // Since 7.3.
    ("read-write-protect", 1 << 3),
    ("missing and write-protect", 3),
];
const UFFDIO_API: libc::c_ulong = libc::_IOWR::<[u64; 3]>(0xaa, 0x3f);
const UFFDIO_REGISTER: libc::c_ulong = libc::_IOWR::<[u64; 4]>(0xaa, 0);
const UFFDIO_UNREGISTER: libc::c_ulong = libc::_IOR::<[u64; 2]>(0xaa, 1);
const UFFDIO_COPY: libc::c_ulong = libc::_IOWR::<[u64; 5]>(0xaa, 3);
const UFFDIO_ZEROPAGE: libc::c_ulong = libc::_IOWR::<[u64; 4]>(0xaa, 4);
const UFFDIO_MOVE: libc::c_ulong = libc::_IOWR::<[u64; 5]>(0xaa, 5);
const UFFDIO_WRITEPROTECT: libc::c_ulong = libc::_IOWR::<[u64; 3]>(0xaa, 6);
const UFFDIO_CONTINUE: libc::c_ulong = libc::_IOWR::<[u64; 4]>(0xaa, 7);
const UFFDIO_POISON: libc::c_ulong = libc::_IOWR::<[u64; 4]>(0xaa, 8);

/// A userfaultfd.
struct Uffd(File);

impl Uffd {
    fn new(features: u64) -> Check<Self> {
        // SAFETY: userfaultfd takes flags.
        let fd = call(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })?;
        // SAFETY: It was just made, and nobody else has it.
        let uffd = Self(unsafe { File::from_raw_fd(fd as RawFd) });
        uffd.ioctl(UFFDIO_API, &mut [API, features, 0])?;
        Ok(uffd)
    }

    /// An ioctl whose argument is words, as many as its number says.
    fn ioctl<const N: usize>(
        &self,
        number: libc::c_ulong,
        argument: &mut [u64; N],
    ) -> Result<(), Errno> {
        assert!(
            (number as usize >> 16) & 0x3fff == N * 8,
            "bytes of an ioctl"
        );
        // SAFETY: The argument has as many bytes as the number says.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), number, argument.as_mut_ptr()) };
        call(result).map(drop)
    }

    fn register(&self, start: u64, bytes: usize, mode: u64) -> Result<(), Errno> {
        self.ioctl(UFFDIO_REGISTER, &mut [start, bytes as u64, mode, 0])
    }
}

/// On our mapping; hugetlb's can be registered, which shows that the call is right.
fn try_modes(side: &Side, map: &Map) -> Check {
    let start = map.base() as u64;
    for features in [0, WP_ASYNC] {
        for (name, mode) in MODES {
            let uffd = Uffd::new(features)?;
            if side.pool() != OURS {
                if name == "missing" {
                    same!(uffd.register(start, map.bytes(), mode), Ok(()), "register");
                }
                continue;
            }
            for (offset, bytes) in [(0, 3 * HUGE), (HUGE, HUGE), (4096, 4096)] {
                refused!(
                    uffd.register(start + offset as u64, bytes, mode),
                    libc::EINVAL,
                    "register {bytes} at {offset} for {name}, features {features:#x}"
                );
            }
        }
    }
    Ok(())
}

/// What can be asked of a registered range, asked of ours: refused, whatever the errno.
fn try_calls(map: &Map) -> Check {
    let uffd = Uffd::new(0)?;
    let (start, bytes) = (map.base() as u64 + 2 * HUGE as u64, HUGE as u64);
    let source = map.base() as u64;
    let results = [
        (
            "copy",
            uffd.ioctl(UFFDIO_COPY, &mut [start, source, bytes, 0, 0]),
        ),
        (
            "zero",
            uffd.ioctl(UFFDIO_ZEROPAGE, &mut [start, bytes, 0, 0]),
        ),
        (
            "move",
            uffd.ioctl(UFFDIO_MOVE, &mut [start, source, bytes, 0, 0]),
        ),
        (
            "write-protect",
            uffd.ioctl(UFFDIO_WRITEPROTECT, &mut [source, bytes, 1]),
        ),
        (
            "continue",
            uffd.ioctl(UFFDIO_CONTINUE, &mut [start, bytes, 0, 0]),
        ),
        (
            "poison",
            uffd.ioctl(UFFDIO_POISON, &mut [start, bytes, 0, 0]),
        ),
        (
            "unregister",
            uffd.ioctl(UFFDIO_UNREGISTER, &mut [source, 3 * bytes]),
        ),
    ];
    for (name, result) in results {
        guest::check!(result.is_err(), "{name} succeeded");
    }
    Ok(())
}

pub fn registration_is_refused() -> Check {
    beside_both(6, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        side.note_counts("mapped")?;
        try_modes(side, &map)?;
        if side.pool() == OURS {
            try_calls(&map)?;
        }
        side.note_counts("refused")?;
        map.holds(0, 10)?;
        map.holds(1, 0)?;
        map.fill(2, 5);
        if side.pool() == OURS {
            smaps::all_huge(map.base(), 3)?;
        }
        look(side, "in the end", &map)
    })
}
