// SPDX-License-Identifier: GPL-2.0

//! Every order in which the steps of some jobs can mix: reservations, their ends, a resize, users.
//! (Two resizes cannot overlap: the shell holds a mutex.)
//!
//! In each small pool, each job of the one kind runs with each of the other. At every boundary the
//! invariants hold; in the end every page and every promise has somebody.

use rust_hugetlb::policy::pool::Claim;

use crate::explore::{explore, Choices};
use crate::job::{Job, Reservation, Resizing, Unreservation};
use crate::shell::{sum, Shell};
use crate::world::{Counters, Freed, Hugetlb, Plenty, Row, Scope, World};

/// How large the worlds of a test are.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    nodes: usize,
    /// Pages in the pool at the beginning, at most.
    pages: usize,
    /// Pages that a job reserves or resizes to, at most.
    count: usize,
    /// The limit of surplus pages, at most.
    overcommit: usize,
    /// How many allocations fail.
    failures: usize,
}

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reserve,
    Unreserve,
    Resize,
    /// Takes pages, on reservations if it has them.
    Use,
}

/// What happened in the runs of a test.
#[derive(Debug, Default)]
struct Tally {
    granted: usize,
    refused: usize,
    in_vain: usize,
    mixed: usize,
}

/// A page allocator that fails where the choices say so.
struct Allocator<'a> {
    choices: &'a mut Choices,
    nodes: usize,
    failures: usize,
    /// Pages that went into the pool, and came back.
    given: usize,
    taken_back: usize,
}

impl World for Allocator<'_> {
    fn memory_nodes(&self) -> Vec<usize> {
        Vec::from_iter(0..self.nodes)
    }

    fn alloc(&mut self, _: usize, _: bool) -> bool {
        if self.failures > 0 && self.choices.pick(2) == 1 {
            self.failures -= 1;
            return false;
        }
        self.given += 1;
        true
    }

    fn give_back(&mut self, _: usize) {
        self.taken_back += 1;
    }

    fn interrupted(&mut self) -> bool {
        false
    }

    fn meanwhile(&mut self, _: &mut dyn Hugetlb) {}
}

/// A user, who takes some pages and lets the first go.
#[derive(Debug)]
struct User {
    nodes: Vec<usize>,
    promises: usize,
    takes: usize,
    took: Vec<usize>,
    /// No page is free: a surplus page is to be had.
    wants_surplus: bool,
}

impl User {
    fn claim(&self) -> Claim {
        if self.promises > 0 {
            Claim::Reserved
        } else {
            Claim::Unreserved
        }
    }

    fn got(&mut self, node: Option<usize>) {
        self.promises -= usize::from(node.is_some() && self.claim() == Claim::Reserved);
        self.takes -= 1;
        self.took.extend(node);
    }
}

impl Job for User {
    fn step(&mut self, pool: &mut Shell, world: &mut dyn World) -> Option<bool> {
        let claim = self.claim();
        if self.wants_surplus {
            self.wants_surplus = false;
            let node = world.alloc_near(&self.nodes);
            let joins = node.filter(|node| pool.join_surplus(*node, claim, world));
            self.got(joins);
            return None;
        }
        if self.takes > 0 {
            let node = self.nodes.iter().find(|node| pool.take(**node, claim));
            let node = node.copied();
            self.wants_surplus = node.is_none() && pool.counts.may_overcommit();
            if !self.wants_surplus {
                self.got(node);
            }
            return None;
        }
        if let Some(node) = self.took.first() {
            if pool.put(*node) == Some(Freed::GivenBack) {
                world.give_back(*node);
            }
        }
        Some(true)
    }
}

/// A job of any kind, and the promises that it leaves when it ends.
enum Runner {
    Reserve(Reservation, usize),
    Unreserve(Unreservation),
    /// With what it is about, and how many pages that is to have.
    Resize(Resizing, Vec<usize>, usize),
    Use(User),
}

/// The orders in which nodes are tried, and the sets.
fn node_lists(nodes: usize) -> Vec<Vec<usize>> {
    match nodes {
        1 => vec![vec![0]],
        _ => vec![vec![0, 1], vec![1, 0], vec![1]],
    }
}

impl Runner {
    /// Any job of that kind. `promises`: those that nobody has yet.
    fn any(
        kind: Kind,
        choices: &mut Choices,
        bounds: Bounds,
        pool: &Shell,
        promises: &mut usize,
    ) -> Self {
        let mut nodes = || {
            let lists = node_lists(bounds.nodes);
            lists[choices.pick(lists.len())].clone()
        };
        match kind {
            Kind::Reserve => {
                let nodes = nodes();
                let count = 1 + choices.pick(bounds.count);
                Self::Reserve(Reservation::new(count, &nodes), count)
            }
            Kind::Unreserve => {
                let count = choices.pick(*promises + 1);
                *promises -= count;
                let memory = Vec::from_iter(0..bounds.nodes);
                Self::Unreserve(Unreservation::new(count, &memory))
            }
            Kind::Resize => {
                let mut scopes = vec![Scope::All(Vec::from_iter(0..bounds.nodes))];
                if bounds.nodes > 1 {
                    scopes.push(Scope::Node(1));
                }
                let scope = &scopes[choices.pick(scopes.len())];
                let count = choices.pick(bounds.count + 1);
                Self::Resize(Resizing::new(count, scope, pool), scope.nodes(), count)
            }
            Kind::Use => {
                let nodes = nodes();
                let promises = std::mem::take(promises);
                Self::Use(User {
                    nodes,
                    promises,
                    takes: 2,
                    took: Vec::new(),
                    wants_surplus: false,
                })
            }
        }
    }

    /// One step. If it was the last: how many promises are left to somebody. `failures`: of the page
    /// allocator so far.
    fn step(
        &mut self,
        pool: &mut Shell,
        world: &mut dyn World,
        failures: usize,
        tally: &mut Tally,
    ) -> Option<usize> {
        match self {
            Self::Reserve(job, count) => {
                let granted = job.step(pool, world)?;
                tally.granted += usize::from(granted);
                tally.refused += usize::from(!granted);
                Some(if granted { *count } else { 0 })
            }
            Self::Unreserve(job) => job.step(pool, world).and(Some(0)),
            Self::Resize(job, nodes, count) => {
                job.step(pool, world)?;
                let missing = *count as isize - pool.persistent_on(nodes);
                assert!(
                    missing == 0 || (failures > 0 && missing > 0),
                    "{missing} too few: {pool:?}"
                );
                Some(0)
            }
            Self::Use(job) => job.step(pool, world).and(Some(job.promises)),
        }
    }
}

/// A pool with any pages, promises and limit.
fn any_pool(choices: &mut Choices, bounds: Bounds) -> (Shell, usize) {
    let (mut left, mut persistent) = (bounds.pages, 0);
    let rows = Vec::from_iter((0..bounds.nodes).map(|_| -> Row {
        let nr = choices.pick(left + 1);
        left -= nr;
        // A node can have more surplus than pages if others make up for it.
        let surplus = choices.pick(persistent + nr + 1);
        persistent = persistent + nr - surplus;
        [nr, choices.pick(nr + 1), surplus]
    }));
    let mut pool = Shell::with(&rows, 0);
    let [_, free, _] = sum(&rows);
    let promises = choices.pick(free + 1);
    pool.promise(promises);
    pool.set_overcommit(choices.pick(bounds.overcommit + 1));
    (pool, promises)
}

/// All have gone: what is left is persistent and free, and promised to nobody.
fn clean_up(pool: &mut Shell, promises: usize, nodes: usize) {
    let persistent = pool.persistent();
    let counters = pool.counters();
    assert_eq!(counters.resv, promises, "promises to nobody: {pool:?}");
    for (node, [nr, free, _]) in counters.rows.iter().enumerate() {
        assert_eq!(nr - free, pool.used(node), "pages of nobody: {pool:?}");
        while pool.put(node).is_some() {}
    }
    pool.unreserve(promises, &mut Plenty { nodes });
    pool.check();
    assert_eq!(pool.persistent(), persistent, "{pool:?}");
    assert_eq!(pool.counters().resv, 0, "{pool:?}");
    // Free surplus pages can stay where promises were kept by other pages.
    let [nr, free, _] = pool.total();
    assert_eq!(nr, free, "{pool:?}");
}

/// One run of these jobs.
fn race(kinds: &[Kind], choices: &mut Choices, bounds: Bounds, tally: &mut Tally) {
    let (mut pool, mut promises) = any_pool(choices, bounds);
    let [nr, _, surplus] = pool.total();
    let overcommit = pool.counters().overcommit;
    let mut runners = Vec::from_iter(kinds.iter().enumerate().map(|(who, kind)| {
        let runner = Runner::any(*kind, choices, bounds, &pool, &mut promises);
        (who, runner)
    }));
    let mut world = Allocator {
        choices,
        nodes: bounds.nodes,
        failures: bounds.failures,
        given: 0,
        taken_back: 0,
    };
    let mut turns = Vec::new();
    while !runners.is_empty() {
        let next = world.choices.pick(runners.len());
        let (who, runner) = &mut runners[next];
        turns.push(*who);
        let failures = bounds.failures - world.failures;
        let done = runner.step(&mut pool, &mut world, failures, tally);
        pool.check();
        if let Some(left) = done {
            promises += left;
            runners.remove(next);
        }
        let [now, _, surplus_now] = pool.total();
        assert_eq!(now + world.taken_back, nr + world.given, "pages lost");
        if !kinds.contains(&Kind::Resize) {
            assert!(surplus_now <= surplus.max(overcommit), "{pool:?}");
        }
    }
    tally.in_vain += bounds.failures - world.failures;
    turns.dedup();
    tally.mixed += usize::from(turns.len() > kinds.len());
    clean_up(&mut pool, promises, bounds.nodes);
}

fn all_orders(kinds: &[Kind], bounds: Bounds) {
    let mut tally = Tally::default();
    let ways = explore(|choices| race(kinds, choices, bounds, &mut tally));
    println!("{ways} orders of {kinds:?} within {bounds:?}: {tally:?}");
    assert!(tally.mixed > 0);
    assert_eq!(tally.in_vain > 0, bounds.failures > 0);
    assert!(!kinds.contains(&Kind::Reserve) || (tally.granted > 0 && tally.refused > 0));
}

/// One node with more pages, then two nodes.
fn small_pools(kinds: &[Kind], wide: Bounds) {
    all_orders(
        kinds,
        Bounds {
            nodes: 1,
            pages: 4,
            ..wide
        },
    );
    all_orders(kinds, wide);
}

const TWO_NODES: Bounds = Bounds {
    nodes: 2,
    pages: 2,
    count: 3,
    overcommit: 2,
    failures: 1,
};

#[test]
fn reserve_and_resize() {
    small_pools(&[Kind::Reserve, Kind::Resize], TWO_NODES);
}

#[test]
fn reserve_and_reserve() {
    let wide = Bounds {
        count: 2,
        ..TWO_NODES
    };
    small_pools(&[Kind::Reserve, Kind::Reserve], wide);
}

#[test]
fn reserve_and_unreserve() {
    small_pools(&[Kind::Reserve, Kind::Unreserve], TWO_NODES);
}

#[test]
fn reserve_and_use() {
    small_pools(&[Kind::Reserve, Kind::Use], TWO_NODES);
}

#[test]
fn unreserve_and_resize() {
    small_pools(&[Kind::Unreserve, Kind::Resize], TWO_NODES);
}

#[test]
fn unreserve_and_use() {
    small_pools(&[Kind::Unreserve, Kind::Use], TWO_NODES);
}

#[test]
fn use_and_resize() {
    small_pools(&[Kind::Use, Kind::Resize], TWO_NODES);
}

/// What a refused reservation leaves behind if nobody else does anything: nothing. (But for free
/// surplus pages that are promised to nobody: those go with its own.)
#[test]
fn a_refused_reservation_leaves_no_trace() {
    let bounds = Bounds {
        pages: 4,
        failures: 2,
        ..TWO_NODES
    };
    let (mut refused, mut held, mut idle) = (0, 0, 0);
    let ways = explore(|choices| {
        let (mut pool, promises) = any_pool(choices, bounds);
        let before = pool.counters();
        let lists = node_lists(bounds.nodes);
        let nodes = &lists[choices.pick(lists.len())];
        let count = 1 + choices.pick(bounds.count);
        let mut world = Allocator {
            choices,
            nodes: bounds.nodes,
            failures: bounds.failures,
            given: 0,
            taken_back: 0,
        };
        let granted = pool.reserve(count, nodes, &mut world);
        let (given, taken_back) = (world.given, world.taken_back);
        let after = pool.counters();
        if granted {
            assert_eq!(after.resv, promises + count);
            assert_eq!(taken_back, 0);
            let [_, free, _] = sum(&before.rows);
            assert_eq!(given, count.saturating_sub(free - promises));
            return;
        }
        refused += 1;
        held += usize::from(given > 0);
        let Counters { resv, .. } = after;
        assert_eq!(resv, promises);
        if taken_back == given && given == 0 {
            assert_eq!(after, before);
        }
        let [nr, free, surplus] = sum(&before.rows);
        let [nr_now, free_now, surplus_now] = sum(&after.rows);
        let gone = taken_back - given;
        assert_eq!(
            [nr_now + gone, free_now + gone, surplus_now + gone],
            [nr, free, surplus]
        );
        if gone > 0 {
            idle += 1;
            assert!(free - promises >= gone && surplus >= gone);
        }
    });
    println!("{ways} reservations alone: {refused} refused, {held} of them with pages held, {idle} took idle surplus with them");
    assert!(held > 0 && idle > 0);
}
