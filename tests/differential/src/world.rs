// SPDX-License-Identifier: GPL-2.0

//! The files and mappings that a sequence of operations has in one of the pools.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::ptr;

use crate::backend::Backend;
use crate::cpuset;
use crate::op::{NewMap, Op, Pages, Prot, FILES, MAPS};
use crate::outcome::{Event, Outcome};
use crate::parse::MAP_PAGES;
use crate::policy::set_home;
use crate::sys::{call, run_on_cpu, Returned};
use crate::touch::{self, Access, Raised};
use crate::HUGE;

/// What is off in an operation that is skewed.
const SKEW: usize = 4096;

/// Where a page's content is looked at: both ends, and between them.
const PROBES: [usize; 3] = [0, HUGE / 2 + 8, HUGE - 8];

/// A mapping of at most 64 pages.
#[derive(Clone, Copy)]
struct Mapping {
    base: usize,
    pages: usize,
    /// A bit for each page that is still mapped.
    there: u64,
    /// Whether the kernel may see more than one mapping in it. Several cannot be moved at once
    /// (DEVIATIONS.md).
    split: bool,
}

/// Everything that is open and mapped of one pool.
pub struct World {
    backend: Backend,
    files: [Option<OwnedFd>; FILES],
    maps: [Option<Mapping>; MAPS],
    /// What is written next.
    stamp: u64,
}

impl World {
    /// Nothing open, nothing mapped.
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            files: [const { None }; FILES],
            maps: [None; MAPS],
            stamp: 1,
        }
    }

    /// Which pool it is about.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether a slot has a file.
    pub fn has_file(&self, file: usize) -> bool {
        self.files[file].is_some()
    }

    /// The runs of pages that are left of a slot's mapping: the first of each, and how many.
    pub fn runs(&self, map: usize) -> Vec<(usize, usize)> {
        let there = self.maps[map].map_or(0, |mapping| mapping.there);
        let mut runs: Vec<(usize, usize)> = vec![];
        for page in (0..MAP_PAGES).filter(|page| there & (1 << page) != 0) {
            match runs.last_mut() {
                Some((first, count)) if *first + *count == page => *count += 1,
                _ => runs.push((page, 1)),
            }
        }
        runs
    }

    /// Does an operation and says what it did. A fork does nothing here:
    /// [`Pair`](crate::pair::Pair) sees to it.
    pub fn execute(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Write { knob, text } => {
                vec![self.backend.write(*knob, &text.bytes()).into()]
            }
            Op::Open { file } => self.open(*file),
            Op::Close { file } => self.close(*file),
            Op::Map(new) => self.map(new),
            Op::Touch { at, access } => self.touch(*at, *access),
            Op::Unmap { at } => self.unmap(*at),
            Op::UnmapSkewed { map } => self.unmap_skewed(*map),
            Op::Protect { at, prot } => self.on_part(*at, |start, length| {
                // SAFETY: The range is all ours.
                call(unsafe { libc::mprotect(start as *mut _, length, bits(*prot)) })
            }),
            Op::Populate { at, access } => self.on_range(*at, |start, length| {
                let advice = match access {
                    Access::Read => libc::MADV_POPULATE_READ,
                    Access::Write => libc::MADV_POPULATE_WRITE,
                };
                // SAFETY: As above; populating changes no content.
                call(unsafe { libc::madvise(start as *mut _, length, advice) })
            }),
            Op::Bind { at, policy } => {
                self.on_part(*at, |start, length| policy.bind(start, length))
            }
            Op::Home { at, node } => {
                self.on_part(*at, |start, length| set_home(start, length, *node))
            }
            Op::Move { map } => self.relocate(*map),
            Op::Policy(policy) => vec![policy.set().into()],
            Op::Cpu(cpu) => vec![run_on_cpu(*cpu).into()],
            Op::Cpuset(nodes) => vec![cpuset::join(*nodes).into()],
            Op::Fork { .. } => vec![],
        }
    }

    fn open(&mut self, file: usize) -> Outcome {
        let slot = &mut self.files[file];
        if slot.is_some() {
            return vec![];
        }
        match self.backend.open() {
            Ok(descriptor) => {
                *slot = Some(descriptor);
                vec![Event::Returned(0)]
            }
            Err(errno) => vec![Event::Errno(errno)],
        }
    }

    fn close(&mut self, file: usize) -> Outcome {
        match self.files[file].take() {
            // SAFETY: The descriptor is ours no more, so nobody closes it again.
            Some(file) => vec![call(unsafe { libc::close(file.into_raw_fd()) }).into()],
            None => vec![],
        }
    }

    fn map(&mut self, new: &NewMap) -> Outcome {
        let (None, Some(file)) = (self.maps[new.map], &self.files[new.file]) else {
            return vec![];
        };
        let flags = libc::MAP_SHARED
            | match new.reserve {
                true => 0,
                false => libc::MAP_NORESERVE,
            };
        let skew = if new.skewed { SKEW } else { 0 };
        let offset = (new.first as i64)
            .wrapping_mul(HUGE as i64)
            .wrapping_add(skew as i64);
        // SAFETY: A new mapping where nothing is.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                new.pages * HUGE,
                bits(new.prot),
                flags,
                file.as_raw_fd(),
                offset,
            )
        };
        match call(base as i64) {
            Ok(base) => {
                self.maps[new.map] = Some(Mapping {
                    base: base as usize,
                    pages: new.pages,
                    there: mask(0, new.pages),
                    split: false,
                });
                vec![Event::Returned(0)]
            }
            Err(errno) => vec![Event::Errno(errno)],
        }
    }

    fn touch(&mut self, at: Pages, access: Access) -> Outcome {
        let Some((start, _)) = self.range(at) else {
            return vec![];
        };
        (0..at.count)
            .map(|page| self.touch_page(start + page * HUGE, access))
            .collect()
    }

    fn touch_page(&mut self, page: usize, access: Access) -> Event {
        match access {
            Access::Read => digest(page).into(),
            Access::Write => {
                let stamp = self.stamp;
                self.stamp += 1;
                PROBES
                    .iter()
                    // SAFETY: The page is our mapping's, where no Rust object is.
                    .try_for_each(|probe| unsafe { touch::write(page + probe, stamp) })
                    .into()
            }
        }
    }

    fn unmap(&mut self, at: Pages) -> Outcome {
        let Some((start, length)) = self.range(at) else {
            return vec![];
        };
        // SAFETY: The range is all ours, and nothing else is there.
        let returned = call(unsafe { libc::munmap(start as *mut _, length) });
        let slot = &mut self.maps[at.map];
        if let (Ok(_), Some(mapping)) = (returned, slot.as_mut()) {
            mapping.there &= !mask(at.first, at.count);
            if mapping.there == 0 {
                *slot = None;
            }
        }
        vec![returned.into()]
    }

    fn unmap_skewed(&mut self, map: usize) -> Outcome {
        let Some(mapping) = self.maps[map].filter(|mapping| mapping.pages > 1) else {
            return vec![];
        };
        let whole = Pages {
            map,
            first: 0,
            count: mapping.pages,
        };
        let Some((start, length)) = self.range(whole) else {
            return vec![];
        };
        // SAFETY: The range is inside ours. Should it be let through, the report is the end.
        let returned = call(unsafe { libc::munmap((start + SKEW) as *mut _, length - HUGE) });
        vec![returned.into()]
    }

    fn relocate(&mut self, map: usize) -> Outcome {
        let Some(mapping) = self.maps[map] else {
            return vec![];
        };
        let length = mapping.pages * HUGE;
        if mapping.split || mapping.there != mask(0, mapping.pages) {
            return vec![];
        }
        let target = match free_place(length) {
            Ok(target) => target,
            Err(errno) => return vec![Event::Errno(errno)],
        };
        // SAFETY: The old range is all ours, and at the new one there is nothing.
        let moved = call(unsafe {
            libc::mremap(
                mapping.base as *mut _,
                length,
                length,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                target as *mut libc::c_void,
            )
        } as i64);
        if let (Ok(base), Some(mapping)) = (moved, self.maps[map].as_mut()) {
            mapping.base = base as usize;
        }
        vec![moved.map(|_| 0).into()]
    }

    /// One system call on pages that are all there.
    fn on_range(&self, at: Pages, made: impl FnOnce(usize, usize) -> Returned) -> Outcome {
        match self.range(at) {
            Some((start, length)) => vec![made(start, length).into()],
            None => vec![],
        }
    }

    /// The same, for a call that may make a mapping of its own of them.
    fn on_part(&mut self, at: Pages, made: impl FnOnce(usize, usize) -> Returned) -> Outcome {
        if let Some(mapping) = self.maps[at.map].as_mut() {
            mapping.split |= at.count < mapping.pages;
        }
        self.on_range(at, made)
    }

    /// Address and length of some pages, if all are mapped: what is not may be somebody else's by
    /// now.
    fn range(&self, at: Pages) -> Option<(usize, usize)> {
        let mapping = self.maps[at.map]?;
        let end = at.first.checked_add(at.count)?;
        let wanted = mask(at.first, at.count);
        (at.count > 0 && end <= mapping.pages && mapping.there & wanted == wanted)
            .then_some((mapping.base + at.first * HUGE, at.count * HUGE))
    }

    /// Unmaps all.
    pub fn unmap_all(&mut self) {
        for map in 0..MAPS {
            for (first, count) in self.runs(map) {
                self.unmap(Pages { map, first, count });
            }
        }
    }

    /// Closes all.
    pub fn close_all(&mut self) {
        for file in 0..FILES {
            self.close(file);
        }
    }
}

fn bits(prot: Prot) -> i32 {
    match prot {
        Prot::Read => libc::PROT_READ,
        Prot::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    }
}

/// The bits of `count` pages from `first` on.
fn mask(first: usize, count: usize) -> u64 {
    (first..first.saturating_add(count))
        .filter_map(|page| 1u64.checked_shl(page as u32))
        .fold(0, |mask, bit| mask | bit)
}

/// What a page holds, in one number; 0 for a page of zeroes.
fn digest(page: usize) -> Result<u64, Raised> {
    PROBES.iter().try_fold(0u64, |digest, probe| {
        Ok(digest.rotate_left(21) ^ touch::read(page + probe)?)
    })
}

/// An address, a multiple of the page size, where there is room for `length` bytes.
fn free_place(length: usize) -> Result<usize, i32> {
    let padded = length + HUGE;
    // SAFETY: A new mapping where nothing is, and its end.
    unsafe {
        let found = call(libc::mmap(
            ptr::null_mut(),
            padded,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        ) as i64)?;
        call(libc::munmap(found as *mut _, padded))?;
        Ok((found as usize).next_multiple_of(HUGE))
    }
}
