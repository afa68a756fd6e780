// SPDX-License-Identifier: GPL-2.0

//! Every order in which users, failing allocations and signals can get between the steps of one
//! resize of a small pool. (Two resizes cannot overlap: the shell holds a mutex.)

use rust_hugetlb::policy::pool::Claim;

use crate::explore::{explore, Choices};
use crate::shell::Shell;
use crate::world::{Hugetlb, Plenty, Row, Scope, World};

/// How large the worlds of a test are.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    nodes: usize,
    /// Pages in the pool before the resize, at most.
    pages: usize,
    /// How many more pages to ask for, at most; 0: ask for fewer or as many.
    grow_by: usize,
    /// How often a user gets in between.
    uses: usize,
    /// How many allocations fail.
    failures: usize,
    /// How many signals come.
    signals: usize,
}

/// How the runs of a test ended, and how many had a user get in between.
#[derive(Debug, Default)]
struct Tally {
    grown: usize,
    shrunk: usize,
    surplus: usize,
    gave_up: usize,
    stopped: usize,
    between: usize,
}

/// All that can happen at a boundary, as far as the bounds allow.
struct Others<'a> {
    choices: &'a mut Choices,
    left: Bounds,
    asked: usize,
    /// The nodes asked for the page at hand so far.
    in_vain: Vec<usize>,
    given_back: usize,
    stopped: bool,
    between: bool,
}

impl World for Others<'_> {
    fn memory_nodes(&self) -> Vec<usize> {
        Vec::from_iter(0..self.left.nodes)
    }

    fn alloc(&mut self, node: usize, _: bool) -> bool {
        self.asked += 1;
        if self.left.failures > 0 && self.choices.pick(2) == 1 {
            self.left.failures -= 1;
            self.in_vain.push(node);
            return false;
        }
        self.in_vain.clear();
        true
    }

    fn give_back(&mut self, _: usize) {
        self.given_back += 1;
    }

    fn interrupted(&mut self) -> bool {
        if self.left.signals > 0 && self.choices.pick(2) == 1 {
            self.left.signals -= 1;
            self.stopped = true;
        }
        self.stopped
    }

    fn meanwhile(&mut self, pool: &mut dyn Hugetlb) {
        assert_free_or_surplus(&pool.counters().rows);
        while self.left.uses > 0 {
            let rows = pool.counters().rows;
            let with = |wanted: fn(&Row) -> bool| {
                let rows = rows.iter().enumerate();
                Vec::from_iter(rows.filter(|(_, row)| wanted(row)).map(|(node, _)| node))
            };
            let takes = with(|[_, free, _]| *free > 0);
            let puts = with(|[nr, free, _]| nr > free);
            let choice = self.choices.pick(1 + takes.len() + puts.len());
            let Some(choice) = choice.checked_sub(1) else {
                return;
            };
            self.left.uses -= 1;
            self.between = true;
            match takes.get(choice) {
                Some(node) => assert!(pool.take(*node, Claim::Unreserved)),
                None => assert!(pool.put(puts[choice - takes.len()]).is_some()),
            }
            assert_free_or_surplus(&pool.counters().rows);
        }
    }
}

/// No node has surplus pages while it has free ones: free pages are given back before used ones
/// become surplus, and freed ones as long as there are surplus ones. (So until surplus pages can be
/// had in advance, by overcommit.)
fn assert_free_or_surplus(rows: &[Row]) {
    for (node, [_, free, surplus]) in rows.iter().enumerate() {
        assert!(*free == 0 || *surplus == 0, "node {node}: {rows:?}");
    }
}

/// A pool with some free, some used and some surplus pages.
fn any_pool(choices: &mut Choices, bounds: Bounds) -> Shell {
    let mut pool = Shell::new(bounds.nodes, 0);
    let mut left = bounds.pages;
    let mut used = Vec::new();
    for node in 0..bounds.nodes {
        let pages = choices.pick(left + 1);
        left -= pages;
        pool.resize(
            pages,
            &Scope::Node(node),
            &mut Plenty {
                nodes: bounds.nodes,
            },
        );
        used.push(choices.pick(pages + 1));
        for _ in 0..used[node] {
            assert!(pool.take(node, Claim::Unreserved));
        }
    }
    // Shrunk below what is in use, all over or on one node: the rest is surplus.
    let mut shrinks = Vec::new();
    for scope in scopes(bounds) {
        let used_there = scope.nodes().iter().map(|node| used[*node]).sum();
        shrinks.extend((0..used_there).map(|count| (count, scope.clone())));
    }
    let choice = choices.pick(1 + shrinks.len());
    if let Some((count, scope)) = shrinks.get(choice.wrapping_sub(1)) {
        pool.resize(
            *count,
            scope,
            &mut Plenty {
                nodes: bounds.nodes,
            },
        );
    }
    pool
}

/// The whole pool and, if there are several, each node.
fn scopes(bounds: Bounds) -> Vec<Scope> {
    let mut scopes = vec![Scope::All(Vec::from_iter(0..bounds.nodes))];
    if bounds.nodes > 1 {
        scopes.extend((0..bounds.nodes).map(Scope::Node));
    }
    scopes
}

/// One run.
fn resize_amid_others(choices: &mut Choices, bounds: Bounds, tally: &mut Tally) {
    let mut pool = any_pool(choices, bounds);
    let scopes = scopes(bounds);
    let scope = &scopes[choices.pick(scopes.len())];
    let nodes = scope.nodes();
    let persistent = |pool: &Shell| {
        let on = |node| usize::try_from(pool.persistent_on(&[node])).expect("no more surplus");
        Vec::from_iter((0..bounds.nodes).map(on))
    };
    let here = |pages: &[usize]| nodes.iter().map(|node| pages[*node]).sum::<usize>();
    let before = persistent(&pool);
    let had = here(&before);
    let count = match bounds.grow_by {
        0 => choices.pick(had + 1),
        more => had + 1 + choices.pick(more),
    };

    let mut others = Others {
        choices,
        left: bounds,
        asked: 0,
        in_vain: Vec::new(),
        given_back: 0,
        stopped: false,
        between: false,
    };
    pool.resize(count, scope, &mut others);

    let after = persistent(&pool);
    let has = here(&after);
    for node in 0..bounds.nodes {
        assert!(nodes.contains(&node) || before[node] == after[node]);
    }
    assert_free_or_surplus(&pool.counters().rows);
    if had >= count {
        assert_eq!(others.asked, 0, "nothing to ask for");
        assert_eq!(has, count);
    } else {
        assert_eq!(others.given_back, 0, "nothing to give back");
        if others.stopped {
            assert!((had..=count).contains(&has));
        } else if others.in_vain.is_empty() {
            assert_eq!(has, count);
        } else {
            others.in_vain.sort_unstable();
            assert_eq!(others.in_vain, nodes, "each node is asked once");
            assert!((had..count).contains(&has));
        }
    }

    let [_, _, surplus] = pool.total();
    tally.grown += usize::from(has > had);
    tally.shrunk += usize::from(others.given_back > 0);
    tally.surplus += usize::from(surplus > 0);
    tally.gave_up += usize::from(others.in_vain.len() == nodes.len());
    tally.stopped += usize::from(others.stopped);
    tally.between += usize::from(others.between);

    // When all have gone, the persistent pages are left, and free.
    for node in 0..bounds.nodes {
        while pool.put(node).is_some() {}
    }
    pool.check();
    let kept = after.iter().sum();
    assert_eq!(pool.persistent(), kept);
    assert_eq!(pool.total(), [kept, kept, 0]);
}

fn all_orders(bounds: Bounds) {
    let mut tally = Tally::default();
    let ways = explore(|choices| resize_amid_others(choices, bounds, &mut tally));
    println!("{ways} interleavings within {bounds:?}: {tally:?}");
    assert!(tally.between > 0);
    if bounds.grow_by > 0 {
        assert!(tally.grown > 0);
        assert_eq!(tally.gave_up > 0, bounds.failures > 0);
        assert_eq!(tally.stopped > 0, bounds.signals > 0);
    } else {
        assert!(tally.shrunk > 0);
        assert!(tally.surplus > 0);
    }
}

#[test]
fn growing_one_node() {
    all_orders(Bounds {
        nodes: 1,
        pages: 3,
        grow_by: 3,
        uses: 4,
        failures: 1,
        signals: 1,
    });
}

#[test]
fn growing_two_nodes() {
    all_orders(Bounds {
        nodes: 2,
        pages: 2,
        grow_by: 2,
        uses: 3,
        failures: 2,
        signals: 0,
    });
}

#[test]
fn growing_two_nodes_amid_signals() {
    all_orders(Bounds {
        nodes: 2,
        pages: 3,
        grow_by: 2,
        uses: 2,
        failures: 1,
        signals: 1,
    });
}

#[test]
fn growing_three_nodes() {
    all_orders(Bounds {
        nodes: 3,
        pages: 2,
        grow_by: 2,
        uses: 2,
        failures: 3,
        signals: 0,
    });
}

#[test]
fn shrinking_one_node() {
    all_orders(Bounds {
        nodes: 1,
        pages: 4,
        grow_by: 0,
        uses: 6,
        failures: 0,
        signals: 0,
    });
}

#[test]
fn shrinking_two_nodes() {
    all_orders(Bounds {
        nodes: 2,
        pages: 4,
        grow_by: 0,
        uses: 4,
        failures: 0,
        signals: 0,
    });
}

#[test]
fn shrinking_three_nodes() {
    all_orders(Bounds {
        nodes: 3,
        pages: 4,
        grow_by: 0,
        uses: 3,
        failures: 0,
        signals: 0,
    });
}
