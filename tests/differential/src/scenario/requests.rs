// SPDX-License-Identifier: GPL-2.0

//! Mappings that are asked for in odd ways: the same errno, or the same success, on both.

use std::os::fd::AsRawFd;
use std::ptr;

use crate::backend::Backend;
use crate::ktap::Check;
use crate::sys::{call, errno_name, Returned};
use crate::HUGE;

/// Where the address comes from.
#[derive(Clone, Copy)]
enum Place {
    Any,
    /// A hint: so many bytes into free address space.
    Hint(usize),
    /// MAP_FIXED there.
    Fixed(usize),
    /// MAP_FIXED at this address.
    At(usize),
    /// MAP_FIXED_NOREPLACE where a mapping is already.
    Taken,
}

struct Request {
    name: &'static str,
    place: Place,
    length: usize,
    flags: i32,
    offset: i64,
}

const fn request(name: &'static str, place: Place, length: usize, offset: i64) -> Request {
    Request {
        name,
        place,
        length,
        flags: libc::MAP_SHARED,
        offset,
    }
}

const fn flagged(name: &'static str, flags: i32) -> Request {
    Request {
        name,
        place: Place::Any,
        length: HUGE,
        flags,
        offset: 0,
    }
}

/// The page size, as a file offset.
const PAGE: i64 = HUGE as i64;

/// All lengths are multiples of the page size: with others the module differs (DEVIATIONS.md).
const REQUESTS: &[Request] = &[
    request("one page", Place::Any, HUGE, 0),
    request("no length", Place::Any, 0, 0),
    request("no length, no page offset", Place::Any, 0, 4096),
    request("more than there are", Place::Any, 5 * HUGE, 0),
    request("the whole address space", Place::Any, 1 << 47, 0),
    request("more than the address space", Place::Any, 1 << 62, 0),
    request(
        "all there is to a number",
        Place::Any,
        usize::MAX - HUGE + 1,
        0,
    ),
    request("offset: the second page", Place::Any, HUGE, PAGE),
    request("offset: 4 KiB", Place::Any, HUGE, 4096),
    request("offset: half a page", Place::Any, HUGE, PAGE / 2),
    request("offset: one byte", Place::Any, HUGE, 1),
    request(
        "offset: the last page but one",
        Place::Any,
        HUGE,
        i64::MAX - 2 * PAGE + 1,
    ),
    request(
        "offset: the last page",
        Place::Any,
        HUGE,
        i64::MAX - PAGE + 1,
    ),
    request(
        "offset: over the end",
        Place::Any,
        2 * HUGE,
        i64::MAX - PAGE + 1,
    ),
    request(
        "offset: over the end, no page",
        Place::Any,
        HUGE,
        i64::MAX - 4095,
    ),
    request("offset: negative", Place::Any, HUGE, -PAGE),
    request("offset: negative, no page", Place::Any, HUGE, -4096),
    request("offset: the most negative", Place::Any, HUGE, i64::MIN),
    request("hint: a page", Place::Hint(0), HUGE, 0),
    request("hint: no page", Place::Hint(4096), HUGE, 0),
    request("fixed: a page", Place::Fixed(0), HUGE, 0),
    request("fixed: no page", Place::Fixed(4096), HUGE, 0),
    request("fixed: one byte", Place::Fixed(1), HUGE, 0),
    request(
        "fixed: over the end",
        Place::At((1 << 47) - HUGE),
        2 * HUGE,
        0,
    ),
    request("fixed: past the end", Place::At(1 << 47), HUGE, 0),
    request("fixed: at 0", Place::At(0), HUGE, 0),
    request("fixed, not to replace", Place::Taken, HUGE, 0),
    flagged("MAP_SHARED_VALIDATE", libc::MAP_SHARED_VALIDATE),
    flagged("MAP_SYNC", libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC),
    flagged("an unknown flag", libc::MAP_SHARED_VALIDATE | (1 << 30)),
    flagged("MAP_POPULATE", libc::MAP_SHARED | libc::MAP_POPULATE),
    flagged("MAP_LOCKED", libc::MAP_SHARED | libc::MAP_LOCKED),
    flagged("MAP_NORESERVE", libc::MAP_SHARED | libc::MAP_NORESERVE),
    flagged("MAP_GROWSDOWN", libc::MAP_SHARED | libc::MAP_GROWSDOWN),
    flagged("MAP_32BIT", libc::MAP_SHARED | libc::MAP_32BIT),
    flagged("neither shared nor private", 0),
];

/// Each request, with four pages in the pools.
pub fn refused_alike() -> Check {
    for backend in Backend::BOTH {
        write_size(backend, 4)?;
    }
    let mut wrong = vec![];
    for request in REQUESTS {
        let [expected, seen] = Backend::BOTH.map(|backend| made(backend, request));
        if expected != seen {
            let name = request.name;
            wrong.push(format!("{name}: {}, not {}", text(seen), text(expected)));
        }
    }
    for backend in Backend::BOTH {
        write_size(backend, 0)?;
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("; ")),
    }
}

fn write_size(backend: Backend, count: u64) -> Check {
    let text = count.to_string();
    backend
        .write(crate::backend::Knob::Nr, text.as_bytes())
        .map(drop)
        .map_err(|errno| format!("{}: write {count}: {}", backend.name(), errno_name(errno)))
}

fn text(returned: Returned) -> String {
    match returned {
        Ok(0) => "success".to_string(),
        Ok(rest) => format!("success {rest:#x} bytes off a page, or elsewhere"),
        Err(errno) => errno_name(errno),
    }
}

/// Asks for a mapping of a new file and takes it away again. What is returned where an address
/// would be: how far that is from where it must be.
fn made(backend: Backend, request: &Request) -> Returned {
    let file = backend.open()?;
    let (hint, flags, kept) = match request.place {
        Place::Any => (0, 0, None),
        Place::At(address) => (address, libc::MAP_FIXED, None),
        Place::Hint(into) => (free_place()? + into, 0, None),
        Place::Fixed(into) => (free_place()? + into, libc::MAP_FIXED, None),
        Place::Taken => {
            let address = free_place()?;
            // SAFETY: Nothing is there.
            let taken = call(unsafe {
                libc::mmap(
                    address as *mut _,
                    HUGE,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                    -1,
                    0,
                )
            } as i64)? as usize;
            (taken, libc::MAP_FIXED_NOREPLACE, Some(taken))
        }
    };
    // SAFETY: At most it replaces what is nowhere, or what `kept` is.
    let mapped = call(unsafe {
        libc::mmap(
            hint as *mut _,
            request.length,
            libc::PROT_READ | libc::PROT_WRITE,
            request.flags | flags,
            file.as_raw_fd(),
            request.offset,
        )
    } as i64);
    let unmap = |address: usize, length| {
        // SAFETY: It is what was just mapped.
        call(unsafe { libc::munmap(address as *mut _, length) })
    };
    if let Some(kept) = kept {
        unmap(kept, HUGE)?;
    }
    let address = mapped? as usize;
    unmap(address, request.length)?;
    Ok(match request.place {
        Place::Hint(_) | Place::Fixed(_) | Place::At(_) | Place::Taken => {
            address as i64 - (hint.next_multiple_of(HUGE)) as i64
        }
        Place::Any => (address % HUGE) as i64,
    })
}

/// A multiple of the page size, with free address space of four pages after it.
fn free_place() -> Result<usize, i32> {
    // SAFETY: A new mapping where nothing is, and its end.
    unsafe {
        let found = call(libc::mmap(
            ptr::null_mut(),
            5 * HUGE,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        ) as i64)?;
        call(libc::munmap(found as *mut _, 5 * HUGE))?;
        Ok((found as usize).next_multiple_of(HUGE))
    }
}
