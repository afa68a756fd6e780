// SPDX-License-Identifier: GPL-2.0

//! RLIMIT_FSIZE: a file that is to grow past it is EFBIG, and SIGXFSZ is sent.

use std::mem;
use std::ptr;

use guest::beside::{beside, Side};
use guest::map::Request;
use guest::{call, Check, Errno};

use crate::{look, pages};

pub fn the_limit_on_file_sizes() -> Check {
    block()?;
    beside(6, |side| {
        let file = side.huge()?;
        let larger = side.huge()?;
        larger.set_size(pages(6))?;
        for limit in [pages(3), pages(3) - 1, pages(3) + 1] {
            let limited = Limited::to(limit)?;
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
            let limited = Limited::to(limit)?;
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

/// The limit, until it is dropped.
struct Limited(libc::rlimit);

impl Limited {
    fn to(bytes: u64) -> Check<Self> {
        // SAFETY: All zeroes is a valid rlimit; getrlimit fills it, setrlimit reads it.
        unsafe {
            let mut before: libc::rlimit = mem::zeroed();
            call(libc::getrlimit(libc::RLIMIT_FSIZE, &mut before))?;
            let now = libc::rlimit {
                rlim_cur: bytes,
                ..before
            };
            call(libc::setrlimit(libc::RLIMIT_FSIZE, &now))?;
            Ok(Self(before))
        }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: As in `to`. The test's process ends if this is no use.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &self.0) };
    }
}
