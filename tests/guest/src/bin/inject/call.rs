// SPDX-License-Identifier: GPL-2.0

//! The calls of a user.

use std::ptr;

use guest::access::catch;
use guest::file::Huge;
use guest::map::{Map, Request, READ};
use guest::pool::{Resized, OURS};
use guest::{call, device, Check, Errno, HUGE};

use crate::fault::{each, NO_MEMORY};

const PAGES: usize = 3;
/// A pool with room for a copy of each.
const POOL: u64 = 2 * PAGES as u64;

fn file() -> Check<Huge> {
    Ok(Huge::new(OURS)?)
}

fn mapped(request: Request) -> Check<Map> {
    Ok(file()?.map(request)?)
}

fn shared() -> Request {
    Request::of(OURS, PAGES)
}

/// Touches all pages. A SIGBUS is a refusal, as there are no errnos for it.
fn touch(map: &Map, word: Option<u64>) -> Result<(), Errno> {
    for page in 0..PAGES {
        let touched = match word {
            Some(word) => map.try_write(page * HUGE, word),
            None => map.try_read(page * HUGE).map(drop),
        };
        touched.map_err(|_| Errno(libc::ENOMEM))?;
    }
    Ok(())
}

pub fn open() -> Check {
    let _pool = Resized::ours(POOL)?;
    each(NO_MEMORY, || Ok(()), |()| device::open_of(OURS))
}

pub fn map_shared() -> Check {
    let _pool = Resized::ours(POOL)?;
    each(NO_MEMORY, file, |file| file.map(shared()))
}

pub fn map_private() -> Check {
    let _pool = Resized::ours(POOL)?;
    each(NO_MEMORY, file, |file| file.map(shared().private()))
}

/// With pages that are yet to be got.
pub fn map_surplus() -> Check {
    let _pool = Resized::ours(1)?;
    OURS.set_overcommit(POOL)?;
    each(NO_MEMORY, file, |file| file.map(shared()))
}

pub fn touch_shared() -> Check {
    catch()?;
    let _pool = Resized::ours(POOL)?;
    each(NO_MEMORY, || mapped(shared()), |map| touch(map, Some(1)))
}

pub fn touch_private() -> Check {
    catch()?;
    let _pool = Resized::ours(POOL)?;
    each(
        NO_MEMORY,
        || mapped(shared().private()),
        |map| touch(map, Some(1)),
    )
}

/// With pages that are yet to be got.
pub fn touch_unreserved() -> Check {
    catch()?;
    let _pool = Resized::ours(1)?;
    OURS.set_overcommit(POOL)?;
    each(
        NO_MEMORY,
        || mapped(shared().unreserved()),
        |map| touch(map, None),
    )
}

pub fn copy_on_write() -> Check {
    catch()?;
    let _pool = Resized::ours(POOL)?;
    let prepare = || {
        let file = file()?;
        file.preallocate(0, (PAGES * HUGE) as u64)?;
        let map = file.map(shared().private())?;
        touch(&map, None)?;
        Ok(map)
    };
    each(NO_MEMORY, prepare, |map| touch(map, Some(1)))
}

/// A child that only exits.
pub fn fork_private() -> Check {
    let _pool = Resized::ours(POOL)?;
    let prepare = || {
        let map = mapped(shared().private())?;
        touch(&map, Some(1))?;
        Ok(map)
    };
    each(&[libc::ENOMEM, libc::EAGAIN], prepare, |_| {
        // SAFETY: The child does nothing but exit.
        let pid = call(unsafe { libc::fork() })? as libc::pid_t;
        if pid == 0 {
            // SAFETY: As above.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: The status may be left out.
        call(unsafe { libc::waitpid(pid, ptr::null_mut(), 0) })
    })
}

/// One mapping becomes three, and one of these moves.
pub fn split_and_move() -> Check {
    let _pool = Resized::ours(POOL)?;
    let prepare = || {
        let map = mapped(shared().private())?;
        touch(&map, Some(1))?;
        let (around, target) = Map::reserve(1)?;
        Ok((map, around, target, false))
    };
    each(NO_MEMORY, prepare, |(map, _, target, is_moved)| {
        if *is_moved {
            return map.unmap(0, HUGE);
        }
        map.protect(HUGE, HUGE, READ)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: The page is of this mapping, whose drop tolerates holes; the target is reserved.
        let moved = unsafe {
            libc::mremap(
                map.at(2 * HUGE).cast(),
                HUGE,
                HUGE,
                flags,
                target.cast::<libc::c_void>(),
            )
        };
        if moved == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        *is_moved = true;
        map.unmap(0, HUGE)
    })
}

pub fn preallocate() -> Check {
    let _pool = Resized::ours(1)?;
    OURS.set_overcommit(POOL)?;
    each(&[libc::ENOMEM, libc::ENOSPC], file, |file| {
        file.preallocate(0, (PAGES * HUGE) as u64)
    })
}
