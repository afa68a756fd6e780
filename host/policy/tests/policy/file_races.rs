// SPDX-License-Identifier: GPL-2.0

//! Every order in which mappings and faults of one file can mix (`src/huge_file.rs`,
//! `src/charge.rs`): the file's charge has a lock, the pool another, and a fault takes and drops
//! both several times. (Two faults on the same page cannot overlap: the fault mutex.)

use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::range::FileRange;

use crate::explore::{explore, Choices};
use crate::file::File;
use crate::job::{Job, Reservation, Unreservation};
use crate::shell::Shell;
use crate::world::{Freed, Hugetlb, Plenty, World};

/// The ranges that are mapped: they overlap, touch, and lie apart.
const RANGES: [(usize, usize); 4] = [(0, 3), (1, 2), (2, 4), (4, 5)];

/// A page allocator whose every page can be refused, and a machine where memory for tables can be.
struct Machine<'a> {
    choices: &'a mut Choices,
    failures: usize,
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

/// How far a task is.
enum Stage {
    /// mmap: takes the charge's lock and keeps it to the end.
    Map(FileRange),
    Reserve(FileRange, Reservation),
    /// A fault: takes the charge's lock for a moment.
    Claim,
    Take(Claim),
    TakeSurplus(Claim),
    /// Takes the charge's lock; keeps it if promises are to end.
    Commit(Claim),
    Unreserve(Claim, Unreservation),
    Insert(Claim),
    /// The charge stays, so that nobody who reserves loses what counts as charged to him.
    GoBack(Claim),
    Done,
}

/// Somebody who maps or touches the file.
struct Task {
    /// The page of a fault.
    index: usize,
    stage: Stage,
}

/// What is there once for all tasks.
struct State {
    pool: Shell,
    file: File,
    /// What was reserved.
    mapped: Vec<FileRange>,
    /// Which task has the charge's lock.
    locked_by: Option<usize>,
}

/// How runs ended.
#[derive(Debug, Default)]
struct Tally {
    mapped: usize,
    refused: usize,
    present: usize,
    sigbus: usize,
    sigbus_on_reservation: usize,
    reserved_meanwhile: usize,
    gone_back: usize,
    kept_charge: usize,
    reserved_kept: usize,
}

impl Task {
    fn wants_lock(&self) -> bool {
        matches!(self.stage, Stage::Map(_) | Stage::Claim | Stage::Commit(_))
    }

    fn step(&mut self, who: usize, state: &mut State, machine: &mut Machine<'_>, t: &mut Tally) {
        let State {
            pool,
            file,
            mapped,
            locked_by,
        } = state;
        let index = self.index;
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        self.stage = match stage {
            Stage::Map(range) => {
                *locked_by = Some(who);
                let missing = file.begin_reserve(range);
                Stage::Reserve(range, Reservation::new(missing, &[0]))
            }
            Stage::Reserve(range, mut job) => match job.step(pool, machine) {
                None => Stage::Reserve(range, job),
                Some(granted) => {
                    if granted {
                        file.end_reserve(range);
                        mapped.push(range);
                    }
                    t.mapped += usize::from(granted);
                    t.refused += usize::from(!granted);
                    *locked_by = None;
                    Stage::Done
                }
            },
            Stage::Claim => Stage::Take(file.claim(index)),
            Stage::Take(claim) => {
                if pool.take(0, claim) {
                    Stage::Commit(claim)
                } else if pool.counts.may_overcommit() {
                    Stage::TakeSurplus(claim)
                } else {
                    t.sigbus(claim)
                }
            }
            Stage::TakeSurplus(claim) => {
                if machine.alloc(0, true) && pool.join_surplus(0, claim, machine) {
                    Stage::Commit(claim)
                } else {
                    t.sigbus(claim)
                }
            }
            Stage::Commit(claim) => {
                let no_memory = claim == Claim::Unreserved && machine.fails();
                match file.commit(index, claim, no_memory) {
                    None => {
                        assert!(pool.put(0).is_some());
                        t.gone_back += 1;
                        Stage::Done
                    }
                    Some(in_force) if in_force == claim => Stage::Insert(claim),
                    Some(in_force) => {
                        *locked_by = Some(who);
                        t.reserved_meanwhile += 1;
                        Stage::Unreserve(in_force, Unreservation::new(1, &[0]))
                    }
                }
            }
            Stage::Unreserve(claim, mut job) => match job.step(pool, machine) {
                None => Stage::Unreserve(claim, job),
                Some(_) => {
                    *locked_by = None;
                    Stage::Insert(claim)
                }
            },
            Stage::Insert(claim) if machine.fails() => Stage::GoBack(claim),
            Stage::Insert(_) => {
                file.insert(index, 0);
                t.present += 1;
                Stage::Done
            }
            Stage::GoBack(claim) => {
                t.gone_back += 1;
                t.kept_charge += usize::from(claim == Claim::Unreserved);
                t.reserved_kept += usize::from(claim == Claim::Reserved);
                assert!(pool.unuse(0));
                Stage::Done
            }
            Stage::Done => unreachable!("it is done"),
        };
    }
}

impl Tally {
    fn sigbus(&mut self, claim: Claim) -> Stage {
        match claim {
            Claim::Reserved => self.sigbus_on_reservation += 1,
            Claim::Unreserved => self.sigbus += 1,
        }
        Stage::Done
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug)]
enum Does {
    Map,
    Fault,
}

/// Any mapping; or a fault of a page that nobody else touches (tasks are numbered).
fn any_task(does: Does, who: usize, choices: &mut Choices) -> Task {
    let (index, stage) = match does {
        Does::Map => {
            let (first, end) = RANGES[choices.pick(RANGES.len())];
            (0, Stage::Map(FileRange { first, end }))
        }
        Does::Fault => (1 + who, Stage::Claim),
    };
    Task { index, stage }
}

/// One run of these tasks.
fn race(tasks: &[Does], failures: usize, choices: &mut Choices, tally: &mut Tally) {
    let nr = choices.pick(4);
    let surplus = choices.pick(nr + 1);
    let mut state = State {
        pool: Shell::with(&[[nr, nr, surplus]], 0),
        file: File::default(),
        mapped: Vec::new(),
        locked_by: None,
    };
    state.pool.set_overcommit(choices.pick(3));
    if choices.pick(2) == 1 && nr > 0 {
        // Some of it is mapped from the start.
        let range = FileRange { first: 1, end: 2 };
        let mut plenty = Plenty { nodes: 1 };
        let pool = &mut state.pool;
        assert!(state.file.reserve(range, &[0], pool, &mut plenty));
        state.mapped.push(range);
    }
    let tasks = tasks.iter().enumerate();
    let mut tasks = Vec::from_iter(tasks.map(|(who, does)| (who, any_task(*does, who, choices))));
    let mut machine = Machine { choices, failures };
    loop {
        tasks.retain(|(_, task)| !matches!(task.stage, Stage::Done));
        let can_run = tasks.iter().enumerate().filter(|(_, (who, task))| {
            !task.wants_lock() || state.locked_by.is_none_or(|owner| owner == *who)
        });
        let can_run = Vec::from_iter(can_run.map(|(at, _)| at));
        if can_run.is_empty() {
            assert!(tasks.is_empty(), "all wait for each other");
            break;
        }
        let (who, task) = &mut tasks[can_run[machine.choices.pick(can_run.len())]];
        task.step(*who, &mut state, &mut machine, tally);
        state.pool.check();
    }

    // What was reserved stays so, whatever became of faults. (hugetlb takes back what a fault charged,
    // which counted as the mapping's by then.) Each promise belongs to a page of the file that is
    // charged and not there; each page in use is there.
    let State {
        mut pool,
        mut file,
        mapped,
        ..
    } = state;
    for index in mapped.iter().flat_map(|range| range.first..range.end) {
        assert!(file.is_charged(index), "page {index} lost its charge");
    }
    let present = file.present();
    for index in present.keys() {
        assert!(file.is_charged(*index), "page {index} is not charged");
    }
    assert_eq!(pool.used(0), present.len(), "{pool:?}");
    assert_eq!(
        pool.counters().resv,
        file.charged() - present.len(),
        "{pool:?}"
    );
    let persistent = pool.persistent();
    let unused = file.end(|node| {
        let freed: Option<Freed> = pool.put(node);
        assert!(freed.is_some());
    });
    pool.unreserve(unused, &mut Plenty { nodes: 1 });
    pool.check();
    assert_eq!(pool.counters().resv, 0);
    assert_eq!(pool.used(0), 0);
    assert_eq!(pool.persistent(), persistent);
}

fn all_orders(tasks: &[Does], failures: usize) -> Tally {
    let mut tally = Tally::default();
    let ways = explore(|choices| race(tasks, failures, choices, &mut tally));
    println!("{ways} orders of {tasks:?} on one file, {failures} failures: {tally:?}");
    // One node, no policy: a reserved page is always there.
    assert_eq!(tally.sigbus_on_reservation, 0);
    assert!(tally.present > 0 || !tasks.iter().any(|does| matches!(does, Does::Fault)));
    tally
}

#[test]
fn two_mappings() {
    let tally = all_orders(&[Does::Map, Does::Map], 1);
    assert!(tally.mapped > 0 && tally.refused > 0);
}

#[test]
fn a_mapping_and_a_fault() {
    let tally = all_orders(&[Does::Fault, Does::Map], 2);
    assert!(tally.reserved_meanwhile > 0 && tally.gone_back > 0 && tally.sigbus > 0);
    assert!(tally.reserved_kept > 0);
}

#[test]
fn two_faults() {
    let tally = all_orders(&[Does::Fault, Does::Fault], 2);
    assert!(tally.gone_back > 0);
}

#[test]
fn a_mapping_and_two_faults() {
    all_orders(&[Does::Fault, Does::Fault, Does::Map], 0);
}

#[test]
fn two_mappings_and_a_fault() {
    let tally = all_orders(&[Does::Fault, Does::Map, Does::Map], 1);
    assert!(tally.kept_charge > 0, "{tally:?}");
}
