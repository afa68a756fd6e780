// SPDX-License-Identifier: GPL-2.0

//! What races about private mappings of one file, step by step: all but the fault lock of a page is
//! taken and dropped several times.

use std::collections::BTreeMap;
use std::rc::Rc;

use rust_hugetlb::policy::coverage::Release;
use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::private::Action;
use rust_hugetlb::policy::range::FileRange;

use crate::explore::Choices;
use crate::files::free;
use crate::job::{Job, Reservation, Unreservation};
use crate::private_file::{take_back, CowFile, Folio, Private, Touch};
use crate::shell::Shell;
use crate::world::{Hugetlb, World};

/// Of a third process.
const OTHER: usize = 3;
/// What all of them show.
pub(crate) const WHOLE: FileRange = FileRange { first: 0, end: 2 };

/// A page allocator whose every page can be refused, and memory for tables likewise.
pub(crate) struct Machine<'a> {
    pub(crate) choices: &'a mut Choices,
    pub(crate) failures: usize,
}

impl Machine<'_> {
    fn fails(&mut self) -> bool {
        let fails = self.failures > 0 && self.choices.pick(2) == 1;
        self.failures -= usize::from(fails);
        fails
    }
}

impl World for Machine<'_> {
    fn memory_nodes(&self) -> Vec<usize> {
        vec![0]
    }

    fn alloc(&mut self, _: usize, _: bool) -> bool {
        !self.fails()
    }

    fn give_back(&mut self, _: usize) {}

    fn interrupted(&mut self) -> bool {
        false
    }

    fn meanwhile(&mut self, _: &mut dyn Hugetlb) {}
}

/// What a page that is being taken is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum For {
    /// The private mapping, which has none.
    Give(Action),
    /// The private mapping, instead of one it shares.
    Exchange {
        may_rob: bool,
    },
    File,
}

/// How far a task is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A fault: takes the fault lock.
    Look,
    Take(Claim, For),
    TakeSurplus(Claim, For),
    Use(Claim, For),
    /// Promises that a fault of the file found unneeded end.
    Unreserve(Unreservation),
    /// mmap. MAP_PRIVATE: nobody else sees the mapping yet.
    MapPrivate(Reservation),
    /// MAP_SHARED: takes the charge's lock and keeps it.
    MapShared,
    Reserve(Reservation),
    /// munmap of all: the last VMA goes.
    Close,
    /// Its next page, from this index on, goes under its fault lock. Then its promises.
    ClosePage(usize),
    CloseUnreserve(Unreservation),
    /// The file has a new end. Whoever has the fault lock of a page from this index on may not have
    /// seen it: is waited for.
    NewEnd(usize),
    /// The next page of a hole, or past the new end, from this index on: takes the fault lock.
    Hole(usize),
    /// The page at this index leaves these mappings.
    HoleIn(usize, Vec<usize>),
    /// The file has a new end: promises past it end, but for those of so many pages that it had.
    Forget(usize),
    ForgetUnreserve(Unreservation),
    Done,
}

/// Somebody, with the private mapping and the page that it is about.
pub(crate) struct Task {
    does: Does,
    key: usize,
    index: usize,
    /// Pages that a truncation took out of the file.
    dropped: usize,
    pub(crate) stage: Stage,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Write(usize),
    Read(usize),
    TouchFile,
    MapPrivate,
    MapShared,
    Close(usize),
    Punch,
    /// To no page at all.
    Truncate,
}

pub(crate) struct State {
    pub(crate) pool: Shell,
    pub(crate) file: CowFile,
    /// Who has the fault lock of a page.
    pub(crate) locked: BTreeMap<usize, usize>,
    /// Who has the charge's lock.
    pub(crate) charge: Option<usize>,
}

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn saw(&self, what: &str) -> bool {
        self.0.contains_key(what)
    }
}

impl Task {
    pub(crate) fn any(does: Does, choices: &mut Choices) -> Self {
        let index = match does {
            Does::Write(_) | Does::Read(_) | Does::TouchFile => choices.pick(2),
            _ => 0,
        };
        let (key, stage) = match does {
            Does::Write(key) | Does::Read(key) => (key, Stage::Look),
            Does::TouchFile => (0, Stage::Look),
            Does::MapPrivate => (OTHER, Stage::MapPrivate(Reservation::new(2, &[0]))),
            Does::MapShared => (0, Stage::MapShared),
            Does::Close(key) => (key, Stage::Close),
            Does::Punch => (0, Stage::Hole(0)),
            Does::Truncate => (0, Stage::NewEnd(0)),
        };
        Self {
            does,
            key,
            index,
            dropped: 0,
            stage,
        }
    }

    /// The fault lock that the next step takes.
    pub(crate) fn wants(&self, file: &CowFile) -> Option<usize> {
        match self.stage {
            Stage::Look => Some(self.index),
            Stage::ClosePage(from) => file.relatives[&self.key]
                .pages
                .range(from..)
                .next()
                .map(|it| *it.0),
            Stage::NewEnd(index) if index > 0 => Some(index - 1),
            Stage::Hole(from) => file.next_page(from),
            _ => None,
        }
    }

    pub(crate) fn wants_charge(&self) -> bool {
        let commits = matches!(self.stage, Stage::Use(_, For::File));
        let looks = self.does == Does::TouchFile && matches!(self.stage, Stage::Look);
        let forgets = matches!(self.stage, Stage::Hole(_) | Stage::Forget(_));
        commits || looks || forgets || matches!(self.stage, Stage::MapShared)
    }

    pub(crate) fn step(
        &mut self,
        who: usize,
        state: &mut State,
        machine: &mut Machine<'_>,
        t: &mut Tally,
    ) {
        if let Some(index) = self.wants(&state.file) {
            state.locked.insert(index, who);
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        self.stage = self.next(stage, who, state, machine, t);
        let keeps = matches!(
            self.stage,
            Stage::Take(..)
                | Stage::TakeSurplus(..)
                | Stage::Use(..)
                | Stage::Unreserve(_)
                | Stage::HoleIn(..)
        );
        if !keeps {
            state.locked.retain(|_, owner| *owner != who);
        }
    }

    fn next(
        &mut self,
        stage: Stage,
        who: usize,
        state: &mut State,
        machine: &mut Machine<'_>,
        t: &mut Tally,
    ) -> Stage {
        let State {
            pool, file, charge, ..
        } = state;
        let (key, index) = (self.key, self.index);
        match stage {
            Stage::Look if self.does == Does::TouchFile => {
                if file.values.contains_key(&index) {
                    return Stage::Done;
                }
                if index >= file.size {
                    return t.sigbus("past the end");
                }
                Stage::Take(file.file.claim(index), For::File)
            }
            Stage::Look => {
                let action = file
                    .view(key, index)
                    .decide(matches!(self.does, Does::Write(_)));
                match action {
                    Action::MapOwn | Action::MapFile => Stage::Done,
                    Action::Refuse => t.sigbus("refused"),
                    Action::Fresh | Action::CopyFile => {
                        Stage::Take(file.private(key).claim(index), For::Give(action))
                    }
                    Action::CopyShared { may_rob } => {
                        Stage::Take(Claim::Unreserved, For::Exchange { may_rob })
                    }
                }
            }
            Stage::Take(claim, what) => {
                if pool.take(0, claim) {
                    Stage::Use(claim, what)
                } else if pool.counts.may_overcommit() {
                    Stage::TakeSurplus(claim, what)
                } else {
                    self.without(claim, what, file, t)
                }
            }
            Stage::TakeSurplus(claim, what) => {
                if machine.alloc(0, true) && pool.join_surplus(0, claim, machine) {
                    Stage::Use(claim, what)
                } else {
                    self.without(claim, what, file, t)
                }
            }
            Stage::Use(claim, For::File) => {
                let in_force = file.file.commit(index, claim, false);
                let in_force = in_force.expect("memory for a table");
                file.file.insert(index, 0);
                file.values.insert(index, 0);
                t.count("in the file");
                if in_force == claim {
                    return Stage::Done;
                }
                t.count("reserved meanwhile");
                Stage::Unreserve(Unreservation::new(1, &[0]))
            }
            Stage::Use(claim, what) => {
                let trouble = Touch {
                    write: None,
                    nodes: Vec::new(),
                    no_map: machine.fails(),
                    no_table: file.private(key).is_full() && machine.fails(),
                };
                let value = match what {
                    For::Give(Action::CopyFile) => file.values[&index],
                    For::Give(_) | For::File => 0,
                    For::Exchange { .. } if trouble.no_map => {
                        free(pool, 0, machine);
                        return Stage::Done;
                    }
                    For::Exchange { .. } => {
                        file.exchange(key, index, 0, pool, machine);
                        t.count("copied");
                        return Stage::Done;
                    }
                };
                let page = Folio::new(0, value);
                if file.give(key, index, page.clone(), claim, &trouble) {
                    t.count("given");
                } else {
                    t.count("gone back");
                    take_back(page, claim, pool, machine);
                }
                Stage::Done
            }
            Stage::Unreserve(mut job) => match job.step(pool, machine) {
                None => Stage::Unreserve(job),
                Some(_) => Stage::Done,
            },
            Stage::MapPrivate(mut job) => match job.step(pool, machine) {
                None => Stage::MapPrivate(job),
                Some(granted) => {
                    if granted {
                        file.relatives.insert(key, Private::new(Some(WHOLE)));
                    }
                    t.count(if granted { "mapped" } else { "no mapping" });
                    Stage::Done
                }
            },
            Stage::MapShared => {
                *charge = Some(who);
                let missing = file.file.begin_reserve(WHOLE);
                Stage::Reserve(Reservation::new(missing, &[0]))
            }
            Stage::Reserve(mut job) => match job.step(pool, machine) {
                None => Stage::Reserve(job),
                Some(granted) => {
                    if granted {
                        file.file.end_reserve(WHOLE);
                    }
                    t.count(if granted { "mapped" } else { "no mapping" });
                    *charge = None;
                    Stage::Done
                }
            },
            Stage::Close => {
                assert_eq!(file.private(key).closed(WHOLE), Release::All);
                Stage::ClosePage(0)
            }
            Stage::ClosePage(from) => {
                let next = self.pages_from(from, file);
                let Some(at) = next else {
                    let unused = file.private(key).end_promises(WHOLE);
                    file.relatives.remove(&key);
                    return Stage::CloseUnreserve(Unreservation::new(unused, &[0]));
                };
                if let Some(page) = file.private(key).pages.remove(&at) {
                    if Rc::into_inner(page).is_some() {
                        free(pool, 0, machine);
                    }
                }
                Stage::ClosePage(at)
            }
            Stage::CloseUnreserve(mut job) => match job.step(pool, machine) {
                None => Stage::CloseUnreserve(job),
                Some(_) => {
                    t.count("closed");
                    Stage::Done
                }
            },
            Stage::NewEnd(index) => {
                file.size = 0;
                if index < WHOLE.end {
                    Stage::NewEnd(index + 1)
                } else {
                    Stage::Hole(0)
                }
            }
            Stage::Hole(from) => {
                let Some(at) = file.next_page(from) else {
                    return match self.does {
                        Does::Truncate => Stage::Forget(self.dropped),
                        _ => Stage::Done,
                    };
                };
                if self.does == Does::Truncate {
                    t.count("truncated");
                } else if file.file.present().contains_key(&at) {
                    assert_eq!(file.file.forget(FileRange::only(at)), 1);
                }
                t.count("out of the file");
                Stage::HoleIn(at, file.order())
            }
            Stage::HoleIn(at, mut left) => {
                let Some(other) = left.pop() else {
                    self.dropped += usize::from(file.drop_page(at, pool, machine));
                    return Stage::Hole(at);
                };
                if file.relatives.contains_key(&other) {
                    file.drop_private_page(other, at, pool, machine);
                }
                Stage::HoleIn(at, left)
            }
            Stage::Forget(dropped) => {
                let charged = file.file.forget(FileRange::from(0));
                Stage::ForgetUnreserve(Unreservation::new(charged - dropped, &[0]))
            }
            Stage::ForgetUnreserve(mut job) => match job.step(pool, machine) {
                None => Stage::ForgetUnreserve(job),
                Some(_) => Stage::Done,
            },
            Stage::Done => unreachable!("it is done"),
        }
    }

    fn pages_from(&self, from: usize, file: &CowFile) -> Option<usize> {
        let pages = &file.relatives[&self.key].pages;
        pages.range(from..).next().map(|it| *it.0)
    }

    /// There is no page to be had.
    fn without(&self, claim: Claim, what: For, file: &mut CowFile, t: &mut Tally) -> Stage {
        if let For::Exchange { may_rob: true } = what {
            file.rob_others(self.key, self.index);
            t.count("robbed");
            return Stage::Done;
        }
        match claim {
            Claim::Reserved => t.sigbus("SIGBUS on a reservation"),
            Claim::Unreserved => t.sigbus("SIGBUS"),
        }
    }
}

impl Tally {
    fn sigbus(&mut self, what: &'static str) -> Stage {
        self.count(what);
        Stage::Done
    }
}
