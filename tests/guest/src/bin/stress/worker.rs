// SPDX-License-Identifier: GPL-2.0

//! What a thread does: one operation after the other, chosen at random.

use std::mem;
use std::sync::atomic::Ordering::SeqCst;

use fastrand::Rng;
use guest::file::Huge;
use guest::map::{Request, READ, WRITE};
use guest::policy::Policy;
use guest::pool::memory_nodes;
use guest::{fail, same, Check, Errno, HUGE};

use crate::area::{Area, Content, Kind};
use crate::arena::{Arena, Figure, SLOTS};
use crate::child::Forked;
use crate::common::Common;
use crate::options::Backend;
use crate::pins::Pin;

/// The most pages of a mapping of one's own.
const PAGES: usize = 4;
/// The most forked processes, and pins, of one thread.
const FORKED: usize = 3;
const PINS: usize = 4;

/// A thread's whole life.
pub struct Worker<'a> {
    arena: &'a Arena,
    backend: Backend,
    slot: usize,
    random: Rng,
    common: Common<'a>,
    own: Option<Own<'a>>,
    forked: Vec<Forked>,
    pins: Vec<Pin>,
    policies: Vec<Policy>,
}

/// A file and a mapping of one's own.
struct Own<'a> {
    file: Huge,
    area: Area<'a>,
}

/// How a process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All operations are done.
    Done,
    /// In the middle of what the other threads do.
    Exit,
    Kill,
}

type Act<'a> = fn(&mut Worker<'a>) -> Check;

impl<'a> Worker<'a> {
    /// What a thread does, each with its weight.
    const ACTS: &'a [(u32, Act<'a>)] = &[
        (12, Self::map),
        (20, Self::write),
        (8, Self::check),
        (9, Self::fork),
        (8, Self::reap),
        (6, Self::relocate),
        (6, Self::punch),
        (3, Self::preallocate),
        (4, Self::advise),
        (3, Self::protect),
        (3, Self::prefer),
        (2, Self::unmap_a_part),
        (3, Self::unmap),
        (6, Self::pin),
        (6, Self::unpin),
        (12, |worker| worker.common.write(&mut worker.random)),
        (20, |worker| worker.common.read_any(&mut worker.random)),
        (5, |worker| worker.common.punch(&mut worker.random)),
        (3, |worker| worker.common.preallocate(&mut worker.random)),
        (2, Self::relocate_common),
    ];

    pub fn new(
        arena: &'a Arena,
        backend: Backend,
        file: &'a Huge,
        slots: usize,
        slot: usize,
        seed: u64,
    ) -> Check<Self> {
        let done = u64::from(arena.done[slot].load(SeqCst));
        Ok(Self {
            arena,
            backend,
            slot,
            random: Rng::with_seed(seed ^ ((slot as u64) << 32) ^ (done << 40)),
            common: Common::new(arena, file, slots, slot)?,
            own: None,
            forked: Vec::new(),
            pins: Vec::new(),
            policies: Policy::each_wish(&memory_nodes()?),
        })
    }

    /// Does operations until the slot has `operations`, or all is over.
    pub fn run(&mut self, operations: u32, forge: bool) -> Check<End> {
        let total: u32 = Self::ACTS.iter().map(|(weight, _)| weight).sum();
        while self.arena.done[self.slot].fetch_add(1, SeqCst) < operations {
            if self.arena.is_over() {
                break;
            }
            match self.random.u32(..400) {
                0 => return Ok(End::Kill),
                1 => return Ok(End::Exit),
                _ => {}
            }
            let mut left = self.random.u32(..total);
            for (weight, act) in Self::ACTS {
                if left < *weight {
                    act(self)?;
                    break;
                }
                left -= weight;
            }
            self.arena.count(Figure::Operations);
            if forge && self.slot == 0 {
                self.forge()?;
            }
        }
        self.own = None;
        while let Some(pin) = self.pins.pop() {
            pin.check()?;
        }
        while let Some(forked) = self.forked.pop() {
            forked.finish()?;
        }
        Ok(End::Done)
    }

    fn map(&mut self) -> Check {
        if let Some(own) = &mut self.own {
            own.area.check_all()?;
        }
        // The old one goes after the new one is there, or before.
        let mut old = self.own.take();
        if self.random.bool() {
            old = None;
        }
        self.own = self.new_own()?;
        drop(old);
        Ok(())
    }

    /// None if the pages could not be reserved.
    fn new_own(&mut self) -> Check<Option<Own<'a>>> {
        let pages = self.random.usize(1..=PAGES);
        let reserved = self.random.bool();
        let private = self.random.u32(..3) != 0;
        let file = Huge::new(self.backend.pool)?;
        let owner = (SLOTS + self.slot + 1) as u16;
        // hugetlb loses promises where its reservations go below 0 (DEVIATIONS.md).
        let promised = reserved && !self.backend.is_oracle;
        let mut content = vec![Content::Absent { promised }; pages];
        if private && self.random.bool() {
            let map = file.map(Request::pages(pages).unreserved())?;
            let mut filled = Area {
                arena: self.arena,
                owner,
                kind: Kind::Shared,
                map,
                content: vec![Content::Absent { promised: false }; pages],
                first: 0,
            };
            for (page, content) in content.iter_mut().enumerate() {
                if self.random.bool() {
                    filled.write(page)?;
                }
                if filled.sequence(page).is_some() {
                    *content = filled.content[page];
                }
            }
        }
        let mut request = Request::pages(pages);
        if private {
            request = request.private();
        }
        if !reserved {
            request = request.unreserved();
        }
        let map = match file.map(request) {
            Ok(map) => map,
            Err(Errno(libc::ENOMEM)) if reserved => {
                self.arena.count(Figure::Refusals);
                return Ok(None);
            }
            Err(errno) => fail!("mmap: {errno}"),
        };
        self.arena.count(Figure::Maps);
        let area = Area {
            arena: self.arena,
            owner,
            kind: match (private, reserved) {
                (false, _) => Kind::Shared,
                (true, true) => Kind::Owner,
                (true, false) => Kind::Unreserved,
            },
            map,
            content,
            first: 0,
        };
        Ok(Some(Own { file, area }))
    }

    /// The mapping of one's own and one of its pages, if there is one.
    fn own_page(&mut self) -> Option<(&mut Own<'a>, usize)> {
        let own = self.own.as_mut()?;
        let page = self.random.usize(..own.area.pages());
        Some((own, page))
    }

    fn write(&mut self) -> Check {
        let Some((own, page)) = self.own_page() else {
            return self.map();
        };
        own.area.write(page)
    }

    fn check(&mut self) -> Check {
        match &mut self.own {
            Some(own) => own.area.check_all(),
            None => Ok(()),
        }
    }

    fn fork(&mut self) -> Check {
        if self.forked.len() == FORKED {
            return self.reap();
        }
        let private = self.own.as_mut().map(|own| &mut own.area);
        let private = private.filter(|area| area.kind != Kind::Shared);
        let forked = Forked::new(private, &self.common, &mut self.random)?;
        self.forked.extend(forked);
        // What both share is copied; where there is no page, taken from the child.
        (0..self.random.u32(..PAGES as u32)).try_for_each(|_| self.write())
    }

    fn reap(&mut self) -> Check {
        if self.forked.is_empty() {
            return Ok(());
        }
        let forked = self
            .forked
            .swap_remove(self.random.usize(..self.forked.len()));
        if self.random.bool() {
            self.arena.count(Figure::Kills);
            return forked.kill();
        }
        forked.finish()
    }

    fn relocate(&mut self) -> Check {
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        own.area.map.relocate()?;
        self.arena.count(Figure::Moves);
        own.area.check_all()
    }

    fn relocate_common(&mut self) -> Check {
        self.common.area.map.relocate()?;
        self.arena.count(Figure::Moves);
        self.common.area.check_all()
    }

    fn punch(&mut self) -> Check {
        let alone = self.forked.is_empty();
        let Some((own, page)) = self.own_page() else {
            return Ok(());
        };
        // Forked processes would lose their own pages, too, and could not know.
        if own.area.kind != Kind::Shared && !alone {
            return Ok(());
        }
        let count = own.area.pages() - page;
        own.file
            .punch((page * HUGE) as u64, (count * HUGE) as u64)?;
        own.area.arena.count(Figure::Punches);
        own.area.clear(page, count);
        own.area.check(page)
    }

    fn preallocate(&mut self) -> Check {
        let Some((own, page)) = self.own_page() else {
            return Ok(());
        };
        // A private mapping would find it in place of what it knows.
        match own.file.preallocate((page * HUGE) as u64, HUGE as u64) {
            Ok(()) => own.area.arena.count(Figure::Preallocations),
            Err(Errno(libc::ENOSPC)) => own.area.arena.count(Figure::NoSpace),
            Err(errno) => fail!("preallocating: {errno}"),
        }
        own.area.check(page)
    }

    fn advise(&mut self) -> Check {
        let advice = [
            libc::MADV_WILLNEED,
            libc::MADV_POPULATE_READ,
            libc::MADV_POPULATE_WRITE,
            libc::MADV_COLD,
            libc::MADV_SEQUENTIAL,
            libc::MADV_DONTDUMP,
            libc::MADV_NOHUGEPAGE,
            libc::MADV_HUGEPAGE,
            libc::MADV_DONTNEED,
        ];
        let advice = advice[self.random.usize(..advice.len())];
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        // hugetlb drops what a private mapping holds.
        if advice == libc::MADV_DONTNEED && own.area.kind != Kind::Shared {
            return Ok(());
        }
        // Which ones are refused is another test's; no data may change.
        let _ = own.area.map.advise(advice);
        self.arena.count(Figure::Advice);
        own.area.check_all()
    }

    fn protect(&mut self) -> Check {
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        let bytes = own.area.map.bytes();
        own.area.map.protect(0, bytes, READ)?;
        own.area.check_all()?;
        own.area.map.protect(0, bytes, READ | WRITE)?;
        self.arena.count(Figure::Protections);
        own.area.check_all()
    }

    /// Another policy for this thread or its mapping.
    fn prefer(&mut self) -> Check {
        let policy = &self.policies[self.random.usize(..self.policies.len())];
        match &self.own {
            Some(own) if self.random.bool() => policy.set_on(&own.area.map)?,
            // Until the next one, or the thread's end.
            _ => mem::forget(policy.set()?),
        }
        self.arena.count(Figure::Policies);
        self.check()
    }

    /// The last page goes. (hugetlb leaks a reservation where a part moves, so none does.)
    fn unmap_a_part(&mut self) -> Check {
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        let last = own.area.pages() - 1;
        if last == 0 {
            return Ok(());
        }
        own.area.map.cut(last * HUGE)?;
        own.area.content.truncate(last);
        own.area.check_all()
    }

    fn unmap(&mut self) -> Check {
        self.check()?;
        self.own = None;
        Ok(())
    }

    fn pin(&mut self) -> Check {
        if self.pins.len() == PINS {
            return self.unpin();
        }
        let common = self.random.u32(..3) == 0;
        let pin = match self.own_page() {
            Some((own, page)) if !common => Pin::new(&own.area, page)?,
            _ => Pin::new(&self.common.area, 0)?,
        };
        self.pins.extend(pin);
        Ok(())
    }

    fn unpin(&mut self) -> Check {
        if self.pins.is_empty() {
            return Ok(());
        }
        self.pins
            .swap_remove(self.random.usize(..self.pins.len()))
            .check()
    }

    /// Writes what another owner would, as if a page had two owners.
    fn forge(&mut self) -> Check {
        let area = &self.common.area;
        let Content::Written { owner, sequence } = area.content[0] else {
            return Ok(());
        };
        let word = crate::arena::word(owner + 1, area.number(0), 0, sequence);
        same!(
            area.map.try_write(area.number(0) * HUGE, word),
            Ok(()),
            "forging a word"
        );
        Ok(())
    }
}
