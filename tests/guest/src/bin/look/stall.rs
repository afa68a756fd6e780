// SPDX-License-Identifier: GPL-2.0

//! Processes that stall in a call because its buffer does not come (the kernel waits for whoever has
//! the userfaultfd): they keep a page, perhaps, but nobody who uses the pool.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;

use guest::child::{fork, in_child, Child};
use guest::file::Huge;
use guest::kmod::users;
use guest::map::{Map, Request};
use guest::pipe::Pipe;
use guest::pool::{Resized, OURS};
use guest::{call, check, debugfs, fail, poll, same, Check, Errno, HUGE};

use crate::uffd::{use_all, Uffd, MISSING};

/// Pages of the pool: of the file, of those that are kept, and of who uses the pool meanwhile.
pub const POOL: u64 = 10;
/// Pages of the file.
pub const PAGES: usize = 4;
/// The first pages of the file, which are kept.
const KEPT: u64 = 2;
/// What the calls ask for. The first byte is what does not come.
pub const BYTES: usize = 4096;

/// What the calls are about. Two pages of the file are kept: one by process_vm_readv, one by the pipe.
pub struct Targets {
    pub file: Huge,
    pub map: Map,
    pub pipe: (File, File),
    pub nr: File,
    pub explain: File,
    /// The map in debugfs.
    pub listing: File,
    /// nr_hugepages, to be written to.
    pub knob: File,
}

impl Targets {
    pub fn new() -> Check<Self> {
        debugfs::mount()?;
        let file = Huge::new(OURS)?;
        let map = file.map(Request::pages(PAGES))?;
        (0..PAGES).for_each(|page| map.fill(page, 1));
        let pipe = Pipe::new()?;
        pipe.splice(&map, HUGE, BYTES)?;
        let nr = OURS.file("nr_hugepages");
        Ok(Self {
            file,
            map,
            pipe: pipe.into_ends(),
            nr: File::open(&nr)?,
            explain: File::open(OURS.file("explain"))?,
            listing: File::open(debugfs::map_file(OURS))?,
            knob: OpenOptions::new().write(true).open(&nr)?,
        })
    }
}

/// A process that waits in a call until it is killed.
struct Stalled {
    name: &'static str,
    child: Child,
    /// While it is open, the kernel waits.
    _uffd: Uffd,
}

/// Has a process make a call with a buffer, and waits until it stalls there.
fn stall(name: &'static str, call: impl FnOnce(*mut u8) -> Result<i64, Errno>) -> Check<Stalled> {
    let buffer = Map::anonymous(1)?;
    let child = fork(|link| {
        let uffd = Uffd::new(0)?;
        uffd.register(buffer.base() as u64, HUGE, MISSING)?;
        link.send_descriptor(&uffd)?;
        fail!("it did not wait: {:?}", call(buffer.base()))
    })?;
    let uffd = Uffd::from(child.link.receive_descriptor()?);
    let fault = || {
        still_waits(name, &child)?;
        uffd.fault()
    };
    let address = poll::until(name, fault, Option::is_some)?;
    same!(address, Some(buffer.base() as u64), "what {name} waits for");
    Ok(Stalled {
        name,
        child,
        _uffd: uffd,
    })
}

/// Fails if a process that is to wait in the call of that name came back.
pub fn still_waits(name: &str, child: &Child) -> Check {
    if child.link.has_message()? {
        fail!("{name} came back: {:?}", child.link.receive()?);
    }
    Ok(())
}

/// read(2) of a file.
pub fn read(file: &File, buffer: *mut u8) -> Result<i64, Errno> {
    // SAFETY: There is room for that many bytes.
    call(unsafe { libc::read(file.as_raw_fd(), buffer.cast(), BYTES) } as i64)
}

/// write(2) to a file.
pub fn write(file: &File, buffer: *mut u8) -> Result<i64, Errno> {
    // SAFETY: There are that many bytes.
    call(unsafe { libc::write(file.as_raw_fd(), buffer.cast(), BYTES) } as i64)
}

/// process_vm_readv from the parent, which pins what is read until it is copied.
pub fn copy(from: *mut u8, buffer: *mut u8) -> Result<i64, Errno> {
    let part = |base: *mut u8| libc::iovec {
        iov_base: base.cast(),
        iov_len: BYTES,
    };
    let (here, there) = (part(buffer), part(from));
    // SAFETY: There is room for that many bytes.
    call(unsafe { libc::process_vm_readv(libc::getppid(), &here, 1, &there, 1, 0) } as i64)
}

pub fn who_stalls_elsewhere_keeps_nobody() -> Check {
    let _pool = Resized::ours(POOL)?;
    let of = Targets::new()?;
    let stalled = [
        stall("nr_hugepages", |to| read(&of.nr, to))?,
        stall("explain", |to| read(&of.explain, to))?,
        stall("the map", |to| read(&of.listing, to))?,
        stall("a write of nr_hugepages", |from| write(&of.knob, from))?,
        stall("process_vm_readv", |to| copy(of.map.base(), to))?,
        stall("a pipe with a page", |to| read(&of.pipe.0, to))?,
    ];
    in_child(|| use_what_they_keep(&of.file, &of.map))?;
    for one in stalled {
        still_waits(one.name, &one.child)?;
        one.child.kill()?;
    }

    drop(of);
    all_is_over(POOL)
}

/// Fails unless so many pages are left, all free, and nobody uses the module.
pub fn all_is_over(count: u64) -> Check {
    OURS.settles_at_free(count)?;
    same!((OURS.nr()?, OURS.pinned()?), (count, 0), "nr, pinned");
    // The map's file is closed with the process that stalled in reading it, too.
    poll::until("users of the module", users, |count| *count == 0).map(drop)
}

/// All that others may want, of the pages that are kept first.
pub fn use_what_they_keep(file: &Huge, map: &Map) -> Check {
    file.punch(0, KEPT * HUGE as u64)?;
    same!(OURS.pinned()?, KEPT, "pages that stalled processes keep");
    (0..KEPT as usize).try_for_each(|page| map.holds(page, 0))?;
    let own = file.map(Request::pages(1).private())?;
    own.fill(0, 2);
    in_child(|| {
        own.holds(0, 2)?;
        own.fill(0, 3);
        map.fill(1, 3);
        Ok(())
    })?;
    own.holds(0, 2)?;
    map.holds(1, 3)?;
    use_all(file, map)?;
    let named = ["nr_hugepages", "explain", "can_grow"].map(|name| OURS.file(name));
    for path in named.into_iter().chain([debugfs::map_file(OURS)]) {
        check!(!fs::read(&path)?.is_empty(), "{path} is empty");
    }
    OURS.set_overcommit(1)?;
    OURS.set_overcommit(0)
}
