// SPDX-License-Identifier: GPL-2.0

//! Merges adjacent free pages of one pool into free pages of another: the shell around
//! [`policy::promote`](crate::policy::promote), and the way back from [`demote`](crate::demote).
//!
//! Called by the files in `convert`. Pages that are being merged count in their old pool until they
//! are one page of the new one.

use kernel::prelude::*;

use crate::{
    policy::{
        count::PageCount,
        node::{NodeId, NodeSet},
        promote::{self, Promote, Step},
        refusal::Refusal,
    },
    pool::{Inner, Pool},
    resizing::Extent,
};

/// Merges free pages of `small` into `count` pages of `large`, as far as they lie together and are
/// not promised; a signal stops it. Busy if some could not be merged, the others were. Sleeps.
pub(crate) fn promote(
    large: &Pool,
    small: &Pool,
    count: PageCount,
    extent: Extent,
) -> Result<(), Refusal> {
    let _resizes = Pool::lock_resizes(large, small);
    let pieces = large.size().pieces(small.size());
    let mut promote = match extent {
        Extent::Total(nodes) => Promote::to_total(count, pieces, nodes),
        Extent::Node(node) => Promote::to_node(count, pieces, node),
    };
    // Apart until the end, so that none is tried twice.
    let mut stuck = KVec::new();
    let result = loop {
        // Room for what may not be merged, before anything is taken.
        if stuck.reserve(1, GFP_KERNEL).is_err() {
            break Err(Refusal::NoPages);
        }
        let mut guard = small.lock();
        let inner = &mut *guard;
        let free = &inner.free;
        let whole_on = |node: NodeId| free.get(node.index()).map_or(0, |list| list.whole());
        let node = match promote.next(&mut inner.counts, |node| PageCount::new(whole_on(node))) {
            Step::Merge { node } => node,
            Step::Done(result) => break result,
        };
        let whole = inner
            .free
            .get_mut(node.index())
            .and_then(|list| list.pop_whole());
        drop(guard);
        match whole.map(|whole| whole.get().merge()) {
            Some(Ok(page)) => {
                let mut to = large.lock();
                let mut from = small.lock();
                promote.merged(node, &mut to.counts, &mut from.counts);
                let stranger = to.list(node, page);
                drop(from);
                drop(to);
                drop(stranger);
            }
            Some(Err(whole)) => {
                promote.failed();
                if let Err(full) = stuck.push_within_capacity((node, whole)) {
                    drop(full);
                }
            }
            None => promote.failed(),
        }
        if current!().signal_pending() {
            promote.interrupt();
        }
    };
    for (node, whole) in stuck {
        let mut inner = small.lock();
        promote.put_back(node, &mut inner.counts);
        if let Some(list) = inner.free.get_mut(node.index()) {
            let mut pages = whole.into_pages();
            while let Some(page) = pages.pop_front() {
                list.push(page);
            }
        }
    }
    large.scrub();
    small.scrub();
    result
}

/// How many pages of `large` could be made of the free pages of `small`, on one node or on all.
pub(crate) fn promotable(large: &Pool, small: &Pool, extent: Extent) -> PageCount {
    let pieces = large.size().pieces(small.size());
    let inner = small.lock();
    let whole = whole(&inner, &extent.nodes());
    promote::promotable(&inner.counts, extent.node(), whole, pieces)
}

fn whole(inner: &Inner, nodes: &NodeSet) -> PageCount {
    let lists = nodes.iter().filter_map(|node| inner.free.get(node.index()));
    PageCount::new(lists.map(|list| list.whole()).sum())
}
