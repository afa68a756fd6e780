// SPDX-License-Identifier: GPL-2.0

//! policy/coverage.rs: its edges; and random lives of the VMAs of one mmap, each with its range in a
//! list: what ends with a VMA is what no other one has.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_hugetlb::policy::coverage::{Coverage, Release};
use rust_hugetlb::policy::range::FileRange;

use crate::config::cases;
use crate::file::make_room;
use crate::regions::runs;

type Vmas = Coverage<Vec<FileRange>>;

fn range(first: usize, end: usize) -> FileRange {
    FileRange { first, end }
}

/// One VMA, and room for so many ranges that two have.
fn one_vma(room: usize) -> Vmas {
    Coverage::new(vec![FileRange::default(); room])
}

#[test]
fn the_last_vma_takes_everything() {
    for room in [0, 1] {
        let mut vmas = one_vma(room);
        assert!(!vmas.is_doubled());
        assert_eq!(vmas.closed(range(0, 4)), Release::All);
        let mut vmas = one_vma(room);
        vmas.lose_count();
        assert_eq!(vmas.closed(range(0, 4)), Release::All);
    }
}

#[test]
fn a_part_that_is_unmapped_takes_its_range() {
    let mut vmas = one_vma(0);
    for _ in 0..2 {
        vmas.split();
    }
    assert_eq!(vmas.closed(range(1, 2)), Release::Range(range(1, 2)));
    assert_eq!(vmas.closed(range(0, 1)), Release::Range(range(0, 1)));
    assert!(!vmas.is_over());
    assert_eq!(vmas.closed(range(2, 9)), Release::All);
    assert!(vmas.is_over());
}

#[test]
fn a_move_takes_nothing() {
    // Of all; a failed one looks no other, as its copy has the same range.
    let mut vmas = one_vma(1);
    vmas.moved(range(0, 4));
    assert!(vmas.is_doubled());
    assert_eq!(vmas.closed(range(0, 4)), Release::Nothing);
    assert!(!vmas.is_doubled());
    assert_eq!(vmas.closed(range(0, 4)), Release::All);

    // Of a part: what is left on both sides, and the part, go one by one.
    let mut vmas = one_vma(1);
    vmas.moved(range(2, 4));
    vmas.split();
    vmas.split();
    assert_eq!(vmas.closed(range(2, 4)), Release::Nothing);
    assert_eq!(vmas.closed(range(4, 9)), Release::Range(range(4, 9)));
    assert_eq!(vmas.closed(range(2, 4)), Release::Range(range(2, 4)));
    assert_eq!(vmas.closed(range(0, 2)), Release::All);
}

/// The kernel does not get to unmap the old VMA ("OOM: unable to split vma").
#[test]
fn a_part_that_stays_doubled() {
    // The copy goes first: what it had the other one has, too.
    let mut vmas = one_vma(1);
    vmas.moved(range(2, 4));
    vmas.split();
    assert_eq!(vmas.closed(range(0, 2)), Release::Range(range(0, 2)));
    assert_eq!(vmas.closed(range(2, 4)), Release::Nothing);
    assert!(!vmas.is_doubled());
    assert_eq!(vmas.closed(range(2, 6)), Release::All);

    // The other goes first, of which a part is doubled: all stays until the end.
    let mut vmas = one_vma(1);
    vmas.split();
    vmas.moved(range(2, 4));
    assert_eq!(vmas.closed(range(0, 6)), Release::Nothing);
    assert!(vmas.is_doubled());
    assert_eq!(vmas.closed(range(6, 8)), Release::Nothing);
    assert_eq!(vmas.closed(range(2, 4)), Release::All);

    // The doubled part goes in two.
    let mut vmas = one_vma(2);
    vmas.moved(range(0, 4));
    vmas.split();
    assert_eq!(vmas.closed(range(0, 1)), Release::Nothing);
    assert_eq!(vmas.doubled().ranges(), [range(1, 4)]);
    vmas.split();
    assert_eq!(vmas.closed(range(0, 1)), Release::Range(range(0, 1)));
    assert_eq!(vmas.closed(range(1, 4)), Release::Nothing);
    assert!(!vmas.is_doubled());
    assert_eq!(vmas.closed(range(1, 4)), Release::All);
}

#[test]
fn three_have_a_page() {
    let mut vmas = one_vma(4);
    vmas.moved(range(0, 4));
    assert!(vmas.is_doubled());
    vmas.moved(range(3, 5));
    for _ in 0..2 {
        assert_eq!(vmas.closed(range(0, 2)), Release::Nothing);
        assert!(vmas.is_doubled());
    }
    assert_eq!(vmas.closed(range(2, 4)), Release::All);
}

#[test]
fn without_room_all_stays_until_the_end() {
    // To write down that a range is moved.
    let mut vmas = one_vma(0);
    vmas.moved(range(0, 4));
    assert!(vmas.is_doubled());
    assert_eq!(vmas.closed(range(0, 4)), Release::Nothing);
    assert!(vmas.is_doubled());
    vmas.split();
    assert_eq!(vmas.closed(range(0, 2)), Release::Nothing);
    assert_eq!(vmas.closed(range(2, 4)), Release::All);

    // To write down that the middle of one is gone.
    let mut vmas = one_vma(1);
    vmas.moved(range(0, 4));
    vmas.split();
    vmas.split();
    assert_eq!(vmas.closed(range(1, 2)), Release::Nothing);
    assert!(vmas.is_doubled());
    assert_eq!(vmas.closed(range(1, 2)), Release::Nothing);
    assert_eq!(vmas.closed(range(0, 1)), Release::Nothing);
    assert_eq!(vmas.closed(range(2, 4)), Release::All);

    // The shell knows already.
    let mut vmas = one_vma(1);
    vmas.split();
    vmas.lose_count();
    assert!(vmas.is_doubled());
    assert_eq!(vmas.closed(range(0, 2)), Release::Nothing);
    assert_eq!(vmas.closed(range(2, 4)), Release::All);
}

/// What happens to some VMA (the first number says which, the others where).
#[derive(Clone, Copy, Debug)]
enum Op {
    Split(usize, usize),
    Unmap(usize, [usize; 2]),
    Move(usize, [usize; 2], Ends),
}

/// How a move ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// The old part goes.
    Well,
    /// The copy goes.
    Undone,
    /// The old part cannot be split off, and stays.
    Doubled,
}

/// Whether there is memory for a larger table, each time that it is asked for; or nobody asks.
#[derive(Clone, Debug)]
enum Memory {
    Asked(Vec<bool>),
    Fixed(usize),
}

const PAGES: usize = 10;

/// How often what happened.
#[derive(Debug, Default)]
struct Tally {
    released: usize,
    kept_for_another: usize,
    all: usize,
    lost: usize,
    undone: usize,
    doubled: usize,
}

/// The VMAs of one mmap, and what policy knows of them.
struct Life {
    vmas: Vec<FileRange>,
    coverage: Vmas,
    /// Answers to come; none: nobody asks.
    memory: Option<std::vec::IntoIter<bool>>,
    /// What two have, as far as that can be told from moves and closes.
    noted: BTreeSet<usize>,
    lost: bool,
    released: BTreeSet<usize>,
}

impl Life {
    fn new(memory: &Memory) -> Self {
        let (room, memory) = match memory {
            Memory::Asked(answers) => (0, Some(answers.clone().into_iter())),
            Memory::Fixed(room) => (*room, None),
        };
        Self {
            vmas: vec![range(0, PAGES)],
            coverage: one_vma(room),
            memory,
            noted: BTreeSet::new(),
            lost: false,
            released: BTreeSet::new(),
        }
    }

    fn no_memory(&mut self) -> bool {
        let answer = self.memory.as_mut().and_then(Iterator::next);
        answer.unwrap_or(false)
    }

    fn others_have(&self, index: usize) -> bool {
        let has = |vma: &FileRange| (vma.first..vma.end).contains(&index);
        self.vmas.iter().any(has)
    }

    /// `open` of a copy of a part.
    fn copy(&mut self, part: FileRange) {
        if self.memory.is_some() {
            let no_memory = self.no_memory();
            let _ = make_room(self.coverage.doubled(), no_memory);
        }
        let room = self.coverage.doubled().room();
        self.coverage.moved(part);
        self.vmas.push(part);
        let before = self.noted.len();
        self.noted.extend(part.first..part.end);
        let known = self.noted.len() == before + part.count().get();
        if !known || runs(&self.noted).len() > room {
            self.lost = true;
        }
    }

    /// The VMA becomes those: each cut is an `open`. Where in the list the part is.
    fn cut(&mut self, vma: usize, part: FileRange) -> usize {
        let whole = self.vmas.swap_remove(vma);
        for rest in [range(whole.first, part.first), range(part.end, whole.end)] {
            if !rest.is_empty() {
                self.coverage.split();
                self.vmas.push(rest);
            }
        }
        self.vmas.push(part);
        self.vmas.len() - 1
    }

    /// `close`.
    fn close(&mut self, vma: usize, tally: &mut Tally) -> Result<(), TestCaseError> {
        let gone = self.vmas.swap_remove(vma);
        if self.memory.is_some() {
            let no_memory = self.no_memory();
            if !make_room(self.coverage.doubled(), no_memory) {
                self.coverage.lose_count();
                self.lost = true;
            }
        }
        let room = self.coverage.doubled().room();
        let release = self.coverage.closed(gone);
        let doubled = (gone.first..gone.end).filter(|index| self.noted.contains(index));
        let doubled = doubled.count();
        if !self.vmas.is_empty() && !self.lost && doubled > 0 {
            let mut left = self.noted.clone();
            left.retain(|index| !(gone.first..gone.end).contains(index));
            self.lost = doubled < gone.count().get() || runs(&left).len() > room;
            if !self.lost {
                self.noted = left;
            }
        }
        let released = match release {
            Release::All => {
                prop_assert!(self.vmas.is_empty(), "others have a VMA");
                tally.all += 1;
                BTreeSet::from_iter((0..PAGES).filter(|index| !self.released.contains(index)))
            }
            Release::Range(range) => {
                tally.released += 1;
                BTreeSet::from_iter(range.first..range.end)
            }
            Release::Nothing => {
                tally.kept_for_another += 1;
                BTreeSet::new()
            }
        };
        prop_assert_eq!(self.vmas.is_empty(), release == Release::All);
        for index in &released {
            prop_assert!(!self.others_have(*index), "{} is another's, too", index);
            prop_assert!(self.released.insert(*index), "{} goes twice", index);
        }
        // As soon as it can.
        for index in gone.first..gone.end {
            if !self.lost && !self.others_have(index) {
                prop_assert!(self.released.contains(&index), "{} stays", index);
            }
        }
        Ok(())
    }

    /// Some VMA, and a part of it.
    fn pick(&self, vma: usize, [a, b]: [usize; 2]) -> (usize, FileRange) {
        let vma = vma % self.vmas.len();
        let whole = self.vmas[vma];
        let pages = whole.count().get();
        let (a, b) = (a % (pages + 1), b % (pages + 1));
        let (first, end) = if a == b {
            (0, pages)
        } else {
            (a.min(b), a.max(b))
        };
        (vma, range(whole.first + first, whole.first + end))
    }

    fn apply(&mut self, op: Op, tally: &mut Tally) -> Result<(), TestCaseError> {
        match op {
            Op::Split(vma, at) => {
                let (vma, part) = self.pick(vma, [0, at]);
                self.cut(vma, part);
            }
            Op::Unmap(vma, part) => {
                let (vma, part) = self.pick(vma, part);
                let vma = self.cut(vma, part);
                self.close(vma, tally)?;
            }
            Op::Move(vma, part, ends) => {
                let (vma, part) = self.pick(vma, part);
                self.copy(part);
                prop_assert!(self.coverage.is_doubled(), "during a move");
                match ends {
                    Ends::Well => {
                        let vma = self.cut(vma, part);
                        self.close(vma, tally)?;
                    }
                    Ends::Undone => {
                        tally.undone += 1;
                        self.close(self.vmas.len() - 1, tally)?;
                    }
                    Ends::Doubled => tally.doubled += 1,
                }
            }
        }
        prop_assert_eq!(
            self.coverage.is_doubled(),
            self.lost || !self.noted.is_empty()
        );
        Ok(())
    }
}

fn op() -> impl Strategy<Value = Op> {
    let part = || [0..=PAGES, 0..=PAGES];
    let which = || 0..8_usize;
    let ends = prop_oneof![
        6 => Just(Ends::Well),
        2 => Just(Ends::Undone),
        1 => Just(Ends::Doubled),
    ];
    prop_oneof![
        2 => (which(), 0..=PAGES).prop_map(|(vma, at)| Op::Split(vma, at)),
        2 => (which(), part()).prop_map(|(vma, part)| Op::Unmap(vma, part)),
        3 => (which(), part(), ends).prop_map(|(vma, part, ends)| Op::Move(vma, part, ends)),
    ]
}

#[test]
fn what_ends_with_a_vma_is_what_no_other_has() {
    let memory = prop_oneof![
        2 => Just(Memory::Asked(Vec::new())),
        1 => prop::collection::vec(prop::bool::weighted(0.1), 0..30).prop_map(Memory::Asked),
        1 => (0..3_usize).prop_map(Memory::Fixed),
    ];
    let life = (memory, prop::collection::vec(op(), 0..24));
    let tally = RefCell::new(Tally::default());
    let result = TestRunner::new(cases(8192, file!())).run(&life, |(memory, ops)| {
        let mut tally = tally.borrow_mut();
        let mut life = Life::new(&memory);
        for op in ops {
            if !life.vmas.is_empty() {
                life.apply(op, &mut tally)?;
            }
        }
        // Exit.
        while !life.vmas.is_empty() {
            life.close(life.vmas.len() - 1, &mut tally)?;
        }
        prop_assert_eq!(life.released.len(), PAGES, "some stay for ever");
        tally.lost += usize::from(life.lost);
        Ok(())
    });
    let tally = tally.into_inner();
    println!("{tally:?}");
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let Tally {
        released,
        kept_for_another,
        all,
        lost,
        undone,
        doubled,
    } = tally;
    for happened in [released, kept_for_another, all, lost, undone, doubled] {
        assert!(happened > 0, "a kind of life was not tried");
    }
}
