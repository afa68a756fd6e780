// SPDX-License-Identifier: GPL-2.0

//! Mappings, and what is done with them.

use crate::advice::Advice;
use crate::generate::{Generator, AREAS};
use crate::op::{Move, NewMap, Op, Pages, Place, Prot, Sharing, Skew, Way, MAPS, SLOT_PAGES};
use crate::pair::Pair;
use crate::size::{FILE_PAGES, HUGE};

/// The page whose offset in bytes is negative, as a signed number.
const SIGN: u64 = (1 << 63) / HUGE as u64;

/// Where else in a file mappings may begin: about the last page of any file, and where offsets are
/// negative.
const FAR: [u64; 5] = [1 << 20, SIGN - 8, SIGN, 2 * SIGN - 8, 2 * SIGN - 1];

/// The pages of a slot that mappings begin at.
const STARTS: usize = 20;

/// How often a place is looked for where nothing is.
const TRIES: usize = 4;

impl Generator {
    fn place(&mut self) -> Place {
        Place {
            map: self.random.usize(..MAPS),
            page: self.random.usize(..STARTS),
        }
    }

    /// A place where nothing is, for so many pages.
    fn free_place(&mut self, pair: &Pair, who: usize, count: usize) -> Option<Place> {
        (0..TRIES).map(|_| self.place()).find(|place| {
            pair.maps(who)
                .over(place.pages(count).span())
                .next()
                .is_none()
        })
    }

    /// Some pages of some mapping, often all of them, and once in a while some beside it.
    fn pages(&mut self, pair: &Pair, who: usize) -> Option<Pages> {
        let area = self.one_of(pair.maps(who).areas())?.pages.clone();
        let (map, first) = (area.start / SLOT_PAGES, area.start % SLOT_PAGES);
        if self.chance(4) {
            let first = first.saturating_sub(self.random.usize(..3));
            let count = (area.len() + self.random.usize(..4)).min(SLOT_PAGES - first);
            return Some(Pages { map, first, count });
        }
        if self.chance(40) {
            let count = area.len();
            return Some(Pages { map, first, count });
        }
        let skipped = self.random.usize(..area.len());
        Some(Pages {
            map,
            first: first + skipped,
            count: self.random.usize(1..=area.len() - skipped),
        })
    }

    fn prot(&mut self) -> Prot {
        match self.random.u32(..100) {
            0..=84 => Prot::ReadWrite,
            85..=97 => Prot::Read,
            _ => Prot::None,
        }
    }

    /// Something off, at times.
    fn skew(&mut self, of: &[Skew]) -> Skew {
        match self.chance(4) {
            true => of[self.random.usize(..of.len())],
            false => Skew::None,
        }
    }

    pub(super) fn map(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let file = self.file(pair, who, true)?;
        let fixed = self.chance(12);
        if !fixed && pair.maps(who).areas().len() >= AREAS {
            return None;
        }
        let mut new = self.new_map(file);
        new.fixed = fixed;
        if !fixed {
            new.place = self.free_place(pair, who, new.pages)?;
        }
        Some(Op::Map(new))
    }

    pub(super) fn new_map(&mut self, file: usize) -> NewMap {
        let first = self.random.usize(..FILE_PAGES - 1);
        let first = if self.chance(50) { 0 } else { first };
        let far = match self.chance(2) {
            true => FAR[self.random.usize(..FAR.len())],
            false => 0,
        };
        let most = match self.chance(70) {
            true => 5.min(FILE_PAGES - first),
            false => FILE_PAGES - first,
        };
        NewMap {
            place: self.place(),
            file,
            first: far + first as u64,
            pages: self.random.usize(1..=most),
            prot: self.prot(),
            sharing: match self.chance(55) && self.private {
                true => Sharing::Private,
                false => Sharing::Shared,
            },
            reserve: self.chance(70),
            fixed: false,
            populate: self.chance(5),
            skewed: self.chance(2),
        }
    }

    pub(super) fn touch(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let access = self.access();
        Some(Op::Touch { at, access })
    }

    /// Reads or writes memory of any process, most often not its own.
    pub(super) fn remote(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let others = (0..crate::op::PROCESSES).filter(|other| *other != who && pair.has(*other));
        let whom = match self.chance(75) {
            true => self.one_of(others)?,
            false => who,
        };
        let way = match self.random.bool() {
            true => Way::Vm,
            false => Way::Mem,
        };
        let at = self.pages(pair, whom)?;
        let access = self.access();
        Some(Op::Remote {
            who: whom,
            way,
            at,
            access,
        })
    }

    pub(super) fn unmap(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let skew = self.skew(&[Skew::Start, Skew::Length]);
        Some(Op::Unmap { at, skew })
    }

    pub(super) fn protect(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let prot = match self.random.u32(..10) {
            0..=6 => Prot::ReadWrite,
            7..=8 => Prot::Read,
            _ => Prot::None,
        };
        let skew = self.skew(&[Skew::Start, Skew::Length]);
        Some(Op::Protect { at, prot, skew })
    }

    pub(super) fn populate(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let access = self.access();
        Some(Op::Populate { at, access })
    }

    pub(super) fn advise(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let advice = Advice::of(self.random.usize(..Advice::COUNT));
        Some(Op::Advise { at, advice })
    }

    pub(super) fn lock(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let on = self.random.bool();
        Some(Op::Lock { at, on })
    }

    pub(super) fn mincore(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        Some(Op::Mincore { at })
    }

    pub(super) fn bind(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let policy = self.policy();
        Some(Op::Bind { at, policy })
    }

    pub(super) fn home(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let at = self.pages(pair, who)?;
        let node = self.node();
        Some(Op::Home { at, node })
    }

    /// An mremap: of a whole mapping or a part, to a free place, onto another mapping or onto
    /// itself, shorter, longer, or nowhere.
    pub(super) fn relocate(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let from = self.pages(pair, who)?;
        let count = match self.random.u32(..20) {
            0..=2 => self.random.usize(1..=from.count),
            3 => from.count + self.random.usize(..3),
            _ => from.count,
        };
        let to = match self.random.u32(..20) {
            0..=9 => self.free_place(pair, who, count),
            10..=13 => Some(self.pages(pair, who)?.place()),
            // Onto itself, or next to it.
            14..=16 => Some(Place {
                map: from.map,
                page: (from.first + self.random.usize(..=2 * from.count))
                    .saturating_sub(from.count),
            }),
            17..=18 => None,
            _ => Some(self.place()),
        };
        if to.is_some_and(|to| to.page + count > SLOT_PAGES) {
            return None;
        }
        let skew = self.skew(&[Skew::Start, Skew::Target]);
        Some(Op::Move(Move {
            from,
            to,
            count,
            skew,
        }))
    }
}
