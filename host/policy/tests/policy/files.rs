// SPDX-License-Identifier: GPL-2.0

//! Random lives of files: what is charged is what a set of numbers says, and the pool does what the
//! model of hugetlb does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::range::FileRange;

use crate::config::{cases, long_cases, LONG};
use crate::file::File;
use crate::machine::{Machine, Script};
use crate::model::Model;
use crate::random::{nearest, pages, table, NODES};
use crate::regions::runs;
use crate::shell::Shell;
use crate::world::{Freed, Hugetlb, Row, Scope, World};

const FILES: usize = 3;
const PAGES: usize = 12;

/// What happens to a file, or to the pool.
#[derive(Clone, Debug)]
enum Op {
    /// mmap; with MAP_NORESERVE nothing happens.
    Map(usize, FileRange, Vec<usize>, Vec<bool>),
    /// The first touch of a page.
    Fault(Fault),
    /// The last descriptor and the last mapping go.
    End(usize),
    Resize(usize, Scope),
    Overcommit(usize),
    Memory(usize, usize),
}

/// The first touch of a page, and what else happens.
#[derive(Clone, Debug)]
struct Fault {
    file: usize,
    index: usize,
    nodes: Vec<usize>,
    /// Somebody maps the file, once it is known whether the page is reserved.
    before_take: Vec<FileRange>,
    /// No memory for a larger table of ranges.
    no_table: bool,
    /// Somebody maps the file, once the page is charged.
    before_insert: Vec<FileRange>,
    /// No memory for a larger page map.
    no_map: bool,
}

/// A file as `inode_resv_map` and the page cache of hugetlb have it.
#[derive(Default)]
pub(crate) struct ModelFile {
    pub(crate) reserve_map: BTreeSet<usize>,
    pub(crate) page_cache: BTreeMap<usize, usize>,
}

impl ModelFile {
    /// `hugetlb_reserve_pages` for a shared mapping.
    pub(crate) fn reserve(
        &mut self,
        range: FileRange,
        nodes: &[usize],
        pool: &mut Model,
        world: &mut Machine,
    ) -> bool {
        let chg = (range.first..range.end).filter(|index| !self.reserve_map.contains(index));
        let granted = pool.reserve(chg.count(), nodes, world);
        if granted {
            self.reserve_map.extend(range.first..range.end);
        }
        granted
    }

    /// The end of `alloc_hugetlb_folio` (`vma_commit_reservation`). `room`: how many ranges can be
    /// kept without more memory. None: the page is to go. Else on what it counts as taken. (Where an
    /// error comes after that, `restore_reserve_on_error` deletes the entry, also one that somebody
    /// reserved meanwhile; the module keeps it.)
    pub(crate) fn commit(
        &mut self,
        index: usize,
        claim: Claim,
        room: Option<usize>,
        pool: &mut Model,
        world: &mut Machine,
    ) -> Option<Claim> {
        if claim == Claim::Reserved {
            return Some(claim);
        }
        if room.is_some_and(|room| runs(&self.reserve_map).len() + 1 > room) {
            return None;
        }
        if self.reserve_map.insert(index) {
            return Some(Claim::Unreserved);
        }
        pool.unreserve(1, world);
        Some(Claim::Reserved)
    }

    /// `remove_inode_hugepages` with `hugetlb_unreserve_pages`.
    pub(crate) fn end(&mut self, pool: &mut Model, world: &mut Machine) {
        let freed = self.page_cache.len();
        for (_, node) in std::mem::take(&mut self.page_cache) {
            free(pool, node, world);
        }
        let chg = std::mem::take(&mut self.reserve_map).len();
        pool.unreserve(chg - freed, world);
    }
}

pub(crate) fn free(pool: &mut dyn Hugetlb, node: usize, world: &mut dyn World) {
    let freed = pool.put(node).expect("a page in use");
    if freed == Freed::GivenBack {
        world.give_back(node);
    }
}

/// `Hstate::take`, and `hugetlb_alloc_folio`.
pub(crate) fn take(
    nodes: &[usize],
    claim: Claim,
    pool: &mut dyn Hugetlb,
    world: &mut dyn World,
) -> Option<usize> {
    let free = nodes.iter().copied().find(|node| pool.take(*node, claim));
    free.or_else(|| pool.take_surplus(nodes, claim, world))
}

/// How often things happened, in all cases together.
#[derive(Debug, Default)]
struct Tally {
    mapped: usize,
    refused: usize,
    faulted_on_reservation: usize,
    faulted_without: usize,
    sigbus_on_reservation: usize,
    sigbus: usize,
    no_table: usize,
    reserved_meanwhile: usize,
    kept_charge: usize,
    promised_again: usize,
    ended: usize,
}

/// Both worlds.
struct Both {
    ours: Machine,
    pool: Shell,
    files: [File; FILES],
    theirs: Machine,
    model: Model,
    model_files: [ModelFile; FILES],
}

impl Both {
    fn map(&mut self, file: usize, range: FileRange, nodes: &[usize]) -> (bool, bool) {
        (
            self.files[file].reserve(range, nodes, &mut self.pool, &mut self.ours),
            self.model_files[file].reserve(range, nodes, &mut self.model, &mut self.theirs),
        )
    }

    /// Somebody else maps all over the machine.
    fn meanwhile(&mut self, file: usize, ranges: &[FileRange]) {
        for range in ranges {
            let (ours, theirs) = self.map(file, *range, &NODES);
            assert_eq!(ours, theirs);
        }
    }

    fn fault(&mut self, fault: &Fault, tally: &mut Tally) {
        let (file, index) = (fault.file, fault.index);
        if self.files[file].present().contains_key(&index) {
            return;
        }
        let claim = self.files[file].claim(index);
        let charged = self.model_files[file].reserve_map.contains(&index);
        assert_eq!(claim == Claim::Reserved, charged);
        self.meanwhile(file, &fault.before_take);
        let node = take(&fault.nodes, claim, &mut self.pool, &mut self.ours);
        let model_node = take(&fault.nodes, claim, &mut self.model, &mut self.theirs);
        assert_eq!(node, model_node);
        match (claim, node) {
            (Claim::Reserved, Some(_)) => tally.faulted_on_reservation += 1,
            (Claim::Unreserved, Some(_)) => tally.faulted_without += 1,
            (Claim::Reserved, None) => tally.sigbus_on_reservation += 1,
            (Claim::Unreserved, None) => tally.sigbus += 1,
        }
        let Some(node) = node else {
            return;
        };

        let room = fault.no_table.then(|| self.files[file].room());
        let in_force = self.files[file].commit(index, claim, fault.no_table);
        let (model, theirs) = (&mut self.model, &mut self.theirs);
        let committed = self.model_files[file].commit(index, claim, room, model, theirs);
        assert_eq!(in_force, committed);
        let Some(in_force) = in_force else {
            tally.no_table += 1;
            free(&mut self.pool, node, &mut self.ours);
            free(&mut self.model, node, &mut self.theirs);
            return;
        };
        if in_force != claim {
            tally.reserved_meanwhile += 1;
            self.pool.unreserve(1, &mut self.ours);
        }
        let claim = in_force;
        self.meanwhile(file, &fault.before_insert);
        if !fault.no_map {
            self.files[file].insert(index, node);
            self.model_files[file].page_cache.insert(index, node);
            return;
        }
        // `restore_reserve_on_error` takes out what this fault charged, though somebody who reserved may
        // have counted on it by now. The module keeps that, with a promise.
        tally.kept_charge += usize::from(claim == Claim::Unreserved);
        tally.promised_again += usize::from(claim == Claim::Reserved);
        assert!(self.pool.unuse(node) && self.model.unuse(node));
    }

    fn end(&mut self, file: usize) {
        let mut nodes = Vec::new();
        let unused = self.files[file].end(|node| nodes.push(node));
        for node in nodes {
            free(&mut self.pool, node, &mut self.ours);
        }
        self.pool.unreserve(unused, &mut self.ours);
        self.model_files[file].end(&mut self.model, &mut self.theirs);
    }

    fn apply(&mut self, op: &Op, tally: &mut Tally) {
        match *op {
            Op::Map(file, range, ref nodes, ref failures) => {
                let script = Script {
                    failures: failures.clone(),
                    ..Script::default()
                };
                self.ours.play(&script);
                self.theirs.play(&script);
                let (ours, theirs) = self.map(file, range, nodes);
                assert_eq!(ours, theirs);
                tally.mapped += usize::from(ours);
                tally.refused += usize::from(!ours);
                self.ours.play(&Script::default());
                self.theirs.play(&Script::default());
            }
            Op::Fault(ref fault) => self.fault(fault, tally),
            Op::End(file) => {
                tally.ended += 1;
                self.end(file);
            }
            Op::Resize(count, ref scope) => {
                self.pool.resize(count, scope, &mut self.ours);
                self.model.resize(count, scope, &mut self.theirs);
            }
            Op::Overcommit(limit) => {
                self.pool.set_overcommit(limit);
                self.model.set_overcommit(limit);
            }
            Op::Memory(node, pages) => {
                self.ours.memory[node] += pages;
                self.theirs.memory[node] += pages;
            }
        }
    }

    /// What must hold between two operations. `others`: pages that have been in use from the start.
    fn check(&mut self, others: &[usize]) -> Result<(), TestCaseError> {
        self.pool.check();
        let counters = self.pool.counters();
        prop_assert_eq!(&counters, &self.model.counters());
        prop_assert_eq!(&self.ours.seen, &self.theirs.seen);
        prop_assert_eq!(&self.ours.memory, &self.theirs.memory);
        self.ours.seen.clear();
        self.theirs.seen.clear();

        let mut promised = 0;
        let mut used = others.to_vec();
        for (file, model) in self.files.iter().zip(&self.model_files) {
            prop_assert_eq!(file.charged(), model.reserve_map.len());
            for index in 0..=PAGES {
                prop_assert_eq!(file.is_charged(index), model.reserve_map.contains(&index));
            }
            prop_assert_eq!(file.present(), &model.page_cache);
            for (index, node) in file.present() {
                prop_assert!(file.is_charged(*index), "page {} is not charged", index);
                used[*node] += 1;
            }
            promised += file.charged() - file.present().len();
        }
        prop_assert_eq!(counters.resv, promised, "promises to nobody");
        for (node, [nr, free, _]) in counters.rows.iter().enumerate() {
            prop_assert_eq!(nr - free, used[node], "pages of nobody on node {}", node);
        }
        Ok(())
    }
}

fn file() -> impl Strategy<Value = usize> {
    0..FILES
}

fn range() -> impl Strategy<Value = FileRange> {
    (0..PAGES, 1..6_usize).prop_map(|(first, length)| FileRange {
        first,
        end: (first + length).min(PAGES),
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let meanwhile = || {
        prop_oneof![
            3 => Just(Vec::new()),
            1 => prop::collection::vec(range(), 1..4),
        ]
    };
    let trouble = || prop::bool::weighted(0.2);
    let what = (file(), 0..PAGES, nearest());
    (what, meanwhile(), trouble(), meanwhile(), trouble()).prop_map(
        |((file, index, nodes), before_take, no_table, before_insert, no_map)| Fault {
            file,
            index,
            nodes,
            before_take,
            no_table,
            before_insert,
            no_map,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let failures = prop::collection::vec(prop::bool::weighted(0.1), 0..4);
    let scope = prop_oneof![
        Just(Scope::All(NODES.to_vec())),
        prop::sample::select(&NODES).prop_map(Scope::Node),
    ];
    prop_oneof![
        5 => (file(), range(), nearest(), failures)
            .prop_map(|(file, range, nodes, failures)| Op::Map(file, range, nodes, failures)),
        12 => fault().prop_map(Op::Fault),
        2 => file().prop_map(Op::End),
        2 => (0..12_usize, scope).prop_map(|(count, scope)| Op::Resize(count, scope)),
        1 => (0..24_usize).prop_map(Op::Overcommit),
        1 => (prop::sample::select(&NODES), 1..3_usize)
            .prop_map(|(node, pages)| Op::Memory(node, pages)),
    ]
}

fn live(
    memory: &[usize],
    pages: &[Row],
    overcommit: usize,
    ops: &[Op],
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    let (memory, pages) = (table(memory), table(pages));
    let mut both = Both {
        ours: Machine::new(&NODES, &memory),
        pool: Shell::with(&pages, 0),
        files: Default::default(),
        theirs: Machine::new(&NODES, &memory),
        model: Model::with(&pages, 0),
        model_files: Default::default(),
    };
    let others = Vec::from_iter(pages.iter().map(|[nr, free, _]| nr - free));
    both.pool.set_overcommit(overcommit);
    both.model.set_overcommit(overcommit);
    for op in ops {
        both.apply(op, tally);
        both.check(&others)?;
    }
    for file in 0..FILES {
        both.end(file);
        both.check(&others)?;
    }
    prop_assert_eq!(both.pool.counters().resv, 0);
    Ok(())
}

/// Lives of so many operations.
fn lives(config: Config, length: Range<usize>) {
    let lives = (
        prop::collection::vec(0..8_usize, NODES.len()),
        pages(),
        0..24_usize,
        prop::collection::vec(op(), length),
    );
    let tally = RefCell::new(Tally::default());
    let result = TestRunner::new(config).run(&lives, |(memory, pages, overcommit, ops)| {
        live(&memory, &pages, overcommit, &ops, &mut tally.borrow_mut())
    });
    println!("{:?}", tally.borrow());
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn files_are_charged_as_hugetlb_charges_them() {
    lives(cases(2048, file!()), 1..60);
}

#[test]
fn files_are_charged_as_hugetlb_charges_them_for_long() {
    lives(long_cases(64, file!()), LONG);
}
