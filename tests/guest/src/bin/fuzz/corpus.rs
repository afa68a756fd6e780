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

pub struct Corpus {
    /// Whether the kernel says what a sequence reached.
    guided: bool,
    entries: Vec<(Sequence, Reached)>,
    /// How many of them were kept from earlier.
    kept: usize,
    reached: HashSet<u64>,
}

impl Corpus {
    pub fn new(guided: bool) -> Self {
        Self {
            guided,
            entries: Vec::new(),
            kept: 0,
            reached: HashSet::new(),
        }
    }

    /// Keeps a sequence that was kept earlier, whatever it reached: it led far once, and on a kernel
    /// that does not say what is reached nothing else is known.
    pub fn keep(&mut self, sequence: Sequence, reached: Option<Reached>) {
        let reached = reached.unwrap_or_default();
        self.reached.extend(&reached.0);
        self.entries.push((sequence, reached));
        self.kept += 1;
    }

    /// Keeps a sequence if it is known to have reached something new.
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

    /// What others were made of, and how far they got.
    pub fn tell(&self) {
        let kept = self.kept;
        if self.guided {
            println!(
                "# corpus: {kept} sequences of corpus.txt and {} more that reached something new; \
                 {} pairs of places in the module",
                self.entries.len() - kept,
                self.reached.len()
            );
        } else {
            println!(
                "# corpus: {kept} sequences of corpus.txt; none was added, as this kernel has no KCOV \
                 to say what is reached"
            );
        }
    }

    /// Prints few sequences that reach all of it, the best first.
    pub fn save(mut self) {
        if !self.guided {
            println!("# nothing to save: this kernel has no KCOV to say what is reached");
        }
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
