// SPDX-License-Identifier: GPL-2.0

//! Every order in which faults in private mappings of one file, faults of the file, reservations,
//! ends of mappings and holes can mix (`src/copy_on_write.rs`, `src/file_size.rs`). (What one
//! process does under its mmap lock cannot overlap, nor two holes: `HugeFile::shape`.)

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rust_hugetlb::policy::coverage::Release;
use rust_hugetlb::policy::pool::Claim;

use crate::explore::{explore, Choices};
use crate::private_file::{CowFile, Folio, Private};
use crate::private_task::{Does, Machine, Stage, State, Tally, Task, WHOLE};
use crate::shell::Shell;
use crate::world::{Hugetlb, Plenty};

/// The mapping of the process that made it, and that of a forked one.
const OWNER: usize = 1;
const CHILD: usize = 2;

/// A pool of a few pages, and an owner with a child: they share page 0, or the owner has it alone, or
/// nobody has; the file has page 1, or nobody has.
fn any_state(choices: &mut Choices) -> State {
    let extra = choices.pick(3);
    let nr = 2 + extra;
    let surplus = choices.pick(2);
    let mut pool = Shell::with(&[[nr, nr, surplus]], 0);
    pool.promise(2);
    let mut file = CowFile {
        size: 2,
        ..CowFile::default()
    };
    let mut owner = Private::new(Some(WHOLE));
    let mut child = Private::new(None);
    let has = choices.pick(3);
    if has > 0 {
        assert!(pool.take(0, Claim::Reserved));
        let page = Folio::new(0, 7);
        assert!(owner.commit(0, Claim::Reserved, false));
        if has == 2 {
            child.pages.insert(0, page.clone());
        }
        owner.pages.insert(0, page);
    }
    if extra > 0 && choices.pick(2) == 1 {
        assert!(pool.take(0, Claim::Unreserved));
        assert_eq!(
            file.file.commit(1, Claim::Unreserved, false),
            Some(Claim::Unreserved)
        );
        file.file.insert(1, 0);
        file.values.insert(1, 5);
    }
    file.relatives.insert(OWNER, owner);
    file.relatives.insert(CHILD, child);
    pool.set_overcommit(surplus + choices.pick(2));
    State {
        pool,
        file,
        locked: BTreeMap::new(),
        charge: None,
    }
}

/// What must hold once all are done.
fn check(state: &State) {
    let State { pool, file, .. } = state;
    pool.check();
    let mut pages = BTreeSet::new();
    let mut promised = file.file.charged() - file.file.present().len();
    for private in file.relatives.values() {
        pages.extend(private.pages.values().map(Rc::as_ptr));
        promised += private.promises();
        for index in private.pages.keys() {
            assert!(!private.is_promised(*index), "a page and a promise for it");
        }
    }
    assert_eq!(
        pool.used(0),
        file.file.present().len() + pages.len(),
        "{pool:?}"
    );
    assert_eq!(
        pool.counters().resv,
        promised,
        "promises to nobody: {pool:?}"
    );
}

/// One run of these tasks.
fn race(tasks: &[Does], failures: usize, choices: &mut Choices, tally: &mut Tally) {
    let mut state = any_state(choices);
    let tasks = tasks.iter().enumerate();
    let mut tasks = Vec::from_iter(tasks.map(|(who, does)| (who, Task::any(*does, choices))));
    let mut machine = Machine { choices, failures };
    loop {
        tasks.retain(|(_, task)| !matches!(task.stage, Stage::Done));
        let can_run = tasks.iter().enumerate().filter(|(_, (who, task))| {
            let owner = task.wants(&state.file).and_then(|at| state.locked.get(&at));
            owner.is_none_or(|owner| owner == who)
                && (!task.wants_charge() || state.charge.is_none_or(|owner| owner == *who))
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
    assert!(state.locked.is_empty());
    check(&state);

    // All processes exit, then the file ends: what is left is free and promised to nobody.
    let State {
        mut pool, mut file, ..
    } = state;
    let persistent = pool.persistent();
    let mut plenty = Plenty { nodes: 1 };
    for key in file.order() {
        assert_eq!(
            file.close(key, WHOLE, (&mut pool, &mut plenty)),
            Release::All
        );
    }
    file.set_size(0, &mut pool, &mut plenty);
    pool.check();
    assert_eq!((pool.counters().resv, pool.used(0)), (0, 0), "{pool:?}");
    assert_eq!(pool.persistent(), persistent);
}

fn all_orders(tasks: &[Does], failures: usize) -> Tally {
    let mut tally = Tally::default();
    let ways = explore(|choices| race(tasks, failures, choices, &mut tally));
    println!("{ways} orders of {tasks:?}, {failures} failures: {tally:?}");
    // One node, no policy: a reserved page is always there.
    assert!(!tally.saw("SIGBUS on a reservation"));
    tally
}

#[test]
fn the_owner_and_its_child() {
    for child in [Does::Write(CHILD), Does::Read(CHILD)] {
        let tally = all_orders(&[Does::Write(OWNER), child], 2);
        for what in [
            "robbed",
            "copied",
            "given",
            "gone back",
            "SIGBUS",
            "refused",
        ] {
            assert!(tally.saw(what), "never {what}");
        }
    }
}

#[test]
fn a_private_fault_and_one_of_the_file() {
    for key in [OWNER, CHILD] {
        let tally = all_orders(&[Does::Write(key), Does::TouchFile], 1);
        assert!(tally.saw("in the file") && tally.saw("SIGBUS"));
    }
}

#[test]
fn a_private_fault_and_a_reservation() {
    for key in [OWNER, CHILD] {
        for map in [Does::MapPrivate, Does::MapShared] {
            let tally = all_orders(&[Does::Write(key), map], 1);
            assert!(tally.saw("mapped") && tally.saw("no mapping"));
        }
    }
}

#[test]
fn two_faults_and_a_reservation() {
    let tasks = [Does::Write(OWNER), Does::TouchFile, Does::MapShared];
    let tally = all_orders(&tasks, 0);
    assert!(tally.saw("reserved meanwhile"));
}

#[test]
fn a_fault_and_the_end_of_the_other_mapping() {
    for (key, other) in [(OWNER, CHILD), (CHILD, OWNER)] {
        let tally = all_orders(&[Does::Write(key), Does::Close(other)], 1);
        assert!(tally.saw("closed") && tally.saw("given"));
    }
    all_orders(&[Does::Close(OWNER), Does::Close(CHILD)], 0);
}

#[test]
fn a_fault_and_a_new_end() {
    for fault in [Does::Write(OWNER), Does::Write(CHILD), Does::TouchFile] {
        let tally = all_orders(&[fault, Does::Truncate], 1);
        assert!(tally.saw("truncated"));
        assert!(tally.saw("past the end") == (fault == Does::TouchFile));
    }
}

#[test]
fn a_fault_and_a_hole() {
    for fault in [Does::Write(OWNER), Does::Write(CHILD), Does::TouchFile] {
        let tally = all_orders(&[fault, Does::Punch], 1);
        assert!(tally.saw("out of the file"));
    }
}

#[test]
fn the_end_of_a_mapping_and_a_hole() {
    for key in [OWNER, CHILD] {
        let tally = all_orders(&[Does::Close(key), Does::Punch], 0);
        assert!(tally.saw("out of the file") && tally.saw("closed"));
    }
}
