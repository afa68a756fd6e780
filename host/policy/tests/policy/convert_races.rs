// SPDX-License-Identifier: GPL-2.0

//! Demotions and promotions with users of both pools between their steps, at random: every page is
//! in one place, no memory is lost, no promise is broken, and surplus stays as it was.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::demote::{self, Demote};
use rust_hugetlb::policy::node::NodeId;
use rust_hugetlb::policy::pool::{Claim, Counts, Fate, Pool};
use rust_hugetlb::policy::promote::{self, promotable, Promote};
use rust_hugetlb::policy::refusal::Refusal;
use rust_hugetlb::policy::reserve::{Reserve, Step};

use crate::config::{cases, long_cases};
use crate::shell::{id, row, set};

const NODES: usize = 2;
const PIECES: usize = 4;

/// A large page's memory: which one, or which piece of it.
type Place = (usize, usize);

/// The pages of one size: free and used ones of each node.
struct Pages {
    counts: Pool<Vec<Counts>>,
    free: Vec<Vec<Place>>,
    used: Vec<Vec<Place>>,
}

impl Pages {
    fn new() -> Self {
        Self {
            counts: Pool::new(vec![Counts::default(); NODES], NodeId::FIRST),
            free: vec![Vec::new(); NODES],
            used: vec![Vec::new(); NODES],
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Take(node, claim) => {
                let resv = self.counts.resv().get();
                if (claim == Claim::Unreserved || resv > 0) && self.counts.take(id(node), claim) {
                    let page = self.free[node].pop().expect("the counter has a page");
                    self.used[node].push(page);
                }
            }
            Act::Put(node) => {
                if let Some(page) = self.used[node].pop() {
                    assert_eq!(self.counts.put(id(node)), Fate::Keep, "there is no surplus");
                    self.free[node].push(page);
                }
            }
            Act::Reserve(count) => {
                if count <= self.counts.available().get() {
                    let step = Reserve::new(PageCount::new(count)).next(&mut self.counts);
                    assert_eq!(step, Step::Done(Ok(())));
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Take(usize, Claim),
    Put(usize),
    Reserve(usize),
}

#[derive(Clone, Copy, Debug)]
enum Job {
    Demote(usize, Option<usize>),
    Promote(usize, Option<usize>),
}

/// Both sizes, and the memory between them.
struct World {
    large: Pages,
    small: Pages,
    /// Pages that are changing their size, in small ones.
    between: usize,
    memory: usize,
}

impl World {
    /// So many large pages on each node.
    fn new(pages: &[usize]) -> Self {
        let mut world = Self {
            large: Pages::new(),
            small: Pages::new(),
            between: 0,
            memory: PIECES * pages.iter().sum::<usize>(),
        };
        let mut number = 0;
        for (node, count) in pages.iter().enumerate() {
            for _ in 0..*count {
                assert!(world.large.counts.add(id(node)));
                world.large.free[node].push((number, 0));
                number += 1;
            }
        }
        world
    }

    fn check(&self) {
        let mut memory = 0;
        for (pages, size) in [(&self.large, PIECES), (&self.small, 1)] {
            assert!(pages.counts.check(), "{:?}", pages.counts);
            for node in 0..NODES {
                let [_, free, surplus] = row(pages.counts.on(id(node)));
                assert_eq!((free, surplus), (pages.free[node].len(), 0));
            }
            memory += size * pages.counts.total().nr.get();
        }
        assert_eq!(memory, self.memory, "all memory counts once");
        let listed = |pages: &Pages| {
            let lists = pages.free.iter().chain(&pages.used);
            lists.map(Vec::len).sum::<usize>()
        };
        assert_eq!(
            listed(&self.large) * PIECES + listed(&self.small) + self.between,
            self.memory
        );
    }

    /// The large pages that lie whole on a node: those with all pieces free.
    fn whole(&self, node: usize) -> Vec<usize> {
        let mut pieces = BTreeMap::new();
        for (number, _) in &self.small.free[node] {
            *pieces.entry(*number).or_insert(0) += 1;
        }
        let whole = pieces.into_iter().filter(|(_, count)| *count == PIECES);
        Vec::from_iter(whole.map(|(number, _)| number))
    }

    fn act(&mut self, (is_large, act): (bool, Act)) {
        if is_large {
            self.large.act(act);
        } else {
            self.small.act(act);
        }
        self.check();
    }

    /// Returns how many large pages there are more or fewer.
    fn run(
        &mut self,
        job: Job,
        meanwhile: &mut dyn FnMut(&mut Self),
        mut fails: impl FnMut() -> bool,
    ) -> (usize, Result<(), Refusal>) {
        let pieces = PageCount::new(PIECES);
        let mut done = 0;
        match job {
            Job::Demote(count, node) => {
                let count = PageCount::new(count);
                let mut demote = match node {
                    Some(node) => Demote::of_node(count, pieces, id(node)),
                    None => Demote::of_total(count, pieces, set(&[0, 1])),
                };
                let mut apart = Vec::new();
                let result = loop {
                    let node = match demote.next(&mut self.large.counts) {
                        demote::Step::Split { node } => node,
                        demote::Step::Done(result) => break result,
                    };
                    let page = self.large.free[node.index()].pop().expect("it counts");
                    self.between += PIECES;
                    self.check();
                    meanwhile(self);
                    if fails() {
                        demote.failed();
                        apart.push((node, page));
                    } else {
                        demote.split(node, &mut self.large.counts, &mut self.small.counts);
                        let list = &mut self.small.free[node.index()];
                        list.extend((0..PIECES).map(|piece| (page.0, piece)));
                        self.between -= PIECES;
                        done += 1;
                        self.check();
                    }
                };
                for (node, page) in apart {
                    demote.put_back(node, &mut self.large.counts);
                    self.large.free[node.index()].push(page);
                    self.between -= PIECES;
                }
                (done, result)
            }
            Job::Promote(count, node) => {
                let count = PageCount::new(count);
                let mut promote = match node {
                    Some(node) => Promote::to_node(count, pieces, id(node)),
                    None => Promote::to_total(count, pieces, set(&[0, 1])),
                };
                let mut apart = Vec::new();
                let result = loop {
                    let whole = Vec::from_iter((0..NODES).map(|node| self.whole(node)));
                    let whole_on = |node: NodeId| PageCount::new(whole[node.index()].len());
                    let node = match promote.next(&mut self.small.counts, whole_on) {
                        promote::Step::Merge { node } => node,
                        promote::Step::Done(result) => break result,
                    };
                    let number = whole[node.index()][0];
                    self.small.free[node.index()].retain(|page| page.0 != number);
                    self.between += PIECES;
                    self.check();
                    meanwhile(self);
                    if fails() {
                        promote.failed();
                        apart.push((node, number));
                    } else {
                        promote.merged(node, &mut self.large.counts, &mut self.small.counts);
                        self.large.free[node.index()].push((number, 0));
                        self.between -= PIECES;
                        done += 1;
                        self.check();
                    }
                };
                for (node, number) in apart {
                    promote.put_back(node, &mut self.small.counts);
                    let list = &mut self.small.free[node.index()];
                    list.extend((0..PIECES).map(|piece| (number, piece)));
                    self.between -= PIECES;
                }
                (done, result)
            }
        }
    }
}

fn acts(most: usize) -> impl Strategy<Value = Vec<(bool, Act)>> {
    let claim = prop::sample::select(&[Claim::Reserved, Claim::Unreserved]);
    let act = prop_oneof![
        4 => (0..NODES, claim).prop_map(|(node, claim)| Act::Take(node, claim)),
        4 => (0..NODES).prop_map(Act::Put),
        1 => (0..4_usize).prop_map(Act::Reserve),
    ];
    prop::collection::vec((any::<bool>(), act), 0..most)
}

fn job() -> impl Strategy<Value = Job> {
    let count = prop_oneof![9 => 0..5_usize, 1 => Just(usize::MAX)];
    let node = prop::option::of(0..NODES);
    (any::<bool>(), count, node).prop_map(|(demotes, count, node)| {
        if demotes {
            Job::Demote(count, node)
        } else {
            Job::Promote(count, node)
        }
    })
}

/// A job, what others do before it, and what at each of its steps.
type Turn = (Job, Vec<(bool, Act)>, Vec<Vec<(bool, Act)>>);

fn turns(length: Range<usize>) -> impl Strategy<Value = Vec<Turn>> {
    let steps = prop::collection::vec(acts(4), 0..4);
    prop::collection::vec((job(), acts(12), steps), length)
}

/// Nothing is lost among users.
fn take_turns(pages: &[usize], turns: Vec<Turn>, failures: Vec<bool>) -> Result<(), TestCaseError> {
    let mut world = World::new(pages);
    let mut failures = failures.into_iter();
    for (job, before, steps) in turns {
        for act in before {
            world.act(act);
        }
        let mut steps = steps.into_iter();
        let mut meanwhile = |world: &mut World| {
            for act in steps.next().into_iter().flatten() {
                world.act(act);
            }
        };
        let _ = world.run(job, &mut meanwhile, || failures.next().unwrap_or(false));
        prop_assert_eq!(world.between, 0);
        world.check();
    }
    Ok(())
}

proptest! {
    #![proptest_config(long_cases(64, file!()))]

    #[test]
    fn nothing_is_lost_among_users_for_long(
        pages in prop::collection::vec(0..5_usize, NODES),
        turns in turns(100..300),
        failures in prop::collection::vec(prop::bool::weighted(0.2), 0..300),
    ) {
        take_turns(&pages, turns, failures)?;
    }
}

proptest! {
    #![proptest_config(cases(2000, file!()))]

    #[test]
    fn nothing_is_lost_among_users(
        pages in prop::collection::vec(0..5_usize, NODES),
        turns in turns(1..8),
        failures in prop::collection::vec(prop::bool::weighted(0.2), 0..8),
    ) {
        take_turns(&pages, turns, failures)?;
    }

    /// With nobody else there: as many as were asked for, or as there are.
    #[test]
    fn as_many_as_there_are(
        pages in prop::collection::vec(0..5_usize, NODES),
        acts in acts(12),
        jobs in prop::collection::vec(job(), 1..8),
    ) {
        let mut world = World::new(&pages);
        for (job, act) in jobs.into_iter().zip(acts.into_iter().map(Some).chain(std::iter::repeat(None))) {
            if let Some(act) = act {
                world.act(act);
            }
            let (count, there) = match job {
                Job::Demote(count, node) => (count, world.large.counts.spare(node.map(id)).get()),
                Job::Promote(count, node) => {
                    let on = |node| PageCount::new(world.whole(node).len());
                    let whole = match node {
                        Some(node) => on(node),
                        None => on(0).plus(on(1)),
                    };
                    let small = &world.small.counts;
                    (count, promotable(small, node.map(id), whole, PageCount::new(PIECES)).get())
                }
            };
            let (done, result) = world.run(job, &mut |_| {}, || false);
            prop_assert_eq!((done, result), (count.min(there), Ok(())), "{:?}", job);
        }
    }
}
