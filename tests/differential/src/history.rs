// SPDX-License-Identifier: GPL-2.0

//! Which pages processes have seen, and so what a step shows of copies, of pages that were taken
//! away, of data that came through a file. Only for the shares that a run prints.

use std::collections::BTreeSet;

use crate::counters::Counters;
use crate::maps::Maps;
use crate::op::{Op, Pages, PROCESSES};
use crate::outcome::Event;
use crate::touch::Access;

/// The pages that each process could touch since they were mapped.
#[derive(Default)]
pub struct History {
    seen: [BTreeSet<usize>; PROCESSES],
}

/// What an operation did.
pub struct Deed<'a> {
    /// The process that did it.
    pub who: usize,
    pub op: &'a Op,
    pub outcome: &'a [Event],
    /// The mappings of that process before.
    pub maps: &'a Maps,
    pub before: &'a Counters,
    pub after: &'a Counters,
}

impl History {
    /// Process `who` is a copy of `parent`.
    pub fn forked(&mut self, parent: usize, who: usize) {
        self.seen[who] = self.seen[parent].clone();
    }

    /// Enters what an operation did, and says what was special about it.
    pub fn learn(&mut self, deed: &Deed<'_>) -> Vec<&'static str> {
        match deed.op {
            Op::Touch { at, access } => self.touched(deed, *at, *access),
            Op::Populate { at, .. } if deed.outcome == [Event::Returned(0)] => {
                self.seen[deed.who].extend(at.span());
                vec![]
            }
            Op::Map(new) => self.forget(deed.who, new.place.pages(new.pages)),
            Op::Unmap { at, .. } => self.forget(deed.who, *at),
            Op::Move(made) => {
                if let Some(to) = made.to {
                    self.forget(deed.who, to.pages(made.count));
                }
                self.forget(deed.who, made.from)
            }
            Op::SetSize { .. } | Op::Punch(_) => {
                self.seen.iter_mut().for_each(BTreeSet::clear);
                vec![]
            }
            _ => vec![],
        }
    }

    fn forget(&mut self, who: usize, at: Pages) -> Vec<&'static str> {
        self.seen[who].retain(|page| !at.span().contains(page));
        vec![]
    }

    fn touched(&mut self, deed: &Deed<'_>, at: Pages, access: Access) -> Vec<&'static str> {
        let seen = &mut self.seen[deed.who];
        let is_private = |page| deed.maps.at(page).is_some_and(|area| area.is_private());
        let mut marks = vec![];
        let mut only_known = true;
        for (page, event) in at.span().zip(deed.outcome) {
            let (known, private) = (seen.contains(&page), is_private(page));
            only_known &= known && private && *event == Event::Wrote;
            match event {
                Event::Read(stamp) if private && !known && *stamp != 0 => {
                    marks.push("private: what another wrote into the file was read");
                }
                Event::Raised {
                    signal: libc::SIGBUS,
                    ..
                } if known => marks.push(match (private, access) {
                    (true, Access::Read) => "private: SIGBUS, the page was taken away",
                    (true, Access::Write) => "private: SIGBUS, taken away or no page for a copy",
                    (false, _) => "shared: SIGBUS at a page that was there",
                }),
                _ => {}
            }
            if matches!(event, Event::Read(_) | Event::Wrote) {
                seen.insert(page);
            }
        }
        if only_known && access == Access::Write {
            marks.push(match deed.after.in_use() > deed.before.in_use() {
                true => "private: copied on write",
                false => "private: written without a copy",
            });
        }
        marks
    }
}
