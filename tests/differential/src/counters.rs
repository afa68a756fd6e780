// SPDX-License-Identifier: GPL-2.0

//! All counters of a pool, read at one moment.

use std::fmt;
use std::fs::File;

use crate::backend::{Backend, Knob};
use crate::sys::{errno_name, read_from_start};

/// The counters of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCounters {
    pub nr: u64,
    pub free: u64,
    pub surplus: u64,
}

/// The counters of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub nr: u64,
    /// `nr_hugepages_mempolicy`, which is to show the same.
    pub nr_mempolicy: u64,
    pub free: u64,
    pub resv: u64,
    pub surplus: u64,
    pub overcommit: u64,
    pub nodes: Vec<NodeCounters>,
}

impl Counters {
    /// Pages that the pool keeps.
    pub fn persistent(&self) -> u64 {
        self.nr.saturating_sub(self.surplus)
    }

    /// Pages in files.
    pub fn in_use(&self) -> u64 {
        self.nr.saturating_sub(self.free)
    }

    /// What does not hold of that which holds at every moment; none if all does. (A node can have
    /// more surplus than pages: a shrink takes free pages of a node whatever its surplus.)
    pub fn broken(&self) -> Option<&'static str> {
        let sum = |of: fn(&NodeCounters) -> u64| self.nodes.iter().map(of).sum::<u64>();
        let rules = [
            (self.resv <= self.free, "resv > free"),
            (self.free <= self.nr, "free > nr"),
            (self.surplus <= self.nr, "surplus > nr"),
            (self.nr == self.nr_mempolicy, "the two nr files differ"),
            (sum(|n| n.nr) == self.nr, "nr is not the nodes' sum"),
            (sum(|n| n.free) == self.free, "free is not the nodes' sum"),
            (
                sum(|n| n.surplus) == self.surplus,
                "surplus is not the nodes' sum",
            ),
            (
                self.nodes.iter().all(|n| n.free <= n.nr),
                "a node has more free pages than pages",
            ),
        ];
        rules
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, what)| what)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nr {} free {} resv {} surplus {} overcommit {}",
            self.nr, self.free, self.resv, self.surplus, self.overcommit
        )?;
        if self.nr_mempolicy != self.nr {
            write!(f, " nr_mempolicy {}", self.nr_mempolicy)?;
        }
        f.write_str(" | nr/free/surplus per node")?;
        for node in &self.nodes {
            write!(f, " {}/{}/{}", node.nr, node.free, node.surplus)?;
        }
        Ok(())
    }
}

/// A pool's files, held open.
pub struct Gauge {
    files: Vec<(Knob, File)>,
    nodes: Vec<usize>,
}

impl Gauge {
    /// Opens the files of `backend`.
    pub fn open(backend: Backend, nodes: &[usize]) -> Result<Self, String> {
        let open = |knob| {
            let path = backend.path(knob);
            match File::open(&path) {
                Ok(file) => Ok((knob, file)),
                Err(error) => Err(format!("{path}: {error}")),
            }
        };
        Ok(Self {
            files: Knob::all(nodes)
                .into_iter()
                .map(open)
                .collect::<Result<_, _>>()?,
            nodes: nodes.to_vec(),
        })
    }

    /// Reads them.
    pub fn read(&self) -> Result<Counters, String> {
        let mut counters = Counters {
            nodes: vec![NodeCounters::default(); self.nodes.len()],
            ..Counters::default()
        };
        for (knob, file) in &self.files {
            let value = number(file).map_err(|why| format!("{knob}: {why}"))?;
            let mut on = |node: usize, set: fn(&mut NodeCounters) -> &mut u64| {
                for (index, number) in self.nodes.iter().enumerate() {
                    if *number == node {
                        *set(&mut counters.nodes[index]) = value;
                    }
                }
            };
            match *knob {
                Knob::Nr => counters.nr = value,
                Knob::NrMempolicy => counters.nr_mempolicy = value,
                Knob::Overcommit => counters.overcommit = value,
                Knob::Free => counters.free = value,
                Knob::Resv => counters.resv = value,
                Knob::Surplus => counters.surplus = value,
                Knob::NodeNr(node) => on(node, |counters| &mut counters.nr),
                Knob::NodeFree(node) => on(node, |counters| &mut counters.free),
                Knob::NodeSurplus(node) => on(node, |counters| &mut counters.surplus),
            }
        }
        Ok(counters)
    }
}

/// The number that a file shows: digits and a line feed, nothing else.
fn number(file: &File) -> Result<u64, String> {
    let mut buffer = [0; 64];
    let length = read_from_start(file, &mut buffer).map_err(errno_name)?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    text.strip_suffix('\n')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("shows {text:?}"))
}
