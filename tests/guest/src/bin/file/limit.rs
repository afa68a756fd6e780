// SPDX-License-Identifier: GPL-2.0

//! Resource limits: on the size of files, where one that is to grow past it is EFBIG and SIGXFSZ is
//! sent; on addresses and on private memory, which count a huge page as 512 base pages; on descriptors.

use std::fs::File;
use std::io::Read;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;

use guest::beside::{beside, Side};
use guest::file::Huge;
use guest::kind::{beside_both, Kind};
use guest::link::Link;
use guest::map::{Request, READ, WRITE};
use guest::memory::BASE_PAGE;
use guest::{call, check, kmod, poll, refused, same, Check, Errno, Fail, HUGE};

use crate::{look, pages};

pub fn the_limit_on_file_sizes() -> Check {
    block()?;
    beside(6, |side| {
        let file = side.huge()?;
        let larger = side.huge()?;
        larger.set_size(pages(6))?;
        for limit in [pages(3), pages(3) - 1, pages(3) + 1] {
            let limited = Limited::to(libc::RLIMIT_FSIZE, limit)?;
            for size in [2, 3, 4, 3, 0] {
                let result = file.set_size(pages(size));
                note(side, &format!("size {size}, limit {limit}"), result)?;
                let result = larger.set_size(pages(size + 2));
                note(side, &format!("size {size} + 2, limit {limit}"), result)?;
                look(side, "after setting sizes", &file, (6, 6, 0, 0))?;
            }
            larger.set_size(0)?;
            drop(limited);
            larger.set_size(pages(6))?;
            let limited = Limited::to(libc::RLIMIT_FSIZE, limit)?;
            for (offset, count) in [(0, 1), (1, 2), (2, 2), (5, 1)] {
                let result = file.preallocate(pages(offset), pages(count));
                let what = format!("{count} pages at {offset}, limit {limit}");
                note(side, &what, result)?;
                side.note(format!("the file with {what}"), file.state()?);
                note(
                    side,
                    &format!("{what}, hole"),
                    file.punch(pages(offset), pages(count)),
                )?;
                // This one is that large already.
                let result = larger.preallocate(pages(offset), pages(count));
                note(side, &format!("{what}, inside"), result)?;
                larger.punch(0, pages(6))?;
            }
            file.set_size(0)?;
            // Mappings know no limit.
            let map = file.map(Request::pages(5).unreserved());
            note(side, &format!("mmap, limit {limit}"), map.map(drop))?;
            look(side, "after mmap", &file, (6, 6, 0, 0))?;
            drop(limited);
            file.set_size(0)?;
        }
        Ok(())
    })
}

/// Notes a result, and whether SIGXFSZ came with it.
fn note(side: &mut Side, what: &str, result: Result<(), Errno>) -> Check {
    let signal = match call(
        // SAFETY: Both are valid; no siginfo is wanted.
        unsafe {
            let time: libc::timespec = mem::zeroed();
            libc::sigtimedwait(&signals(), ptr::null_mut(), &time)
        },
    ) {
        Err(Errno(libc::EAGAIN)) => None,
        other => Some(other?),
    };
    side.note(what, (result, signal));
    Ok(())
}

fn signals() -> libc::sigset_t {
    // SAFETY: The set is initialised by sigemptyset.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGXFSZ);
        set
    }
}

/// Has SIGXFSZ wait rather than kill.
fn block() -> Check {
    // SAFETY: The set is valid.
    call(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &signals(), ptr::null_mut()) })?;
    Ok(())
}

/// How much of a limit this process uses, in bytes: a field of /proc/self/status. Nothing is
/// allocated meanwhile, nor before the caller's next call, so that the number stays true.
fn used(field: &str) -> Check<u64> {
    let mut text = [0; 4096];
    let length = File::open("/proc/self/status")?.read(&mut text)?;
    let text = std::str::from_utf8(&text[..length])?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.strip_prefix(':')?.strip_suffix(" kB"));
    let Some(number) = number else {
        return Err(Fail(format!("no {field} in {text:?}")));
    };
    Ok(number.trim().parse::<u64>()? * 1024)
}

/// A limit that mappings come up against.
struct Limit {
    which: libc::__rlimit_resource_t,
    field: &'static str,
}

const ADDRESSES: Limit = Limit {
    which: libc::RLIMIT_AS,
    field: "VmSize",
};

const DATA: Limit = Limit {
    which: libc::RLIMIT_DATA,
    field: "VmData",
};

/// Room that is left: for one base page less than what is asked for, for just that, for one more.
const MARGINS: [i64; 3] = [-(BASE_PAGE as i64), 0, BASE_PAGE as i64];

impl Limit {
    /// Does `act` with so much room, which it needs if it `counts`. What it gave, for the caller to
    /// look at when there is no limit any more.
    fn with<T>(
        &self,
        bytes: usize,
        margin: i64,
        counts: bool,
        act: impl FnOnce() -> Result<T, Errno>,
    ) -> Check<Result<T, Errno>> {
        let limit = used(self.field)? as i64 + bytes as i64 + margin;
        let limited = Limited::to(self.which, limit as u64)?;
        let result = act();
        drop(limited);
        // hugetlb goes first: without this a wrong number of bytes would go unnoticed.
        let refused = matches!(result, Err(Errno(libc::ENOMEM)));
        same!(
            refused,
            counts && margin < 0,
            "{} {margin}, refused",
            self.field
        );
        Ok(result)
    }

    /// mmap, at a place of its own and over what is there, and mremap, which grows neither mapping,
    /// whatever room there is.
    fn mappings(&self, side: &mut Side, kind: Kind, counts: bool) -> Check {
        for margin in MARGINS {
            let file = side.huge()?;
            let what = format!("{} {margin}", self.field);
            let request = kind.pages(2);
            let map = self.with(request.bytes, margin, counts, || file.map(request))?;
            side.note(format!("{what}, mmap"), map.as_ref().err());
            side.note(format!("{what}, the file"), file.state()?);
            side.note_counts(&what)?;
            if counts && margin < 0 {
                look(side, &what, &file, (6, 6, 0, 0))?;
            }
            drop(map);

            let map = file.map(request)?;
            map.fill(0, 1);
            let over = Request {
                address: map.base(),
                flags: request.flags | libc::MAP_FIXED,
                ..request
            };
            // It needs no more than is there.
            let result = self.with(0, 0, counts, || file.map(over))?;
            side.note(format!("{what}, over itself"), result.map(mem::forget));
            map.fill(1, 2);
            side.note_counts(format!("{what}, over itself"))?;
            let grown = self.with(HUGE, margin, false, || {
                map.resize(3 * HUGE).map_err(|(map, errno)| {
                    drop(map);
                    errno
                })
            })?;
            let refused = |errno| Some(Errno(errno));
            side.deviates(
                format!("{what}, mremap"),
                grown.err(),
                refused(libc::EINVAL),
                refused(libc::EFAULT),
            )?;
            drop(file);
            side.settles(&what, (6, 6, 0, 0))?;
        }
        Ok(())
    }
}

pub fn address_space() -> Check {
    beside_both(6, |side, kind| ADDRESSES.mappings(side, kind, true))
}

/// Private mappings that can be written to are data; others become so by mprotect.
pub fn data() -> Check {
    beside_both(6, |side, kind| {
        DATA.mappings(side, kind, kind == Kind::Private)?;
        for margin in MARGINS {
            let file = side.huge()?;
            file.set_size(pages(2))?;
            let request = Request {
                protection: READ,
                ..kind.pages(2)
            };
            let map = DATA.with(request.bytes, margin, false, || file.map(request))??;
            let counts = kind == Kind::Private;
            let raised = DATA.with(map.bytes(), margin, counts, || {
                map.protect(0, map.bytes(), READ | WRITE)
            })?;
            side.note(format!("mprotect, {margin}"), raised);
            side.note_counts(format!("mprotect, {margin}"))?;
            drop((map, file));
            side.settles("unmapped", (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

/// A descriptor too many is refused, be it of an open or of a message, whose file is closed; and those
/// that there are go on.
pub fn open_files() -> Check {
    const ROOM: usize = 4;
    beside(6, |side| {
        poll::until("users of the module", kmod::users, |count| *count == 0)?;
        let (here, there) = Link::pair()?;
        let sent = side.huge()?;
        sent.preallocate(0, pages(1))?;
        here.send_descriptor(&sent)?;
        drop(sent);
        side.counts("with a file in flight", (6, 5, 0, 0))?;
        let mut files = Vec::with_capacity(ROOM);
        let next = File::open("/dev/null")?.as_raw_fd() as u64;
        let limited = Limited::to(libc::RLIMIT_NOFILE, next + ROOM as u64)?;
        // Higher ones may be in use.
        while let Ok(file) = Huge::new(side.pool()) {
            files.push(file);
        }
        for _ in 0..100 {
            refused!(Huge::new(side.pool()), libc::EMFILE, "one more");
        }
        check!(there.receive_descriptor().is_err(), "one more by message");
        drop(limited);
        side.settles("with nothing in flight", (6, 6, 0, 0))?;
        let opened = files.len() as u64;
        check!((1..=ROOM as u64).contains(&opened), "{opened} files");
        let of_module = if side.pool().is_ours() { opened } else { 0 };
        same!(kmod::users()?, of_module, "users of the module");
        for file in &files {
            file.map(Request::pages(1))?.fill(0, 1);
        }
        side.counts("all in use", (6, 6 - opened, 0, 0))?;
        drop(files);
        side.settles("all closed", (6, 6, 0, 0))?;
        poll::until("users of the module", kmod::users, |count| *count == 0).map(drop)
    })
}

/// A limit, until it is dropped.
struct Limited(libc::__rlimit_resource_t, libc::rlimit);

impl Limited {
    fn to(which: libc::__rlimit_resource_t, limit: u64) -> Check<Self> {
        // SAFETY: All zeroes is a valid rlimit; getrlimit fills it, setrlimit reads it.
        unsafe {
            let mut before: libc::rlimit = mem::zeroed();
            call(libc::getrlimit(which, &mut before))?;
            let now = libc::rlimit {
                rlim_cur: limit,
                ..before
            };
            call(libc::setrlimit(which, &now))?;
            Ok(Self(which, before))
        }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: As in `to`. The test's process ends if this is no use.
        unsafe { libc::setrlimit(self.0, &self.1) };
    }
}
