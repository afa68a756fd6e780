// SPDX-License-Identifier: GPL-2.0

//! Growing and shrinking a pool: the shell around [`policy::resize`](crate::policy::resize).
//!
//! What takes the time is that each page is cleared. That is done beside the lock, so other CPUs can
//! help with a large request: they ask for pages as the writer does, which stays the one who decides,
//! hears signals and tells what came of it. Called by the pool.

use kernel::{prelude::*, sync::Arc, time::Jiffies};

use crate::{
    mm::{
        cpu,
        delayed_work::{Deferred, DelayedWork},
        page::FreePage,
    },
    policy::{
        node::{NodeId, NodeSet},
        resize::{Ask, Resize, Step},
        size::HugeSize,
    },
    pool::{Pool, Stock},
    task,
};

/// What a resize is about.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// The whole pool, by pages of these nodes.
    Total(NodeSet),
    /// One node; the others keep what they have.
    Node(NodeId),
}

impl Extent {
    /// The nodes that it is about.
    pub(crate) fn nodes(self) -> NodeSet {
        match self {
            Self::Total(nodes) => nodes,
            Self::Node(node) => NodeSet::only(node),
        }
    }

    /// The node, if it is about one.
    pub(crate) fn node(self) -> Option<NodeId> {
        match self {
            Self::Total(_) => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// Does what `resize` says, until it is over or a signal stops it. One at a time. Sleeps.
pub(crate) fn run(pool: &Pool, resize: Resize, nodes: NodeSet) {
    let helpers = resize.helpers(&pool.lock().counts, pool.size(), cpu::online());
    pool.lock().resize = Some(resize);
    // One who helps is in no cpuset, and must get no page that the writer would not.
    let mut helpers = if helpers > 0 && task::may_use(&nodes) {
        start(pool, helpers)
    } else {
        KVec::new()
    };
    loop {
        let mut inner = pool.lock();
        match inner.next_step() {
            Step::Alloc(ask) => {
                drop(inner);
                alloc(pool.stock(), pool.size(), ask);
                if current!().signal_pending() {
                    pool.lock().interrupt();
                }
            }
            Step::GiveBack { node } => {
                let page = inner.pop_removed(node);
                drop(inner);
                drop(page);
            }
            Step::Wait => {
                drop(inner);
                // Once they are gone, all is reported.
                helpers.clear();
            }
            Step::Done => break,
        }
    }
    drop(helpers);
    pool.lock().resize = None;
}

/// Asks for a page, and reports what came of it.
fn alloc(stock: &Stock, size: HugeSize, ask: Ask) {
    let page = FreePage::alloc(ask.node.index(), size.order(), ask.hard);
    let refused = stock.lock().got(ask, page);
    drop(refused);
}

/// Asks for pages as long as there are some to ask for.
struct Helper {
    stock: Arc<Stock>,
    size: HugeSize,
}

/// So many who help, at work as soon as a CPU has time; fewer if memory is short. Dropping one waits
/// for the page that it asks for. Sleeps.
fn start(pool: &Pool, number: usize) -> KVec<Arc<DelayedWork<Helper>>> {
    let mut helpers = KVec::new();
    for _ in 0..number {
        let helper = Helper {
            stock: pool.stock().clone(),
            size: pool.size(),
        };
        let Ok(helper) = DelayedWork::new(helper) else {
            break;
        };
        helper.schedule(0);
        // If there is no room for it, this waits for it.
        if helpers.push(helper, GFP_KERNEL).is_err() {
            break;
        }
    }
    helpers
}

impl Deferred for Helper {
    fn run(&self) -> Option<Jiffies> {
        loop {
            let ask = self.stock.lock().ask()?;
            alloc(&self.stock, self.size, ask);
        }
    }
}
