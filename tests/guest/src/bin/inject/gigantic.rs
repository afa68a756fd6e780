// SPDX-License-Identifier: GPL-2.0

//! Calls about 1 GiB pages. Fault injection does not reach the allocation of contiguous memory: that
//! fails for want of room, in a guest that has none.

use guest::access::catch;
use guest::file::Huge;
use guest::map::Request;
use guest::pool::{memory_nodes, write_once, Pool, Resized, OURS, OURS_1G};
use guest::{fail, same, Check, Errno, GIGANTIC, HUGE};

use crate::fault::{each, NO_MEMORY};
use crate::operator::written;

/// Pages of 2 MiB in one of 1 GiB.
const PIECES: u64 = (GIGANTIC / HUGE) as u64;

/// What must be refused for want of memory, whichever allocation fails.
fn refused<T>(result: Result<T, Errno>) -> Result<(), Errno> {
    refused_with(libc::ENOMEM, result)
}

/// What must be refused so when no allocation fails.
pub fn refused_with<T>(errno: i32, result: Result<T, Errno>) -> Result<(), Errno> {
    match result {
        Ok(_) => Err(Errno(libc::EEXIST)),
        Err(Errno(refusal)) if refusal == errno => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The pool may make pages, and has none. That there are none to be had is seen first.
fn without_room() -> Check<Resized> {
    let pool = Resized::of(OURS_1G, 0)?;
    OURS_1G.set(2)?;
    same!(OURS_1G.nr()?, 0, "1 GiB pages in a guest without room");
    OURS_1G.set_overcommit(2)?;
    Ok(pool)
}

pub fn resize_without_room() -> Check {
    let _pool = without_room()?;
    let nr = OURS_1G.file("nr_hugepages");
    each(NO_MEMORY, || Ok(()), |()| write_once(&nr, b"2"))
}

pub fn map_without_room() -> Check {
    let _pool = without_room()?;
    each(
        NO_MEMORY,
        || Ok(Huge::new(OURS_1G)?),
        |file| refused(file.map(Request::of(OURS_1G, 1))),
    )
}

pub fn touch_without_room() -> Check {
    catch()?;
    let _pool = without_room()?;
    each(
        NO_MEMORY,
        || Ok(Huge::new(OURS_1G)?.map(Request::of(OURS_1G, 1).unreserved())?),
        |map| refused(map.try_read(0).map_err(|_| Errno(libc::ENOMEM))),
    )
}

pub fn resize() -> Check {
    written(OURS_1G, None, 1)
}

pub fn resize_a_node() -> Check {
    let pools = one_page(OURS_1G)?;
    let node = node_of(OURS_1G)?;
    drop(pools);
    written(OURS_1G, node, 1)
}

pub fn preallocate() -> Check {
    let _pools = one_page(OURS_1G)?;
    each(
        &[libc::ENOMEM, libc::ENOSPC],
        || Ok(Huge::new(OURS_1G)?),
        |file| file.preallocate(0, GIGANTIC as u64),
    )
}

/// One page of 1 GiB, as a whole or in pieces; the other pool empty.
pub fn one_page(of: Pool) -> Check<(Resized, Resized)> {
    let small = Resized::ours(0)?;
    let large = Resized::of(OURS_1G, 1)?;
    if of == OURS {
        OURS_1G.write(None, "demote", 1)?;
        same!(OURS.nr()?, PIECES, "the pieces of a 1 GiB page");
    }
    Ok((small, large))
}

/// The page as it was, should it have been converted.
struct Converted {
    from: Pool,
    back: String,
}

impl Drop for Converted {
    fn drop(&mut self) {
        if self.from.nr().is_ok_and(|nr| nr == 0) {
            // The counters are looked at next.
            let _ = write_once(&self.back, b"1");
        }
    }
}

/// Converts it and back by the files of a node, or of the pools. It is promoted by a file of the small
/// pages, and demoted by one of the large.
fn converted(from: Pool, node: Option<usize>) -> Check {
    let demote = OURS_1G.file_of(node, "demote");
    let promote = OURS.file_of(node, "promote");
    let (there, back) = if from == OURS {
        (promote, demote)
    } else {
        (demote, promote)
    };
    each(
        NO_MEMORY,
        || {
            let back = back.clone();
            Ok(Converted { from, back })
        },
        |_| write_once(&there, b"1"),
    )
}

/// The node that has the pages of a pool.
fn node_of(pool: Pool) -> Check<Option<usize>> {
    for node in memory_nodes()? {
        if pool.read(Some(node), "nr_hugepages")? == pool.nr()? {
            return Ok(Some(node));
        }
    }
    fail!("no node has all pages")
}

pub fn demote() -> Check {
    let _pools = one_page(OURS_1G)?;
    converted(OURS_1G, None)
}

pub fn promote() -> Check {
    let _pools = one_page(OURS)?;
    converted(OURS, None)
}

pub fn demote_on_a_node() -> Check {
    let _pools = one_page(OURS_1G)?;
    converted(OURS_1G, node_of(OURS_1G)?)
}

pub fn promote_on_a_node() -> Check {
    let _pools = one_page(OURS)?;
    converted(OURS, node_of(OURS)?)
}

/// A file with nothing but a first page needs no memory for its page map.
pub fn touch() -> Check {
    catch()?;
    let _pools = one_page(OURS_1G)?;
    each(
        NO_MEMORY,
        || Ok(Huge::new(OURS_1G)?.map(Request::of(OURS_1G, 2).unreserved())?),
        |map| {
            let second = map.page_bytes();
            map.try_write(second, 1).map_err(|_| Errno(libc::ENOMEM))
        },
    )
}
