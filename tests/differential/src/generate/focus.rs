// SPDX-License-Identifier: GPL-2.0

//! A while in which all processes are after the same private pages: copies, pages that are used
//! again, and pages that are taken away come of several operations on one page, which chance alone
//! seldom brings together.

use crate::backend::Knob;
use crate::generate::{children, Generator};
use crate::op::{Op, Pages, Prot, Skew, SLOT_PAGES};
use crate::pair::Pair;
use crate::size::MOST;
use crate::text::Text;
use crate::touch::Access;

/// Pages that processes are after, for some more operations.
pub(super) struct Focus {
    at: Pages,
    left: usize,
}

impl Generator {
    /// The next operation on what there is a focus on.
    pub(super) fn focused(&mut self, pair: &Pair) -> Option<Op> {
        let focus = self.focus.as_mut()?;
        focus.left = match focus.left.checked_sub(1) {
            Some(left) => left,
            None => {
                self.focus = None;
                return None;
            }
        };
        let whole = focus.at;
        let skipped = self.random.usize(..whole.count);
        let at = Pages {
            first: whole.first + skipped,
            count: self.random.usize(1..=whole.count - skipped),
            ..whole
        };
        let access = self.access();
        let everybody = [0].into_iter().chain(children(pair));
        let who = self.one_of(everybody).unwrap_or_default();
        let op = match self.random.u32(..100) {
            0..=54 => Op::Touch { at, access },
            55..=60 => Op::Populate { at, access },
            61..=63 => Op::Protect {
                at,
                prot: match self.chance(60) {
                    true => Prot::ReadWrite,
                    false => Prot::Read,
                },
                skew: Skew::None,
            },
            64..=66 => {
                let skew = Skew::None;
                Op::Unmap { at, skew }
            }
            67..=74 => return Some(self.exhaust(pair)),
            75..=78 => return Some(self.more(pair)),
            79..=90 => match self.spawn(pair, who)? {
                // A child acts by itself.
                spawn if who == 0 => return Some(spawn),
                spawn => spawn,
            },
            _ => return self.end(pair, 0),
        };
        Some(match who {
            0 => op,
            _ => Op::In {
                who,
                op: Box::new(op),
            },
        })
    }

    /// Turns to private pages of this process, and sees to it that it may have them.
    pub(super) fn turn(&mut self, pair: &Pair) -> Option<Op> {
        let writable = pair.maps(0).areas().iter();
        let area = self.one_of(writable.filter(|area| area.is_private() && area.is_writable()))?;
        let at = Pages {
            map: area.pages.start / SLOT_PAGES,
            first: area.pages.start % SLOT_PAGES,
            count: area.pages.len().min(4),
        };
        let left = self.random.usize(6..20);
        self.focus = Some(Focus { at, left });
        match self.chance(60) {
            true => Some(self.more(pair)),
            false => Some(Op::Touch {
                at,
                access: Access::Write,
            }),
        }
    }

    /// Some pages more than are used and promised.
    pub(super) fn more(&mut self, pair: &Pair) -> Op {
        let now = pair.counters();
        let count = now.in_use() + now.resv + self.random.u64(1..=8);
        Op::Write {
            knob: Knob::Nr,
            text: Text::Count(count.min(MOST)),
        }
    }
}
