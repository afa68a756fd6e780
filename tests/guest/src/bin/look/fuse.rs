// SPDX-License-Identifier: GPL-2.0

//! Processes that stall because a file system of their own (FUSE) does not answer: as behind
//! userfaultfd, they keep a page, perhaps, but nobody who uses the pool.

use std::fs::File;
use std::os::fd::AsRawFd;

use guest::child::{fork, in_child};
use guest::file::{Huge, INFO, PREALLOCATE, PUNCH_HOLE, SET_SIZE};
use guest::map::{Map, Request};
use guest::pool::Resized;
use guest::{call, check, refused, same, Check, Errno, HUGE};

use crate::slow::{End, Slow};
use crate::stall::{
    all_is_over, copy, read, use_what_they_keep, write, Targets, BYTES, PAGES, POOL,
};

/// What a call does with its memory.
#[derive(Clone, Copy)]
enum Act<'a> {
    /// The ioctl of that number, whose argument it is.
    Ask(&'a Huge, libc::c_ulong),
    Read(&'a File),
    Write(&'a File),
    /// process_vm_readv from there in the parent.
    Copy(*mut u8),
}

impl Act<'_> {
    fn with(self, memory: *mut u8) -> Result<i64, Errno> {
        match self {
            Self::Ask(file, number) => {
                // SAFETY: There is room for what each of the calls reads and writes.
                call(unsafe { libc::ioctl(file.as_raw_fd(), number, memory) })
            }
            Self::Read(file) => read(file, memory),
            Self::Write(file) => write(file, memory),
            Self::Copy(from) => copy(from, memory),
        }
    }
}

/// A call that is to stall.
struct Call<'a> {
    name: &'static str,
    act: Act<'a>,
    /// What the server has for the first words of its memory.
    content: [u64; 2],
    /// What it returns once the memory came; none: some bytes.
    returns: Option<i64>,
    /// The first word of its memory after that, where that is known.
    word: Option<u64>,
}

/// Text in a word.
fn text(text: &[u8; 3]) -> u64 {
    let [a, b, c] = *text;
    u64::from_ne_bytes([a, b, c, 0, 0, 0, 0, 0])
}

/// A file system whose file has a page for each of the calls.
fn file_for(calls: &[Call<'_>]) -> Check<Slow> {
    let mut content = vec![0; calls.len() * BYTES];
    for (call, page) in calls.iter().zip(content.chunks_exact_mut(BYTES)) {
        for (word, bytes) in call.content.iter().zip(page.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
    }
    Slow::mount(&content)
}

/// Memory that is such a file.
fn memory(slow: &Slow, pages: usize) -> Check<Map> {
    let request = Request {
        bytes: pages * BYTES,
        page_bytes: BYTES,
        ..Request::pages(pages).private()
    };
    let map = request.map(&slow.open(0)?)?;
    // The server is asked for each page when it is needed, and for no other.
    map.advise(libc::MADV_RANDOM)?;
    Ok(map)
}

impl Call<'_> {
    /// Has a process make it with the memory at `offset`, and waits until it stalls there.
    fn stall(&self, slow: &mut Slow, memory: &Map, offset: usize, end: End) -> Check {
        let name = self.name;
        let child = fork(|link| {
            let seen = self.act.with(memory.at(offset));
            link.send(0)?;
            if end == End::Dies {
                refused!(seen, libc::EFAULT, "{name}");
                return Ok(());
            }
            match self.returns {
                Some(want) => same!(seen, Ok(want), "{name}"),
                None => check!(seen.is_ok_and(|bytes| bytes > 0), "{name}: {seen:?}"),
            }
            if let Some(want) = self.word {
                same!(memory.read(offset), want, "what {name} left in memory");
            }
            Ok(())
        })?;
        slow.stalls(name, child, offset)
    }
}

pub fn who_waits_for_an_answer_keeps_nobody() -> Check {
    stall_all(End::Answers)
}

pub fn who_waits_for_a_server_that_dies_keeps_nobody() -> Check {
    stall_all(End::Dies)
}

fn stall_all(end: End) -> Check {
    const PAGE: u64 = HUGE as u64;
    const COPIED: Option<i64> = Some(BYTES as i64);
    let _pool = Resized::ours(POOL)?;
    let of = Targets::new()?;
    let quiet = |name, act| Call {
        name,
        act,
        content: [0, 0],
        returns: Some(0),
        word: None,
    };
    let calls = [
        Call {
            word: Some(PAGE),
            ..quiet("info", Act::Ask(&of.file, INFO))
        },
        Call {
            content: [PAGES as u64 * PAGE, 0],
            ..quiet("set the size", Act::Ask(&of.file, SET_SIZE))
        },
        Call {
            content: [PAGE, PAGE],
            ..quiet("punch a hole", Act::Ask(&of.file, PUNCH_HOLE))
        },
        Call {
            content: [2 * PAGE, PAGE],
            ..quiet("preallocate", Act::Ask(&of.file, PREALLOCATE))
        },
        Call {
            returns: Some(3),
            word: Some(text(b"10\n")),
            ..quiet("nr_hugepages", Act::Read(&of.nr))
        },
        Call {
            returns: None,
            ..quiet("explain", Act::Read(&of.explain))
        },
        Call {
            returns: None,
            ..quiet("the map", Act::Read(&of.listing))
        },
        Call {
            content: [text(b"12\n"), 0],
            returns: COPIED,
            ..quiet("a write of nr_hugepages", Act::Write(&of.knob))
        },
        Call {
            returns: COPIED,
            word: Some(1),
            ..quiet("process_vm_readv", Act::Copy(of.map.base()))
        },
        Call {
            returns: COPIED,
            word: Some(1),
            ..quiet("a pipe with a page", Act::Read(&of.pipe.0))
        },
    ];
    let mut slow = file_for(&calls)?;
    let memory = memory(&slow, calls.len())?;
    for (page, call) in calls.iter().enumerate() {
        call.stall(&mut slow, &memory, page * BYTES, end)?;
    }
    in_child(|| use_what_they_keep(&of.file, &of.map))?;
    same!(
        sizes(&of.file)?,
        (2, 2),
        "pages of the file, and those it has"
    );
    slow.end(end)?;

    let (pages, count) = match end {
        End::Answers => (PAGES as u64, 12),
        End::Dies => (2, POOL),
    };
    same!(sizes(&of.file)?, (pages, 2), "the same when all came back");
    drop((of, memory));
    slow.unmount()?;
    all_is_over(count)
}

/// How many pages a file is long, and how many it has.
fn sizes(file: &Huge) -> Check<(u64, u64)> {
    let state = file.state()?;
    Ok((
        state.size / state.page_size,
        state.allocated / state.page_size,
    ))
}
