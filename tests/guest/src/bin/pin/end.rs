// SPDX-License-Identifier: GPL-2.0

//! The ways in which a pinned page comes to be mapped nowhere.

use guest::beside::Side;
use guest::child::fork;
use guest::kind::Kind;
use guest::map::{Map, Request};
use guest::{Check, HUGE};

use crate::holder::{Holder, PINNED};

/// How the page lost its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// munmap, and the file was closed before.
    Unmap,
    /// The process that mapped it exits.
    Exit,
    /// It is killed.
    Kill,
    /// The file is cut off before it; the mapping stays.
    Truncate,
    /// The file gets a hole there; the mapping stays.
    Punch,
}

impl End {
    /// Has `holder` pin a new page that holds [`PINNED`], and unmaps the page in this way. The
    /// mapping, if that stays.
    pub fn of_pinned(self, side: &Side, kind: Kind, holder: &mut dyn Holder) -> Check<Option<Map>> {
        let request = plain(kind, 1);
        match self {
            Self::Unmap => {
                let map = filled(request.map(&side.open()?)?);
                holder.pin(&map)?;
                holder.is_at(map.base());
                Ok(None)
            }
            Self::Exit | Self::Kill => {
                let child = fork(|link| {
                    let file = side.open()?;
                    let map = filled(request.map(&file)?);
                    holder.pin(&map)?;
                    link.send(map.base() as u64)?;
                    link.number()?;
                    // Nothing is unmapped or closed: the end of the process does both.
                    std::mem::forget((file, map));
                    Ok(())
                })?;
                holder.is_at(child.link.number()? as *mut u8);
                if self == Self::Exit {
                    child.link.send(1)?;
                    child.finish()?;
                } else {
                    child.kill()?;
                }
                Ok(None)
            }
            Self::Truncate | Self::Punch => {
                let file = side.huge()?;
                let map = filled(file.map(request)?);
                holder.pin(&map)?;
                holder.is_at(map.base());
                if self == Self::Truncate {
                    file.set_size(0)?;
                } else {
                    file.punch(0, HUGE as u64)?;
                }
                Ok(Some(map))
            }
        }
    }
}

fn filled(map: Map) -> Map {
    map.fill(0, PINNED);
    map
}

/// A mapping without promises if it is private. With them hugetlb would promise the page again when
/// it is unmapped, before it has it: see [`crate::promise`].
pub fn plain(kind: Kind, pages: usize) -> Request {
    match kind {
        Kind::Shared => kind.pages(pages),
        Kind::Private => kind.pages(pages).unreserved(),
    }
}
