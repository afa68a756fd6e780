// SPDX-License-Identifier: GPL-2.0

//! Children: those that stay, and brief ones.

use crate::generate::{children, Generator};
use crate::op::{End, NewMap, Op, BRIEF};
use crate::pair::Pair;

impl Generator {
    fn way_out(&mut self) -> End {
        match self.chance(50) {
            true => End::Exit,
            false => End::Kill,
        }
    }

    pub(super) fn spawn(&mut self, pair: &Pair, _who: usize) -> Option<Op> {
        let who = self.one_of((1..BRIEF).filter(|child| !pair.has(*child)))?;
        Some(Op::Spawn { who })
    }

    pub(super) fn end(&mut self, pair: &Pair, _who: usize) -> Option<Op> {
        let who = self.one_of(children(pair))?;
        let end = self.way_out();
        Some(Op::End { who, end })
    }

    /// A child that uses mappings of its parent.
    pub(super) fn brief_on_shared(&mut self, pair: &Pair) -> Option<Op> {
        let mut ops = vec![];
        for _ in 0..self.random.usize(1..=3) {
            ops.push(match self.random.u32(..8) {
                0..=4 => self.touch(pair, 0)?,
                5 => self.unmap(pair, 0)?,
                6 => self.populate(pair, 0)?,
                _ => Op::Policy(self.policy()),
            });
        }
        let end = self.way_out();
        Some(Op::Fork { ops, end })
    }

    /// A child with a mapping of its own: of a file of its own, or of its parent's.
    pub(super) fn brief_on_own(&mut self, pair: &Pair, cpuset: bool) -> Option<Op> {
        let mut ops = vec![];
        if cpuset {
            ops.push(Op::Cpuset(self.nodes()));
        }
        if self.chance(40) {
            ops.push(Op::Policy(self.policy()));
        }
        let own = self.random.bool();
        let file = self.file(pair, 0, !own)?;
        if own {
            ops.push(Op::Open { file });
        }
        let new = NewMap {
            fixed: true,
            ..self.new_map(file)
        };
        ops.push(Op::Map(new));
        if self.chance(80) {
            let count = self.random.usize(1..=new.pages);
            ops.push(Op::Touch {
                at: new.place.pages(count),
                access: self.access(),
            });
        }
        if self.chance(20) {
            ops.push(Op::Close { file });
        }
        let end = self.way_out();
        Some(Op::Fork { ops, end })
    }
}
