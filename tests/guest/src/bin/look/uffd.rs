// SPDX-License-Identifier: GPL-2.0

//! userfaultfd: its registration is refused, and the mapping is as it was; what it keeps from the
//! module's calls keeps nobody else.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::thread;

use guest::beside::Side;
use guest::file::{Huge, INFO, PREALLOCATE, PUNCH_HOLE, SET_SIZE};
use guest::kind::{beside_both, half_touched, look};
use guest::map::{Map, Request};
use guest::memory::BASE_PAGE;
use guest::pool::{Resized, OURS};
use guest::{call, poll, refused, same, smaps, Check, Errno, Fail, HUGE};

/// include/uapi/linux/userfaultfd.h.
const API: u64 = 0xaa;
const WP_ASYNC: u64 = 1 << 15;
const MODES: [(&str, u64); 5] = [
    ("missing", MISSING),
    ("write-protect", 1 << 1),
    ("minor", 1 << 2),
    // Since 7.3.
    ("read-write-protect", 1 << 3),
    ("missing and write-protect", 3),
];
/// A mode of registration: whoever touches a page that is not there waits.
pub const MISSING: u64 = 1 << 0;
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
pub struct Uffd(File);

impl Uffd {
    pub fn new(features: u64) -> Check<Self> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: userfaultfd takes flags.
        let fd = call(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?;
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

    pub fn register(&self, start: u64, bytes: usize, mode: u64) -> Result<(), Errno> {
        self.ioctl(UFFDIO_REGISTER, &mut [start, bytes as u64, mode, 0])
    }

    /// The page that somebody waits for, if anybody does whom this was not said of before.
    pub fn fault(&self) -> Check<Option<u64>> {
        // struct uffd_msg: the event, flags, the address, and room for what other events say.
        const PAGE_FAULT: u8 = 0x12;
        let mut message = [0; 32];
        match (&self.0).read_exact(&mut message) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            other => other?,
        }
        same!(message[0], PAGE_FAULT, "the event");
        let address = message[16..24].try_into().unwrap_or_default();
        Ok(Some(u64::from_ne_bytes(address)))
    }
}

/// To be passed to another process.
impl AsRawFd for Uffd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// One that another process passed, with faults of that process.
impl From<OwnedFd> for Uffd {
    fn from(fd: OwnedFd) -> Self {
        Self(File::from(fd))
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

/// A call that waits for its argument holds nothing that others need. A file system of the caller's own
/// keeps it as long: [`fuse`](crate::fuse).
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
        let uffd = Uffd::new(0)?;
        uffd.register(argument.base() as u64, HUGE, MISSING)?;
        let address = argument.base() as u64;
        let answer = thread::scope(|scope| -> Check<Result<(), Errno>> {
            // SAFETY: There is room for what each of the calls reads and writes.
            let ask = || call(unsafe { libc::ioctl(file.as_raw_fd(), number, address) });
            let asking = scope.spawn(move || ask().map(drop));
            let seen = poll::until(name, || uffd.fault(), Option::is_some)?;
            same!(seen, Some(address), "what the call waits for");
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
pub fn use_all(file: &Huge, map: &Map) -> Check {
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
