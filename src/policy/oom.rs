// SPDX-License-Identifier: GPL-2.0

//! What a pool gives up when the machine has no memory left and a process is about to be killed.
//!
//! Free pages that nobody was promised, as far as the operator allowed it: down to a floor. hugetlb
//! gives up none. (`out_of_memory`, mm/oom_kill.c; `virtio_balloon_oom_notify`.)

use core::ops::DerefMut;

use super::{
    count::PageCount,
    node::{NodeId, NodeSet},
    pool::{Counts, Pool},
    size::HugeSize,
};

/// Bytes that are given up at once: enough for the one who asks to go on, and no more of a pool than
/// has to be.
const BYTES: usize = 32 << 20;

/// Pages being given up, one by one.
#[derive(Debug)]
pub struct GiveUp {
    left: PageCount,
}

impl GiveUp {
    /// As many as are given up at once: a page at least.
    pub fn new(size: HugeSize) -> Self {
        let pages = PageCount::new(BYTES).over(PageCount::new(size.bytes()));
        Self {
            left: pages.max(PageCount::ONE),
        }
    }

    /// The node that the next page leaves, of `nodes`: the counters know already. None: that is all.
    /// `floor` pages stay, surplus ones included.
    pub fn next<N>(
        &mut self,
        floor: PageCount,
        nodes: &NodeSet,
        pool: &mut Pool<N>,
    ) -> Option<NodeId>
    where
        N: DerefMut<Target = [Counts]>,
    {
        if self.left.is_zero() || pool.total().nr <= floor || pool.available().is_zero() {
            return None;
        }
        self.left = self.left.minus(PageCount::ONE);
        // Of a node with surplus, a surplus page: then none has more of them than pages. Where one had
        // that before, the pages of others that make up for it stay.
        match pool.remove_free_surplus(nodes) {
            None if pool.staying().is_zero() => None,
            None => pool.remove_free(nodes),
            node => node,
        }
    }
}
