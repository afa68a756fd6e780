// SPDX-License-Identifier: GPL-2.0

//! The files and mappings that a process has of one of the pools.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use crate::arena::{self, Arena};
use crate::backend::Backend;
use crate::cpuset;
use crate::deviations::{self, By, Subject};
use crate::maps::Maps;
use crate::op::{FilePages, Move, NewMap, Op, Pages, Prot, Sharing, Skew, Way, FILES};
use crate::outcome::{Event, Outcome};
use crate::pids::Pids;
use crate::policy::set_home;
use crate::remote::Remote;
use crate::stamp::{self, Words, PROBES};
use crate::sys::{call, run_on_cpu, Returned};
use crate::touch::{self, Access, Raised};
use crate::HUGE;

/// What is off in an operation that is skewed.
const SKEW: usize = 4096;

/// Everything that is open and mapped of one pool in this process.
pub struct World {
    backend: Backend,
    by: By,
    arena: Arena,
    files: [Option<OwnedFd>; FILES],
    /// The pages of private mappings that were made with reservations, by this process or the one it
    /// was forked from.
    reserved: Vec<bool>,
}

/// What an operation is told besides itself.
#[derive(Clone, Copy)]
pub struct Context {
    /// Its number, which it writes.
    pub step: u64,
    /// The processes there are.
    pub pids: &'static Pids,
}

impl World {
    /// Nothing open, nothing mapped.
    pub fn new(backend: Backend, by: By) -> Result<Self, i32> {
        let arena = Arena::of(backend);
        arena.anchor()?;
        Ok(Self {
            backend,
            by,
            arena,
            files: [const { None }; FILES],
            reserved: vec![false; arena::PAGES],
        })
    }

    /// Which pool it is about.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Does an operation and says what it did. What is about processes does nothing here:
    /// [`crate::family`] sees to it.
    pub fn execute(&mut self, op: &Op, context: Context) -> Outcome {
        let subject = match op {
            Op::Remote { who, .. } => context.pids.get(*who),
            _ => None,
        };
        let left_out = Maps::read(subject, self.arena).and_then(|maps| {
            let subject = Subject {
                maps: &maps,
                reserved: &self.reserved,
                pids: context.pids,
                arena: self.arena,
                by: self.by,
            };
            deviations::left_out(op, &subject)
        });
        match left_out {
            Err(_) => return vec![Event::Errno(libc::EIO)],
            Ok(true) => return vec![],
            Ok(false) => {}
        }
        self.perform(op, context)
            .into_iter()
            .map(|event| deviations::normalise(op, event))
            .collect()
    }

    fn perform(&mut self, op: &Op, context: Context) -> Outcome {
        match op {
            Op::Write { knob, text } => {
                vec![self.backend.write(*knob, &text.bytes()).into()]
            }
            Op::Open { file } => self.open(*file),
            Op::Close { file } => self.close(*file),
            Op::SetSize { file, pages } => {
                self.on_file(*file, |backend, file| backend.set_size(file, *pages))
            }
            Op::Punch(FilePages { file, first, count }) => {
                self.on_file(*file, |backend, file| backend.punch(file, *first, *count))
            }
            Op::Preallocate(FilePages { file, first, count }) => self
                .on_file(*file, |backend, file| {
                    backend.preallocate(file, *first, *count)
                }),
            Op::Info { file } => self.info(*file),
            Op::Map(new) => self.map(new),
            Op::Touch { at, access } => (0..at.count)
                .map(|page| self.touch(at.place().pages(1), page, *access, context.step))
                .collect(),
            Op::Remote {
                who,
                way,
                at,
                access,
            } => self.remote(*who, *way, *at, *access, context),
            Op::Unmap { at, skew } => self.unmap(*at, *skew),
            Op::Protect { at, prot, skew } => self.on_range(*at, *skew, |start, length| {
                // SAFETY: The range is the arena's.
                call(unsafe { libc::mprotect(start as *mut _, length, bits(*prot)) })
            }),
            Op::Populate { at, access } => self.advise(
                *at,
                match access {
                    Access::Read => libc::MADV_POPULATE_READ,
                    Access::Write => libc::MADV_POPULATE_WRITE,
                },
            ),
            Op::Advise { at, advice } => self.advise(*at, advice.number()),
            Op::Lock { at, on } => self.on_range(*at, Skew::None, |start, length| {
                // SAFETY: Locking changes no content.
                call(unsafe {
                    match on {
                        true => libc::mlock(start as *const _, length),
                        false => libc::munlock(start as *const _, length),
                    }
                })
            }),
            Op::Mincore { at } => self.mincore(*at),
            Op::Bind { at, policy } => {
                self.on_range(*at, Skew::None, |start, length| policy.bind(start, length))
            }
            Op::Home { at, node } => self.on_range(*at, Skew::None, |start, length| {
                set_home(start, length, *node)
            }),
            Op::Move(made) => self.relocate(made),
            Op::Policy(policy) => vec![policy.set().into()],
            Op::Cpu(cpu) => vec![run_on_cpu(*cpu).into()],
            Op::Thp(on) => {
                let (off, unused) = (libc::c_ulong::from(!*on), 0 as libc::c_ulong);
                // SAFETY: prctl takes numbers.
                let set =
                    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, off, unused, unused, unused) };
                vec![call(set).into()]
            }
            Op::Cpuset(nodes) => vec![cpuset::join(*nodes).into()],
            Op::Fork { .. } | Op::Spawn { .. } | Op::In { .. } | Op::End { .. } => vec![],
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

    /// One call on a file, and what the file is like then.
    fn on_file(&self, file: usize, made: impl FnOnce(Backend, &OwnedFd) -> Returned) -> Outcome {
        let Some(open) = &self.files[file] else {
            return vec![];
        };
        let mut outcome = vec![made(self.backend, open).into()];
        outcome.extend(self.info(file));
        outcome
    }

    fn info(&self, file: usize) -> Outcome {
        match &self.files[file] {
            Some(open) => self.backend.info(open),
            None => vec![],
        }
    }

    fn map(&mut self, new: &NewMap) -> Outcome {
        let Some(file) = &self.files[new.file] else {
            return vec![];
        };
        let flags = [
            match new.sharing {
                Sharing::Shared => libc::MAP_SHARED,
                Sharing::Private => libc::MAP_PRIVATE,
            },
            if new.reserve { 0 } else { libc::MAP_NORESERVE },
            if new.fixed { libc::MAP_FIXED } else { 0 },
            if new.populate { libc::MAP_POPULATE } else { 0 },
        ];
        let skew = if new.skewed { SKEW } else { 0 };
        let offset = (new.first as i64)
            .wrapping_mul(HUGE as i64)
            .wrapping_add(skew as i64);
        let at = new.place.pages(new.pages);
        let (hint, length) = self.arena.range(at);
        // SAFETY: At most it replaces mappings of the arena.
        let mapped = call(unsafe {
            libc::mmap(
                hint as *mut _,
                length,
                bits(new.prot),
                flags.iter().fold(0, |flags, flag| flags | flag),
                file.as_raw_fd(),
                offset,
            )
        } as i64);
        let there = match mapped {
            Ok(address) if address as usize == hint => true,
            Ok(address) => {
                // SAFETY: It was just mapped: the place was taken.
                let unmapped = call(unsafe { libc::munmap(address as *mut _, length) });
                return vec![Event::Returned(1), unmapped.into()];
            }
            Err(_) => false,
        };
        self.reserved[at.span()].fill(there && new.reserve && new.sharing == Sharing::Private);
        vec![mapped.map(|_| 0).into()]
    }

    fn touch(&self, from: Pages, page: usize, access: Access, step: u64) -> Event {
        let address = self.arena.address(from.place()) + page * HUGE;
        match access {
            Access::Read => {
                let mut words = Words::default();
                let read = |(word, probe): (&mut u64, usize)| {
                    *word = touch::read(address + probe)?;
                    Ok(())
                };
                match words.iter_mut().zip(PROBES).try_for_each(read) {
                    Ok(()) => Event::Read(stamp::read(words)),
                    Err(raised) => self.raised(raised),
                }
            }
            Access::Write => {
                let words = stamp::words(stamp::of(step, page));
                // SAFETY: The page is the arena's, where no Rust object is.
                let write = |(word, probe)| unsafe { touch::write(address + probe, word) };
                match words.into_iter().zip(PROBES).try_for_each(write) {
                    Ok(()) => Event::Wrote,
                    Err(raised) => self.raised(raised),
                }
            }
        }
    }

    fn raised(&self, raised: Raised) -> Event {
        let page = self.arena.number(raised.address).unwrap_or(arena::PAGES);
        Event::Raised {
            signal: raised.signal,
            code: raised.code,
            page: page as u16,
        }
    }

    fn remote(&self, who: usize, way: Way, at: Pages, access: Access, context: Context) -> Outcome {
        let Some(pid) = context.pids.get(who) else {
            return vec![];
        };
        let (start, _) = self.arena.range(at);
        match Remote::open(pid, way) {
            Ok(remote) => (0..at.count)
                .map(|page| {
                    let stamp = stamp::of(context.step, page);
                    remote.access(start + page * HUGE, access, stamp)
                })
                .collect(),
            Err(errno) => vec![Event::Errno(errno)],
        }
    }

    fn unmap(&mut self, at: Pages, skew: Skew) -> Outcome {
        let outcome = self.on_range(at, skew, |start, length| {
            // SAFETY: The range is the arena's.
            call(unsafe { libc::munmap(start as *mut _, length) })
        });
        if outcome == [Event::Returned(0)] {
            self.reserved[at.span()].fill(false);
        }
        outcome
    }

    fn advise(&self, at: Pages, advice: i32) -> Outcome {
        self.on_range(at, Skew::None, |start, length| {
            // SAFETY: The range is the arena's, whatever becomes of its content.
            call(unsafe { libc::madvise(start as *mut _, length, advice) })
        })
    }

    fn mincore(&self, at: Pages) -> Outcome {
        const PER_PAGE: usize = HUGE / 4096;
        let mut bytes = vec![0u8; at.count * PER_PAGE];
        let (start, length) = self.arena.range(at);
        // SAFETY: There is a byte for each base page.
        let called = call(unsafe { libc::mincore(start as *mut _, length, bytes.as_mut_ptr()) });
        let mut outcome = vec![called.into()];
        if called.is_ok() {
            let there = bytes.chunks(PER_PAGE).enumerate();
            let mask = there.fold(0, |mask, (page, bytes)| {
                let whole = bytes.iter().all(|byte| byte & 1 == 1);
                mask | (u64::from(whole) << page)
            });
            outcome.push(Event::Mask(mask));
        }
        outcome
    }

    fn relocate(&mut self, made: &Move) -> Outcome {
        let (mut start, length) = self.arena.range(made.from);
        let flags = libc::MREMAP_MAYMOVE
            | match made.to {
                Some(_) => libc::MREMAP_FIXED,
                None => 0,
            };
        let mut target = made.to.map_or(start, |to| self.arena.address(to));
        match made.skew {
            Skew::Start => start += SKEW,
            Skew::Target => target += SKEW,
            Skew::None | Skew::Length => {}
        }
        // SAFETY: The old range is the arena's, and so is the new one.
        let moved = call(unsafe {
            libc::mremap(
                start as *mut _,
                length,
                made.count * HUGE,
                flags,
                target as *mut libc::c_void,
            )
        } as i64);
        if moved.is_ok() {
            let mut reserved = self.reserved[made.from.span()].to_vec();
            reserved.resize(made.count, false);
            self.reserved[made.from.span()].fill(false);
            let to = made.to.unwrap_or(made.from.place()).pages(made.count);
            if let Some(slots) = self.reserved.get_mut(to.span()) {
                slots.copy_from_slice(&reserved);
            }
        }
        // An address elsewhere than told would be seen as 1.
        vec![moved.map(|at| i64::from(at as usize != target)).into()]
    }

    /// One system call on some pages.
    fn on_range(
        &self,
        at: Pages,
        skew: Skew,
        made: impl FnOnce(usize, usize) -> Returned,
    ) -> Outcome {
        let (start, length) = self.arena.range(at);
        let returned = match skew {
            Skew::Start => made(start + SKEW, length.saturating_sub(HUGE)),
            Skew::Length => made(start, length.saturating_sub(SKEW)),
            Skew::None | Skew::Target => made(start, length),
        };
        vec![returned.into()]
    }

    /// Unmaps all.
    pub fn unmap_all(&mut self) -> Returned {
        let (start, length) = self.arena.whole();
        self.reserved.fill(false);
        // SAFETY: It is the arena.
        call(unsafe { libc::munmap(start as *mut _, length) })
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
        Prot::None => libc::PROT_NONE,
        Prot::Read => libc::PROT_READ,
        Prot::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    }
}
