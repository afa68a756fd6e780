// SPDX-License-Identifier: GPL-2.0

//! Random lives of a file with private mappings in several processes: the counters, what every
//! mapping has and was promised, and what every access sees is what the model of hugetlb says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_hugetlb::policy::coverage::Release;
use rust_hugetlb::policy::range::FileRange;

use crate::config::{cases, long_cases, LONG};
use crate::machine::{Machine, Script, Seen};
use crate::model::Model;
use crate::private_file::{CowFile, Touch};
use crate::private_model::{CowModel, Pte, Vma};
use crate::private_op::{op, Op, Part, Which, PAGES, PROCESSES};
use crate::random::{pages, table, NODES};
use crate::shell::Shell;
use crate::world::{Hugetlb, Row, World};

/// How often what happened, in all cases together.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, what: &'static str, happened: bool) {
        *self.0.entry(what).or_default() += usize::from(happened);
    }
}

/// Both worlds. The model's VMAs are the address spaces of both.
struct Both {
    ours: Machine,
    pool: Shell,
    file: CowFile,
    theirs: Machine,
    model: Model,
    cow: CowModel,
    mappings: usize,
}

impl Both {
    fn play(&mut self, failures: &[bool]) {
        let failures = failures.to_vec();
        let script = Script {
            failures,
            ..Script::default()
        };
        self.ours.play(&script);
        self.theirs.play(&script);
    }

    fn new_mapping(&mut self) -> usize {
        self.mappings += 1;
        self.mappings
    }

    fn which(&self, vma: Which) -> Option<usize> {
        let newest = self.cow.vmas.len().checked_sub(1)?;
        Some(newest - vma % self.cow.vmas.len())
    }

    /// Some VMA and a part of it.
    fn part(&self, vma: Which, [a, b]: Part) -> Option<(usize, usize, FileRange)> {
        let vma = self.which(vma)?;
        let Vma { mapping, range, .. } = self.cow.vmas[vma];
        let pages = range.end - range.first;
        let (a, b) = (a % (pages + 1), b % (pages + 1));
        let (first, end) = if a == b {
            (range.first, range.end)
        } else {
            (range.first + a.min(b), range.first + a.max(b))
        };
        Some((vma, mapping, FileRange { first, end }))
    }

    /// The kernel splits a VMA so that `part` is one. Which.
    fn split(&mut self, vma: usize, part: FileRange) -> usize {
        let Vma { mapping, range, .. } = self.cow.vmas[vma];
        let cuts = usize::from(range.first < part.first) + usize::from(part.end < range.end);
        for _ in 0..cuts {
            self.file.private(mapping).split();
        }
        self.cow.split(vma, part)
    }

    fn close(&mut self, mapping: usize, range: FileRange) -> Release {
        self.file
            .close(mapping, range, (&mut self.pool, &mut self.ours))
    }

    fn unmap(&mut self, vma: usize) {
        let Vma { mapping, range, .. } = self.cow.vmas[vma];
        let last = self.cow.vmas.iter().filter(|it| it.mapping == mapping);
        let expected = match last.count() {
            1 => Release::All,
            _ => Release::Range(range),
        };
        assert_eq!(self.close(mapping, range), expected);
        self.cow.unmap(vma, (&mut self.model, &mut self.theirs));
    }

    fn exit(&mut self, mm: usize) {
        while let Some(vma) = self.cow.vmas.iter().position(|vma| vma.mm == mm) {
            self.unmap(vma);
        }
    }

    fn touch(&mut self, vma: usize, index: usize, touch: &Touch, tally: &mut Tally) {
        let Vma {
            mapping,
            range,
            unmapped,
            ref ptes,
            ..
        } = self.cow.vmas[vma];
        let index = range.first + index % (range.end - range.first);
        // There the module goes by what the mapping has, hugetlb by what the page table shows.
        if unmapped && matches!(ptes.get(&index), Some(Pte::File)) {
            return;
        }
        let no_table = touch.no_table && self.file.private(mapping).is_full();
        let touch = Touch {
            no_table,
            ..touch.clone()
        };
        let robbed = |file: &CowFile| file.relatives.values().filter(|it| it.robbed).count();
        let before = robbed(&self.file);
        let on = (&mut self.pool, &mut self.ours as &mut dyn World);
        let ours = self.file.touch_private(mapping, index, &touch, on);
        let on = (&mut self.model, &mut self.theirs);
        let theirs = self.cow.touch_private(vma, index, &touch, on);
        assert_eq!(ours, theirs, "{mapping} at {index}");
        tally.count("touched", ours.is_some());
        tally.count("SIGBUS", ours.is_none());
        tally.count("SIGBUS of the robbed", ours.is_none() && unmapped);
        tally.count("robbed", robbed(&self.file) > before);
        tally.count("no memory", ours.is_none() && (touch.no_map || no_table));
    }

    fn fork(&mut self, from: usize, to: usize, pinned: &[usize], nodes: &[usize], t: &mut Tally) {
        if from == to || self.cow.vmas.iter().any(|vma| vma.mm == to) {
            return;
        }
        for vma in 0..self.cow.vmas.len() {
            let Vma {
                mm, mapping, range, ..
            } = self.cow.vmas[vma];
            if mm != from {
                continue;
            }
            let child = self.new_mapping();
            let with = (pinned, nodes);
            let on = (&mut self.pool, &mut self.ours as &mut dyn World);
            self.file.fork((mapping, child), range, with, on);
            let on = (&mut self.model, &mut self.theirs);
            self.cow.fork(vma, (to, child), with, on);
            t.count("forked", true);
            t.count("forked without a copy", self.file.private(child).robbed);
        }
    }

    fn apply(&mut self, op: &Op, tally: &mut Tally) {
        match *op {
            Op::Map {
                mm,
                range,
                noreserve,
                grows,
                ref nodes,
                ref failures,
            } => {
                let mapping = self.new_mapping();
                self.play(failures);
                let on = (&mut self.pool, &mut self.ours as &mut dyn World);
                let ours = self.file.map_private(mapping, range, noreserve, nodes, on);
                let on = (&mut self.model, &mut self.theirs);
                let id = (mm, mapping);
                let theirs = self.cow.map_private(id, range, noreserve, nodes, on);
                assert_eq!(ours, theirs);
                self.play(&[]);
                tally.count("mapped", ours);
                tally.count("refused", !ours);
                if ours && grows {
                    self.file.size = self.file.size.max(range.end);
                    self.cow.size = self.cow.size.max(range.end);
                }
            }
            Op::MapShared(range, ref nodes) => {
                let (pool, world) = (&mut self.pool, &mut self.ours);
                let ours = self.file.file.reserve(range, nodes, pool, world);
                let (model, world) = (&mut self.model, &mut self.theirs);
                assert_eq!(ours, self.cow.file.reserve(range, nodes, model, world));
                if ours {
                    self.file.size = self.file.size.max(range.end);
                    self.cow.size = self.cow.size.max(range.end);
                }
            }
            Op::Touch(vma, index, ref touch) => {
                if let Some(vma) = self.which(vma) {
                    self.touch(vma, index, touch, tally);
                }
            }
            Op::TouchShared(index, ref touch) => {
                let on = (&mut self.pool, &mut self.ours as &mut dyn World);
                let ours = self.file.touch_shared(index, touch, on);
                let on = (&mut self.model, &mut self.theirs);
                assert_eq!(ours, self.cow.touch_shared(index, touch, on));
                tally.count("touched the file", ours.is_some());
            }
            Op::Fork(from, to, ref pinned, ref nodes) => self.fork(from, to, pinned, nodes, tally),
            Op::Split(vma, part) => {
                if let Some((vma, _, part)) = self.part(vma, part) {
                    self.split(vma, part);
                }
            }
            Op::Unmap(vma, part) => {
                if let Some((vma, _, part)) = self.part(vma, part) {
                    let vma = self.split(vma, part);
                    self.unmap(vma);
                    tally.count("unmapped", true);
                }
            }
            Op::Move(vma, part, succeeds) => {
                if let Some((vma, mapping, part)) = self.part(vma, part) {
                    self.file.private(mapping).moved(part);
                    if succeeds {
                        self.split(vma, part);
                    }
                    assert_eq!(self.close(mapping, part), Release::Nothing);
                    tally.count("moved", succeeds);
                }
            }
            Op::Exit(mm) => self.exit(mm),
            Op::Truncate(size) => {
                let kept = self.promises();
                self.file.set_size(size, &mut self.pool, &mut self.ours);
                let backward = self.file.backward;
                let on = (&mut self.model, &mut self.theirs);
                self.cow.truncate(size, PAGES, backward, on);
                tally.count("promised again", self.promises() > kept);
            }
            Op::Punch(range) => {
                let kept = self.promises();
                self.file.punch(range, &mut self.pool, &mut self.ours);
                let backward = self.file.backward;
                self.cow
                    .punch(range, backward, (&mut self.model, &mut self.theirs));
                tally.count("promised again", self.promises() > kept);
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

    /// All promises of private mappings.
    fn promises(&self) -> usize {
        let all = self.file.relatives.values().map(|it| it.promises());
        all.sum()
    }

    /// What must hold between two operations. `others`: pages that have been in use from the start.
    fn check(&mut self, others: &[usize]) -> Result<(), TestCaseError> {
        self.pool.check();
        let counters = self.pool.counters();
        prop_assert_eq!(&counters, &self.model.counters());
        // What was asked of the page allocator, and what it got back. (Between the steps there is
        // more to see where an end of no promises counts as a step.)
        let asked = |machine: &mut Machine| {
            let mut seen = std::mem::take(&mut machine.seen);
            seen.retain(|it| !matches!(it, Seen::Counters(_)));
            seen
        };
        prop_assert_eq!(asked(&mut self.ours), asked(&mut self.theirs));
        prop_assert_eq!(&self.ours.memory, &self.theirs.memory);

        let (file, model) = (&self.file.file, &self.cow.file);
        prop_assert_eq!(file.charged(), model.reserve_map.len());
        prop_assert_eq!(file.present(), &model.page_cache);
        prop_assert_eq!(&self.file.values, &self.cow.values);
        let mut used = others.to_vec();
        for node in file.present().values() {
            used[*node] += 1;
        }
        let mut seen = BTreeSet::new();
        for page in self
            .file
            .relatives
            .values()
            .flat_map(|it| it.pages.values())
        {
            if seen.insert(Rc::as_ptr(page)) {
                used[page.node] += 1;
            }
        }
        for (node, [nr, free, _]) in counters.rows.iter().enumerate() {
            prop_assert_eq!(nr - free, used[node], "pages of nobody on node {}", node);
        }
        let promised = file.charged() - file.present().len() + self.promises();
        prop_assert_eq!(counters.resv, promised, "promises to nobody");
        self.check_mappings()
    }

    /// Each mapping has, and was promised, what its VMAs say.
    fn check_mappings(&self) -> Result<(), TestCaseError> {
        let mut left = BTreeSet::from_iter(self.file.relatives.keys());
        for (key, private) in &self.file.relatives {
            let vmas = self.cow.vmas.iter().filter(|vma| vma.mapping == *key);
            let (mut anon, mut promised) = (BTreeMap::new(), 0);
            for vma in vmas {
                left.remove(key);
                prop_assert_eq!(private.owner, vma.resv.is_some());
                prop_assert_eq!(private.robbed, vma.unmapped);
                for (index, pte) in &vma.ptes {
                    if let Pte::Anon(folio) = pte {
                        anon.insert(*index, folio.clone());
                    }
                }
                for index in vma.range.first..vma.range.end {
                    let used = vma.resv.as_ref().map(|used| used.borrow().contains(&index));
                    prop_assert_eq!(private.is_promised(index), used == Some(false));
                    promised += usize::from(used == Some(false));
                    let both = private.is_promised(index) && private.pages.contains_key(&index);
                    prop_assert!(!both, "{} has {} and a promise for it", key, index);
                }
            }
            prop_assert_eq!(&private.pages, &anon, "pages of {}", key);
            prop_assert_eq!(private.promises(), promised, "promises of {}", key);
            prop_assert!(!private.is_doubled());
        }
        prop_assert!(left.is_empty(), "mappings without a VMA: {:?}", left);
        Ok(())
    }
}

fn live(
    memory: &[usize],
    pages: &[Row],
    (overcommit, backward): (usize, bool),
    ops: &[Op],
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    let (memory, pages) = (table(memory), table(pages));
    let mut both = Both {
        ours: Machine::new(&NODES, &memory),
        pool: Shell::with(&pages, 0),
        file: CowFile {
            backward,
            ..CowFile::default()
        },
        theirs: Machine::new(&NODES, &memory),
        model: Model::with(&pages, 0),
        cow: CowModel::default(),
        mappings: 0,
    };
    let others = Vec::from_iter(pages.iter().map(|[nr, free, _]| nr - free));
    both.pool.set_overcommit(overcommit);
    both.model.set_overcommit(overcommit);
    for op in ops {
        both.apply(op, tally);
        both.check(&others)?;
    }
    for mm in 0..PROCESSES {
        both.exit(mm);
        both.check(&others)?;
    }
    prop_assert_eq!(both.promises(), 0);
    prop_assert!(both.file.relatives.is_empty());
    Ok(())
}

/// Lives of so many operations, in which all kinds of things happen.
fn lives(config: Config, length: Range<usize>) {
    let lives = (
        prop::collection::vec(0..8_usize, NODES.len()),
        pages(),
        (prop_oneof![Just(0), 0..12_usize], any::<bool>()),
        prop::collection::vec(op(), length),
    );
    let tally = RefCell::new(Tally::default());
    let result = TestRunner::new(config).run(&lives, |(memory, pages, settings, ops)| {
        live(&memory, &pages, settings, &ops, &mut tally.borrow_mut())
    });
    let tally = tally.into_inner();
    println!("{tally:?}");
    if let Err(failure) = result {
        panic!("{failure}");
    }
    for (what, times) in tally.0 {
        assert!(times > 0, "never {what}");
    }
}

#[test]
fn private_mappings_do_what_hugetlbs_do() {
    lives(cases(4096, file!()), 1..80);
}

#[test]
fn private_mappings_do_what_hugetlbs_do_for_long() {
    lives(long_cases(64, file!()), LONG);
}
