// SPDX-License-Identifier: GPL-2.0

//! Splits free pages of one pool into free pages of another: the shell around
//! [`policy::demote`](crate::policy::demote).
//!
//! Called by the files in `convert`. A page that is being split counts in its old pool, as one that
//! nobody can take, and changes over under the locks of both: no moment has it in both or in none.

use kernel::prelude::*;

use crate::{
    mm::list::PageList,
    policy::{
        count::PageCount,
        demote::{Demote, Step},
        node::NodeId,
        refusal::Refusal,
    },
    pool::Pool,
    resizing::Extent,
};

/// Splits `count` free pages of `large` into pages of `small`, as far as they are not promised; a
/// signal stops it. Busy if some could not be split, the others were. Sleeps.
pub(crate) fn demote(
    large: &Pool,
    small: &Pool,
    count: PageCount,
    extent: Extent,
) -> Result<(), Refusal> {
    let _resizes = Pool::lock_resizes(large, small);
    let pieces = large.size().pieces(small.size());
    let mut demote = match extent {
        Extent::Total(nodes) => Demote::of_total(count, pieces, nodes),
        Extent::Node(node) => Demote::of_node(count, pieces, node),
    };
    // Apart until the end, so that none is tried twice.
    let mut stuck = PageList::new();
    let result = loop {
        let mut inner = large.lock();
        let node = match demote.next(&mut inner.counts) {
            Step::Split { node } => node,
            Step::Done(result) => break result,
        };
        // A list has as many pages as its counter says, and policy looked at that.
        let page = inner.pop_removed(node);
        drop(inner);
        match page.map(|page| page.get().split(small.size().order())) {
            Some(Ok(whole)) => {
                let mut from = large.lock();
                let mut to = small.lock();
                demote.split(node, &mut from.counts, &mut to.counts);
                if let Some(list) = to.free.get_mut(node.index()) {
                    list.push_whole(whole);
                }
            }
            Some(Err(page)) => {
                demote.failed();
                stuck.push_back(page);
            }
            None => demote.failed(),
        }
        if current!().signal_pending() {
            demote.interrupt();
        }
    };
    while let Some(page) = stuck.pop_front() {
        let mut inner = large.lock();
        let stranger = match NodeId::new(page.nid()) {
            Some(node) => {
                demote.put_back(node, &mut inner.counts);
                inner.list(node, page)
            }
            None => Some(page),
        };
        drop(inner);
        drop(stranger);
    }
    large.scrub();
    small.scrub();
    result
}
