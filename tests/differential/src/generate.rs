// SPDX-License-Identifier: GPL-2.0

//! Random operations, which keep the pools small and nearly used up.
//!
//! Every file has at most [`FILE_PAGES`] pages and sizes are at most [`MOST`], so both pools
//! together never have more than a part of the guest's memory: near its end two runs of hugetlb
//! itself would differ.

use fastrand::Rng;

use crate::backend::Knob;
use crate::machine::Machine;
use crate::op::{End, NewMap, NodeList, Op, Pages, Prot, FILES, MAPS};
use crate::pair::Pair;
use crate::policy::Policy;
use crate::text::{Text, ODD, VAST};
use crate::touch::Access;
use crate::world::World;

/// The pages of a file that mappings begin and end within.
const FILE_PAGES: usize = 12;

/// Where else in a file mappings may begin: about the last page of any file, and where offsets are
/// negative.
const FAR: [u64; 5] = [
    1 << 20,
    (1 << 42) - 8,
    1 << 42,
    (1 << 43) - 8,
    (1 << 43) - 1,
];

/// The largest size written to a file of the pool.
const MOST: u64 = 48;

/// A source of operations.
pub struct Generator {
    random: Rng,
    machine: Machine,
}

/// Makes an operation; none if there is nothing that it could be about.
type Make = fn(&mut Generator, &Pair) -> Option<Op>;

/// What is made how often.
const MIX: &[(u32, Make)] = &[
    (22, |g, pair| g.touch(pair.world())),
    (22, |g, pair| g.map(pair.world())),
    (12, |g, pair| g.unmap(pair.world())),
    (8, |g, pair| g.open(pair.world())),
    (7, |g, pair| g.close(pair.world())),
    (8, |g, pair| Some(g.resize(pair))),
    (5, |g, pair| Some(g.resize_node(pair))),
    (4, |g, pair| Some(g.resize_by_policy(pair))),
    (6, |g, _| Some(g.overcommit())),
    (4, |g, _| Some(g.junk())),
    (5, |g, _| Some(Op::Policy(g.policy()))),
    (3, |g, _| Some(Op::Cpu(g.random.usize(..g.machine.cpus)))),
    (2, |g, pair| g.protect(pair.world())),
    (3, |g, pair| g.populate(pair.world())),
    (3, |g, pair| g.bind(pair.world())),
    (1, |g, pair| g.home(pair.world())),
    (2, |g, pair| g.relocate(pair.world())),
    (1, |g, pair| g.unmap_skewed(pair.world())),
    (4, |g, pair| g.fork_on_shared(pair.world())),
    (4, |g, pair| g.fork_on_own(pair.world(), false)),
    (2, |g, pair| g.fork_on_own(pair.world(), true)),
];

impl Generator {
    /// A source whose operations depend on `seed` and on what it is shown.
    pub fn new(seed: u64, machine: Machine) -> Self {
        Self {
            random: Rng::with_seed(seed),
            machine,
        }
    }

    /// The next operation.
    pub fn op(&mut self, pair: &Pair) -> Op {
        let total: u32 = MIX.iter().map(|(weight, _)| weight).sum();
        loop {
            let mut left = self.random.u32(..total);
            let chosen = MIX.iter().find(|(weight, _)| {
                let this = left < *weight;
                left = left.wrapping_sub(*weight);
                this
            });
            // Some always make one.
            if let Some(op) = chosen.and_then(|(_, make)| make(self, pair)) {
                return op;
            }
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(..100) < percent
    }

    fn one_of(&mut self, some: impl Iterator<Item = usize>) -> Option<usize> {
        let some: Vec<usize> = some.collect();
        self.random.choice(some)
    }

    fn file(&mut self, world: &World, open: bool) -> Option<usize> {
        self.one_of((0..FILES).filter(|file| world.has_file(*file) == open))
    }

    fn free_map(&mut self, world: &World) -> Option<usize> {
        self.one_of((0..MAPS).filter(|map| world.runs(*map).is_empty()))
    }

    /// Some pages of some mapping, often all that are left in a row.
    fn pages(&mut self, world: &World) -> Option<Pages> {
        let map = self.one_of((0..MAPS).filter(|map| !world.runs(*map).is_empty()))?;
        let (first, count) = self.random.choice(world.runs(map))?;
        if self.chance(40) {
            return Some(Pages { map, first, count });
        }
        let skipped = self.random.usize(..count);
        Some(Pages {
            map,
            first: first + skipped,
            count: self.random.usize(1..=count - skipped),
        })
    }

    fn access(&mut self) -> Access {
        match self.chance(60) {
            true => Access::Write,
            false => Access::Read,
        }
    }

    fn prot(&mut self) -> Prot {
        match self.chance(85) {
            true => Prot::ReadWrite,
            false => Prot::Read,
        }
    }

    fn end(&mut self) -> End {
        match self.chance(50) {
            true => End::Exit,
            false => End::Kill,
        }
    }

    fn nodes(&mut self) -> NodeList {
        let mut mask = 0;
        while mask == 0 {
            let picked = self.machine.nodes.iter().filter(|_| self.random.bool());
            mask = picked.fold(0, |mask, node| mask | (1 << node));
        }
        NodeList::from_mask(mask)
    }

    fn node(&mut self) -> usize {
        let nodes = self.machine.nodes.iter().copied();
        self.one_of(nodes.collect::<Vec<_>>().into_iter())
            .unwrap_or_default()
    }

    fn policy(&mut self) -> Policy {
        if self.chance(25) {
            return Policy::none();
        }
        let mode = self.random.usize(..Policy::COUNT);
        let nodes = match Policy::takes_nodes(mode) {
            true => self.nodes(),
            false => NodeList::default(),
        };
        Policy::of(mode, nodes)
    }

    /// A size near what is used or promised, or there already.
    fn size(&mut self, pair: &Pair, most: u64) -> u64 {
        let now = pair.counters();
        let near = [0, now.in_use(), now.in_use() + now.resv, now.persistent()];
        let size = match self.random.u32(..10) {
            0..=4 => {
                let about = near[self.random.usize(..near.len())] + self.random.u64(..=4);
                about.saturating_sub(2)
            }
            5..=8 => self.random.u64(..=16),
            _ => self.random.u64(..=most),
        };
        size.min(most)
    }

    fn count(&mut self, knob: Knob, pair: &Pair, most: u64) -> Op {
        let text = Text::Count(self.size(pair, most));
        Op::Write { knob, text }
    }

    fn resize(&mut self, pair: &Pair) -> Op {
        self.count(Knob::Nr, pair, MOST)
    }

    fn resize_by_policy(&mut self, pair: &Pair) -> Op {
        self.count(Knob::NrMempolicy, pair, MOST)
    }

    fn resize_node(&mut self, pair: &Pair) -> Op {
        // All nodes together may not have much more than a global size allows.
        let most = MOST.div_ceil(self.machine.nodes.len() as u64);
        let knob = Knob::NodeNr(self.node());
        self.count(knob, pair, most)
    }

    fn overcommit(&mut self) -> Op {
        let count = match self.random.u32(..10) {
            0..=2 => 0,
            3..=8 => self.random.u64(..=12),
            _ => VAST[self.random.usize(..VAST.len())],
        };
        Op::Write {
            knob: Knob::Overcommit,
            text: Text::Count(count),
        }
    }

    /// What is no count, or an odd one, to any file.
    fn junk(&mut self) -> Op {
        let mut knobs = Knob::all(&self.machine.nodes);
        if self.chance(85) {
            knobs.retain(|knob| knob.is_writable());
        }
        let knob = knobs[self.random.usize(..knobs.len())];
        let text = match self.random.u32(..10) {
            0 => Text::Noise {
                seed: self.random.u64(..),
                length: 5 << 10,
            },
            1 => Text::Noise {
                seed: self.random.u64(..),
                length: self.random.usize(..16),
            },
            2 => Text::Padded {
                zeroes: self.random.usize(..=5 << 10),
                count: self.random.u64(..=9),
            },
            _ => Text::Bytes(ODD[self.random.usize(..ODD.len())].to_vec()),
        };
        Op::Write { knob, text }
    }

    fn open(&mut self, world: &World) -> Option<Op> {
        let file = self.file(world, false)?;
        Some(Op::Open { file })
    }

    fn close(&mut self, world: &World) -> Option<Op> {
        let file = self.file(world, true)?;
        Some(Op::Close { file })
    }

    fn map(&mut self, world: &World) -> Option<Op> {
        let (map, file) = (self.free_map(world)?, self.file(world, true)?);
        Some(Op::Map(self.new_map(map, file)))
    }

    fn new_map(&mut self, map: usize, file: usize) -> NewMap {
        let first = self.random.usize(..FILE_PAGES - 1);
        let first = if self.chance(50) { 0 } else { first };
        let far = match self.chance(2) {
            true => FAR[self.random.usize(..FAR.len())],
            false => 0,
        };
        let most = match self.chance(70) {
            true => 5.min(FILE_PAGES - first),
            false => FILE_PAGES - first,
        };
        NewMap {
            map,
            file,
            first: far + first as u64,
            pages: self.random.usize(1..=most),
            prot: self.prot(),
            reserve: self.chance(70),
            skewed: self.chance(2),
        }
    }

    fn touch(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        let access = self.access();
        Some(Op::Touch { at, access })
    }

    fn unmap(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        Some(Op::Unmap { at })
    }

    fn unmap_skewed(&mut self, world: &World) -> Option<Op> {
        let Pages { map, .. } = self.pages(world)?;
        Some(Op::UnmapSkewed { map })
    }

    fn protect(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        let prot = match self.random.bool() {
            true => Prot::Read,
            false => Prot::ReadWrite,
        };
        Some(Op::Protect { at, prot })
    }

    fn populate(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        let access = self.access();
        Some(Op::Populate { at, access })
    }

    fn bind(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        let policy = self.policy();
        Some(Op::Bind { at, policy })
    }

    fn home(&mut self, world: &World) -> Option<Op> {
        let at = self.pages(world)?;
        let node = self.node();
        Some(Op::Home { at, node })
    }

    fn relocate(&mut self, world: &World) -> Option<Op> {
        let Pages { map, .. } = self.pages(world)?;
        Some(Op::Move { map })
    }

    /// A child that uses mappings of its parent.
    fn fork_on_shared(&mut self, world: &World) -> Option<Op> {
        let mut ops = vec![];
        for _ in 0..self.random.usize(1..=3) {
            ops.push(match self.random.u32(..8) {
                0..=4 => self.touch(world)?,
                5 => self.unmap(world)?,
                6 => self.populate(world)?,
                _ => Op::Policy(self.policy()),
            });
        }
        let end = self.end();
        Some(Op::Fork { ops, end })
    }

    /// A child with a mapping of its own: of a file of its own, or of its parent's.
    fn fork_on_own(&mut self, world: &World, cpuset: bool) -> Option<Op> {
        let mut ops = vec![];
        if cpuset {
            ops.push(Op::Cpuset(self.nodes()));
        }
        if self.chance(40) {
            ops.push(Op::Policy(self.policy()));
        }
        let own = self.random.bool();
        let file = self.file(world, !own)?;
        if own {
            ops.push(Op::Open { file });
        }
        let map = self.free_map(world)?;
        let new = self.new_map(map, file);
        ops.push(Op::Map(new));
        if self.chance(80) {
            ops.push(Op::Touch {
                at: Pages {
                    map,
                    first: 0,
                    count: self.random.usize(1..=new.pages),
                },
                access: self.access(),
            });
        }
        if self.chance(20) {
            ops.push(Op::Close { file });
        }
        let end = self.end();
        Some(Op::Fork { ops, end })
    }
}
