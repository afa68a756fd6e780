// SPDX-License-Identifier: GPL-2.0

//! The file that all processes map: each thread writes pages of its own, and reads everybody's.

use std::sync::atomic::Ordering::SeqCst;

use fastrand::Rng;
use guest::file::Huge;
use guest::map::Request;
use guest::stamp::{Stamp, SPOTS};
use guest::{check, fail, Check, Errno, HUGE};

use crate::area::{Area, Content, Kind};
use crate::arena::{Arena, Figure, COMMON};

/// One thread's view of the file.
pub struct Common<'a> {
    file: &'a Huge,
    slots: usize,
    pub area: Area<'a>,
}

/// Who writes the pages of a slot.
fn owner(slot: usize) -> u16 {
    slot as u16 + 1
}

impl<'a> Common<'a> {
    pub fn new(arena: &'a Arena, file: &'a Huge, slots: usize, slot: usize) -> Check<Self> {
        // There may be fewer pages than the file is large.
        let map = file.map(Request::pages(slots * COMMON).unreserved())?;
        arena.count(Figure::Maps);
        let owner = owner(slot);
        Ok(Self {
            file,
            slots,
            area: Area {
                arena,
                owner,
                kind: Kind::Shared,
                map,
                content: vec![Content::Unknown { owner }; COMMON],
                first: slot * COMMON,
            },
        })
    }

    /// Reads a word of a page that another thread writes.
    pub fn read_any(&self, random: &mut Rng) -> Check {
        let page = random.usize(..self.slots * COMMON);
        let spot = random.usize(..SPOTS.len());
        let arena = self.area.arena;
        let floor = arena.floors[page].load(SeqCst);
        let Ok(word) = self.area.map.try_read(page * HUGE + SPOTS[spot]) else {
            arena.count(Figure::Buses);
            return Ok(());
        };
        arena.count(Figure::Checks);
        if let Some(stamp) = Stamp::check(word, &[owner(page / COMMON)], page, spot)? {
            check!(
                stamp.sequence >= floor,
                "common page {page} has {stamp:?}, and what was there before {floor} is gone"
            );
        }
        Ok(())
    }

    pub fn write(&mut self, random: &mut Rng) -> Check {
        let page = random.usize(..COMMON);
        self.area.write(page)?;
        if let Some(sequence) = self.area.sequence(page) {
            self.set_floor(page, sequence);
        }
        Ok(())
    }

    pub fn punch(&mut self, random: &mut Rng) -> Check {
        let page = random.usize(..COMMON);
        let offset = (self.area.number(page) * HUGE) as u64;
        self.file.punch(offset, HUGE as u64)?;
        self.area.arena.count(Figure::Punches);
        self.area.clear(page, 1);
        self.set_floor(page, self.area.arena.next_sequence());
        self.area.check(page)
    }

    pub fn preallocate(&mut self, random: &mut Rng) -> Check {
        let page = random.usize(..COMMON);
        let offset = (self.area.number(page) * HUGE) as u64;
        match self.file.preallocate(offset, HUGE as u64) {
            Ok(()) => self.area.arena.count(Figure::Preallocations),
            Err(Errno(libc::ENOSPC)) => self.area.arena.count(Figure::NoSpace),
            Err(errno) => fail!("preallocating: {errno}"),
        }
        self.area.check(page)
    }

    /// Nobody may see an older word of the page from now on.
    fn set_floor(&self, page: usize, sequence: u32) {
        self.area.arena.floors[self.area.number(page)].store(sequence, SeqCst);
    }
}
