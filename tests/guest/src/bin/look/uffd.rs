// SPDX-License-Identifier: GPL-2.0

//! userfaultfd: its registration is refused, and the mapping is as it was; what it keeps from the
//! module's calls keeps nobody else.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::thread;

use guest::beside::Side;
use guest::file::{Huge, INFO, PREALLOCATE, PUNCH_HOLE, SET_SIZE};
use guest::kind::{beside_both, half_touched, look};
use guest::map::{Map, Request};
use guest::memory::BASE_PAGE;
use guest::pool::{Resized, OURS};
use guest::{call, refused, same, smaps, Check, Errno, Fail, HUGE};

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

/// A call that waits for its argument holds nothing that others need. A filesystem of the caller's own
/// (FUSE) would keep it as long.
pub fn an_argument_that_does_not_come_stalls_nobody() -> Check {
    const PAGES: usize = 4;
    let _pool = Resized::ours(PAGES as u64)?;
    for (name, number) in [
        ("info", INFO),
        ("set the size", SET_SIZE),
        ("punch a hole", PUNCH_HOLE),
        ("preallocate", PREALLOCATE),
    ] {
        let file = Huge::new(OURS)?;
        let map = file.map(Request::pages(PAGES))?;
        let argument = Map::anonymous(1)?;
        let mut uffd = Uffd::new(0)?;
        uffd.register(argument.base() as u64, HUGE, 1)?;
        let address = argument.base() as u64;
        let answer = thread::scope(|scope| -> Check<Result<(), Errno>> {
            // SAFETY: There is room for what each of the calls reads and writes.
            let ask = || call(unsafe { libc::ioctl(file.as_raw_fd(), number, address) });
            let asking = scope.spawn(move || ask().map(drop));
            // struct uffd_msg: the one that the call waits for.
            let mut message = [0; 32];
            uffd.0.read_exact(&mut message)?;
            let done = use_all(&file, &map);
            // A range of one page, or the size of none.
            let page = Map::anonymous(1)?;
            page.write(8, HUGE as u64);
            let words = page.base() as u64;
            uffd.ioctl(UFFDIO_COPY, &mut [address, words, BASE_PAGE, 0, 0])?;
            let answer = asking.join().map_err(|_| Fail("the caller died".into()));
            done?;
            answer
        })?;
        same!(answer, Ok(()), "{name}, once its argument came");
        drop((map, file));
        OURS.settles_at_free(PAGES as u64)?;
    }
    Ok(())
}

/// All that others may want of the pool, and of the same file.
fn use_all(file: &Huge, map: &Map) -> Check {
    map.fill(0, 1);
    file.preallocate(HUGE as u64, HUGE as u64)?;
    file.punch(0, HUGE as u64)?;
    file.set_size(2 * HUGE as u64)?;
    map.holds(0, 0)?;
    drop(file.map(Request::pages(1).private())?);
    let nr = OURS.nr()?;
    OURS.set(nr + 1)?;
    OURS.set(nr)?;
    same!(OURS.nr()?, nr, "nr_hugepages");
    Huge::new(OURS)?;
    Ok(())
}
