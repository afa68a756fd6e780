// SPDX-License-Identifier: GPL-2.0

//! Shared and private mappings: the same test on both.

use std::fs::File;

use crate::beside::{beside, Side};
use crate::map::{Map, Request};
use crate::{word, Check, Fail, HUGE};

/// How a file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shared,
    Private,
}

impl Kind {
    pub const BOTH: [Self; 2] = [Self::Shared, Self::Private];

    /// [`Request::pages`], of this kind.
    pub fn pages(self, pages: usize) -> Request {
        match self {
            Self::Shared => Request::pages(pages),
            Self::Private => Request::pages(pages).private(),
        }
    }
}

/// [`beside`], with shared mappings and then with private ones.
pub fn beside_both(pages: u64, act: impl Fn(&mut Side, Kind) -> Check) -> Check {
    for kind in Kind::BOTH {
        beside(pages, |side| act(side, kind))
            .map_err(|Fail(why)| Fail(format!("{kind:?}: {why}")))?;
    }
    Ok(())
}

/// A new file and a mapping of `pages` pages of it, each of which holds its number and 10.
pub fn stamped(side: &Side, kind: Kind, pages: usize) -> Check<(File, Map)> {
    let file = side.open()?;
    let map = kind.pages(pages).map(&file)?;
    for page in 0..pages {
        map.fill(page, 10 + page as u64);
    }
    Ok((file, map))
}

/// The same, but the last page is not touched, and the one before was only read.
pub fn half_touched(side: &Side, kind: Kind, pages: usize) -> Check<(File, Map)> {
    let file = side.open()?;
    let map = kind.pages(pages).map(&file)?;
    for page in 0..pages - 2 {
        map.fill(page, 10 + page as u64);
    }
    map.read((pages - 2) * HUGE);
    Ok((file, map))
}

/// Notes all counters, and what the first and the last word of each page are, where they can be
/// read at all.
pub fn look(side: &mut Side, what: &str, map: &Map) -> Check {
    side.note_counts(what)?;
    for page in 0..map.pages() {
        let words = [page * HUGE, (page + 1) * HUGE - 8].map(|offset| word::load(map, offset));
        side.note(format_args!("{what}, words of page {page}"), words);
    }
    side.note_counts(format_args!("{what}, all read"))
}
