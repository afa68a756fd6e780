// SPDX-License-Identifier: GPL-2.0

//! Mappings of 1 GiB pages. Each has a guard, and where one becomes two it is too late to refuse that:
//! the new one may go without, and is mapped in base pages from then on. The page is the same.

use guest::access::catch;
use guest::file::Huge;
use guest::link::Link;
use guest::map::{Map, Request, READ};
use guest::pool::OURS_1G;
use guest::{same, Check, Errno, GIGANTIC};

use crate::fault::{each, each_seen, NO_MEMORY};
use crate::forked::Forked;
use crate::gigantic::{one_page, refused_with};

/// What is in the page.
const BEFORE: u64 = 1;
/// What is written there later.
const CHANGED: u64 = 2;
/// Where, in the page.
const PLACE: usize = GIGANTIC / 2;

fn file() -> Check<Huge> {
    Ok(Huge::new(OURS_1G)?)
}

/// A file that has a page for as long as it lives: to clear one takes seconds.
fn with_a_page() -> Check<Huge> {
    let file = file()?;
    file.preallocate(0, GIGANTIC as u64)?;
    Ok(file)
}

/// A mapping of two pages of that file, of which the second is never there.
fn touched(file: &Huge) -> Check<Map> {
    let map = file.map(Request::of(OURS_1G, 2).unreserved())?;
    map.write(PLACE, BEFORE);
    Ok(map)
}

pub fn shared() -> Check {
    let _pools = one_page(OURS_1G)?;
    each(NO_MEMORY, file, |file| file.map(Request::of(OURS_1G, 1)))
}

/// There are none, and nothing is left of the attempt.
pub fn private() -> Check {
    let _pools = one_page(OURS_1G)?;
    each(NO_MEMORY, file, |file| {
        refused_with(libc::EINVAL, file.map(Request::of(OURS_1G, 1).private()))
    })
}

/// One mapping becomes two. The first part is the new one, which has the page.
pub fn split() -> Check {
    let _pools = one_page(OURS_1G)?;
    let file = with_a_page()?;
    each_seen(
        NO_MEMORY,
        || touched(&file),
        |map| map.protect(GIGANTIC, GIGANTIC, READ),
        |map, _| {
            same!(map.read(PLACE), BEFORE, "the word of a part");
            // So that it is mapped anew, with a guard or without.
            map.advise(libc::MADV_DONTNEED)?;
            same!(map.read(PLACE), BEFORE, "the word of a part, mapped anew");
            map.write(PLACE, CHANGED);
            same!(map.read(PLACE), CHANGED, "the word of a part, changed");
            Ok(())
        },
    )
    .map(drop)
}

/// A part of a mapping, to other addresses.
pub fn moved() -> Check {
    catch()?;
    let _pools = one_page(OURS_1G)?;
    let file = with_a_page()?;
    let prepare = || {
        let map = touched(&file)?;
        let (around, target) = Map::reserve_for(Request::of(OURS_1G, 1))?;
        Ok((map, around, target))
    };
    each_seen(
        NO_MEMORY,
        prepare,
        |(map, _, target)| {
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            // SAFETY: The page is of this mapping, whose drop tolerates holes; the target is reserved.
            let moved = unsafe {
                libc::mremap(
                    map.base().cast(),
                    GIGANTIC,
                    GIGANTIC,
                    flags,
                    target.cast::<libc::c_void>(),
                )
            };
            if moved == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            Ok(())
        },
        |(_, around, target), ()| {
            let place = *target as usize - around.base() as usize + PLACE;
            let word = around.try_read(place);
            same!(word, Ok(BEFORE), "the word where it was moved to");
            around.advise(libc::MADV_DONTNEED)?;
            let word = around.try_read(place);
            same!(word, Ok(BEFORE), "the word there, mapped anew");
            Ok(())
        },
    )
    .map(drop)
}

/// How a child ends that has the page.
const SAME: i32 = 0;
const OTHER: i32 = 1;

/// The child waits until no allocation fails any more.
pub fn fork() -> Check {
    let _pools = one_page(OURS_1G)?;
    let file = with_a_page()?;
    let prepare = || Ok((touched(&file)?, Link::pair()?));
    each_seen(
        &[libc::ENOMEM, libc::EAGAIN],
        prepare,
        |(map, (_, there))| {
            Forked::new(|| {
                if there.number().is_err() || map.read(PLACE) != BEFORE {
                    return OTHER;
                }
                map.write(PLACE, CHANGED);
                SAME
            })
        },
        |(map, (here, _)), mut child| {
            here.send(0)?;
            same!(child.wait()?, SAME, "how the child ended");
            same!(map.read(PLACE), CHANGED, "what the child wrote");
            Ok(())
        },
    )
    .map(drop)
}
