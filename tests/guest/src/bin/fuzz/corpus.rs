// SPDX-License-Identifier: GPL-2.0

//! The sequences that reached something new, and those that were kept from earlier.

use std::collections::HashSet;

use fastrand::Rng;
use guest::Check;

use crate::coverage::Reached;
use crate::sequence::Sequence;

/// The sequences of corpus.txt, one a line.
pub fn kept() -> Check<Vec<Sequence>> {
    let lines = include_str!("corpus.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(str::parse)
        .collect()
}

#[derive(Default)]
pub struct Corpus {
    entries: Vec<(Sequence, Reached)>,
    reached: HashSet<u64>,
}

impl Corpus {
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a sequence if it reached something new; without coverage, those that came from outside.
    pub fn learn(&mut self, sequence: &Sequence, reached: Option<Reached>) {
        let reached = reached.unwrap_or_default();
        let before = self.reached.len();
        self.reached.extend(&reached.0);
        if self.reached.len() > before {
            self.entries.push((sequence.clone(), reached));
        }
    }

    /// One to try: of those that are here, one that was changed, or a new one.
    pub fn next(&self, random: &mut Rng) -> Sequence {
        if self.entries.is_empty() || random.u8(..4) == 0 {
            return Sequence::random(random);
        }
        let mut any = || &self.entries[random.usize(..self.entries.len())].0;
        let (one, other) = (any(), any());
        one.mutated(other, random)
    }

    /// How far it got.
    pub fn tell(&self) {
        println!(
            "# {} sequences reached {} pairs of places in the module",
            self.entries.len(),
            self.reached.len()
        );
    }

    /// Prints few sequences that reach all of it, the best first.
    pub fn save(mut self) {
        loop {
            let left =
                |(_, reached): &(Sequence, Reached)| reached.0.intersection(&self.reached).count();
            let places = 0..self.entries.len();
            let best = places.max_by_key(|place| left(&self.entries[*place]));
            let Some(best) = best.filter(|place| left(&self.entries[*place]) > 0) else {
                break;
            };
            let (sequence, reached) = self.entries.swap_remove(best);
            self.reached.retain(|pair| !reached.0.contains(pair));
            println!("# corpus {sequence}");
        }
    }
}
