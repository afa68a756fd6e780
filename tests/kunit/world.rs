// SPDX-License-Identifier: GPL-2.0

//! A pool with users, operators and a page allocator that sometimes has none, all by chance.

use kernel::{alloc::KVec, prelude::*};

use crate::policy::{
    count::PageCount,
    node::{NodeId, NodeSet},
    pool::{Claim, Counts, Fate, Pool},
    reserve::{self, Reserve, Unreserve},
    resize::{self, Resize},
};

/// Numbers that are the same each time (xorshift64*).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % end
    }
}

pub(crate) const NODES: usize = 4;

pub(crate) type Nodes = Pool<KVec<Counts>>;

/// A pool, and what its users would know.
pub(crate) struct World {
    pub(crate) pool: Nodes,
    pub(crate) used: [usize; NODES],
    pub(crate) promised: usize,
    pub(crate) numbers: Numbers,
}

impl World {
    /// No page yet.
    pub(crate) fn new() -> Result<Self> {
        let mut nodes = KVec::new();
        nodes.resize(NODES, Counts::default(), GFP_KERNEL)?;
        Ok(Self {
            pool: Pool::new(nodes, NodeId::FIRST),
            used: [0; NODES],
            promised: 0,
            numbers: Numbers(1),
        })
    }

    /// One of the nodes, and its place in `used`.
    fn node(&mut self) -> Result<(NodeId, usize)> {
        let number = self.numbers.below(NODES);
        Ok((NodeId::new(number).ok_or(EINVAL)?, number))
    }

    /// Whether the page allocator has a page this time.
    fn has_page(&mut self) -> bool {
        self.numbers.below(8) != 0
    }

    fn set(&mut self) -> NodeSet {
        NodeSet::from_words([self.numbers.below(1 << NODES) as u64])
    }

    fn resize(&mut self) -> Result {
        let count = PageCount::new(self.numbers.below(40));
        let mut resize = if self.numbers.below(2) == 0 {
            Resize::to_total(count, self.set())
        } else {
            Resize::to_node(count, self.node()?.0, &self.pool)
        };
        loop {
            match resize.next(&mut self.pool) {
                resize::Step::Alloc(ask) if self.has_page() => {
                    assert!(resize.allocated(ask.node, &mut self.pool));
                }
                resize::Step::Alloc(ask) => resize.failed(ask.node),
                resize::Step::GiveBack { .. } => {}
                resize::Step::Wait => resize.interrupt(),
                resize::Step::Done => return Ok(()),
            }
            assert!(self.pool.check());
        }
    }

    fn reserve(&mut self) -> Result {
        let count = self.numbers.below(6);
        let mut reserve = Reserve::new(PageCount::new(count));
        let mut held = KVec::new();
        loop {
            match reserve.next(&mut self.pool) {
                reserve::Step::Allocate if self.has_page() => {
                    let (node, _) = self.node()?;
                    if reserve.allocated(node, &mut self.pool) {
                        held.push(node, GFP_KERNEL)?;
                    }
                }
                reserve::Step::Allocate => reserve.failed(),
                reserve::Step::Enlist => {
                    let node = held.pop().ok_or(ENOENT)?;
                    reserve.enlisted(node, &mut self.pool);
                }
                reserve::Step::Drop => {
                    let node = held.pop().ok_or(ENOENT)?;
                    let _ = reserve.dropped(node, &mut self.pool);
                }
                reserve::Step::Done(result) => {
                    assert!(held.is_empty());
                    self.promised += result.map_or(0, |()| count);
                    return Ok(());
                }
            }
        }
    }

    fn unreserve(&mut self) {
        let count = self.numbers.below(self.promised + 1);
        let mut unreserve = Unreserve::new(PageCount::new(count), all_nodes());
        while unreserve.next(&mut self.pool).is_some() {
            assert!(self.pool.check());
        }
        self.promised -= count;
    }

    fn take(&mut self) -> Result {
        let (node, number) = self.node()?;
        let reserved = self.promised != 0 && self.numbers.below(2) == 0;
        let claim = if reserved {
            Claim::Reserved
        } else {
            Claim::Unreserved
        };
        if self.pool.take(node, claim) || self.pool.take_surplus(node, claim) {
            self.used[number] += 1;
            self.promised -= usize::from(reserved);
        }
        Ok(())
    }

    fn put(&mut self) -> Result {
        let (node, number) = self.node()?;
        if self.used[number] == 0 {
            return Ok(());
        }
        self.used[number] -= 1;
        if self.numbers.below(4) == 0 {
            self.pool.unuse_reserved(node);
            self.promised += 1;
        } else if self.pool.put(node) == Fate::Keep && self.numbers.below(16) == 0 {
            self.pool.lose(node);
        }
        Ok(())
    }

    /// Anything that an operator or a user may do.
    pub(crate) fn step(&mut self) -> Result {
        match self.numbers.below(16) {
            0 => self.resize()?,
            1..=2 => self.reserve()?,
            3 => self.unreserve(),
            4 => {
                let limit = PageCount::new(self.numbers.below(8));
                self.pool.set_overcommit(limit);
            }
            5..=10 => self.take()?,
            _ => self.put()?,
        }
        Ok(())
    }
}

pub(crate) fn all_nodes() -> NodeSet {
    NodeSet::from_words([(1 << NODES) - 1])
}
