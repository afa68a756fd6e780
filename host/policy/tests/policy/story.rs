// SPDX-License-Identifier: GPL-2.0

//! A pool and a machine that do one thing after the other, and the trace they leave.
//!
//! A trace names the nodes in the order of the steps: `0!` a page of node 0 was asked for with all
//! effort, `0` with less; a `-` behind it: in vain; `<0` a page of node 0 was given back.

use rust_hugetlb::policy::pool::Claim;

use crate::shell::Shell;
use crate::world::{Hugetlb, Row, Scope, World};

/// A page allocator with so many pages on each node, which writes the trace.
pub(crate) struct Machine {
    /// Pages left on each node.
    pub(crate) memory: Vec<usize>,
    /// Which asks of a resize fail even so, counted from 0.
    pub(crate) bad_luck: Vec<usize>,
    /// After how many asks a signal is pending.
    pub(crate) signal_after: usize,
    asks: usize,
    trace: Vec<String>,
}

impl World for Machine {
    fn memory_nodes(&self) -> Vec<usize> {
        Vec::from_iter(0..self.memory.len())
    }

    fn alloc(&mut self, node: usize, hard: bool) -> bool {
        let got = self.memory[node] > 0 && !self.bad_luck.contains(&self.asks);
        self.asks += 1;
        self.memory[node] -= usize::from(got);
        let effort = if hard { "!" } else { "" };
        let result = if got { "" } else { "-" };
        self.trace.push(format!("{node}{effort}{result}"));
        got
    }

    fn give_back(&mut self, node: usize) {
        self.memory[node] += 1;
        self.trace.push(format!("<{node}"));
    }

    fn interrupted(&mut self) -> bool {
        self.asks >= self.signal_after
    }

    fn meanwhile(&mut self, _: &mut dyn Hugetlb) {}
}

/// A pool and the machine around it.
pub(crate) struct Story {
    pub(crate) pool: Shell,
    pub(crate) machine: Machine,
}

impl Story {
    /// An empty pool on a machine with so much memory on each node.
    pub(crate) fn on<const N: usize>(memory: [usize; N]) -> Self {
        Self {
            pool: Shell::new(N, 0),
            machine: Machine {
                memory: memory.to_vec(),
                bad_luck: Vec::new(),
                signal_after: usize::MAX,
                asks: 0,
                trace: Vec::new(),
            },
        }
    }

    /// Resizes and returns the trace.
    pub(crate) fn resize(&mut self, count: usize, scope: &Scope) -> String {
        self.machine.asks = 0;
        self.machine.trace.clear();
        self.pool.resize(count, scope, &mut self.machine);
        self.machine.trace.join(" ")
    }

    /// Reserves for somebody who may use these nodes. The trace, and whether it was granted.
    pub(crate) fn reserve(&mut self, count: usize, nodes: &[usize]) -> (String, bool) {
        self.machine.asks = 0;
        self.machine.trace.clear();
        let granted = self.pool.reserve(count, nodes, &mut self.machine);
        (self.machine.trace.join(" "), granted)
    }

    /// Ends so many promises and returns the trace.
    pub(crate) fn unreserve(&mut self, count: usize) -> String {
        self.machine.trace.clear();
        self.pool.unreserve(count, &mut self.machine);
        self.machine.trace.join(" ")
    }

    /// A resize of the whole pool by all nodes.
    pub(crate) fn all(&mut self, count: usize) -> String {
        let nodes = Vec::from_iter(0..self.machine.memory.len());
        self.resize(count, &Scope::All(nodes))
    }

    /// A resize of one node.
    pub(crate) fn node(&mut self, node: usize, count: usize) -> String {
        self.resize(count, &Scope::Node(node))
    }

    /// So many pages of this node get a user.
    pub(crate) fn take(&mut self, node: usize, pages: usize) {
        for _ in 0..pages {
            assert!(self.pool.take(node, Claim::Unreserved));
        }
    }

    /// The counters of each node.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.pool.rows()
    }
}
