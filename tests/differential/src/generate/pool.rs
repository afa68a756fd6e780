// SPDX-License-Identifier: GPL-2.0

//! Writes to the files of the pools.

use crate::backend::Knob;
use crate::generate::Generator;
use crate::op::Op;
use crate::pair::Pair;
use crate::size::{IS_PLENTY, MOST};
use crate::text::{Text, ODD, VAST};

impl Generator {
    /// A size near what is used or promised, or there already.
    fn size(&mut self, pair: &Pair, most: u64) -> u64 {
        let now = pair.counters();
        let near = [0, now.in_use(), now.in_use() + now.resv, now.persistent()];
        let size = match self.random.u32(..10) {
            0..=4 => {
                let about = near[self.random.usize(..near.len())] + self.random.u64(..=4);
                about.saturating_sub(2)
            }
            5..=8 => self.random.u64(..=MOST / 3),
            _ => self.random.u64(..=most),
        };
        size.min(most)
    }

    fn count(&mut self, knob: Knob, pair: &Pair, most: u64) -> Op {
        let text = Text::Count(self.size(pair, most));
        Op::Write { knob, text }
    }

    pub(super) fn resize(&mut self, pair: &Pair) -> Op {
        self.count(Knob::Nr, pair, MOST)
    }

    pub(super) fn resize_by_policy(&mut self, pair: &Pair) -> Op {
        self.count(Knob::NrMempolicy, pair, MOST)
    }

    pub(super) fn resize_node(&mut self, pair: &Pair) -> Op {
        // All nodes together may not have much more than a global size allows.
        let most = MOST.div_ceil(self.machine.nodes.len() as u64);
        let knob = Knob::NodeNr(self.node());
        self.count(knob, pair, most)
    }

    pub(super) fn overcommit(&mut self) -> Op {
        let count = match self.random.u32(..10) {
            0..=2 => 0,
            3..=8 => self.random.u64(..=MOST.div_ceil(4)),
            _ if !IS_PLENTY => 1,
            _ => VAST[self.random.usize(..VAST.len())],
        };
        Op::Write {
            knob: Knob::Overcommit,
            text: Text::Count(count),
        }
    }

    /// Leaves no page for who was not promised one.
    pub(super) fn exhaust(&mut self, pair: &Pair) -> Op {
        let now = pair.counters();
        let (knob, count) = match now.overcommit {
            0 => (Knob::Nr, now.in_use() + now.resv),
            _ => (Knob::Overcommit, 0),
        };
        let text = Text::Count(count.min(MOST));
        Op::Write { knob, text }
    }

    /// What is no count, or an odd one, to any file.
    pub(super) fn junk(&mut self) -> Op {
        let mut knobs = Knob::all(&self.machine.nodes);
        if self.chance(85) {
            knobs.retain(|knob| knob.is_writable());
        }
        let knob = knobs[self.random.usize(..knobs.len())];
        let text = match self.random.u32(..10) {
            _ if !IS_PLENTY => Text::Bytes(b"all".to_vec()),
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
}
