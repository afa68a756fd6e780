// SPDX-License-Identifier: GPL-2.0

//! Clears free pages in the background, so that faults need not: the shell around
//! [`policy::scrub`](crate::policy::scrub).
//!
//! One piece of work for each node, on a CPU of that node. It wakes when the node has a page again that
//! is not known to be zero, and the pool is none the poorer while it works: the page stays on its list
//! ([`loan`](crate::mm::loan)). Called by the pool.

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
    time::{msecs_to_jiffies, Instant, Jiffies, Monotonic, NSEC_PER_MSEC},
};

use crate::{
    mm::{
        delayed_work::{Deferred, DelayedWork},
        loan::Loan,
        node,
    },
    policy::{
        node::NodeId,
        scrub::{Scrub, Step},
    },
    pool::Stock,
};

/// How long a page waits at least: who frees one often needs one soon, and so do those who come next.
const LINGER_MS: u32 = 20;

/// What clears the free pages of one pool. Dropping it waits for the part that is being cleared.
pub(crate) struct Scrubber(KVec<Arc<DelayedWork<Cleaner>>>);

/// What clears those of a node.
struct Cleaner {
    stock: Arc<Stock>,
    node: NodeId,
    /// Held by the work itself only, which does not run twice at once.
    job: Pin<KBox<Mutex<Job>>>,
}

struct Job {
    scrub: Scrub,
    /// From one run to the next: a large page takes several.
    loan: Option<Loan>,
}

impl Scrubber {
    /// What clears the pages of `stock`, as soon as it is woken. Sleeps.
    pub(crate) fn new(stock: &Arc<Stock>) -> Result<Self> {
        let mut cleaners = KVec::new();
        for node in (0..node::possible()).filter_map(NodeId::new) {
            let job = Job {
                scrub: Scrub::new(),
                loan: None,
            };
            let cleaner = Cleaner {
                stock: stock.clone(),
                node,
                job: KBox::pin_init(new_mutex!(job, "rust_hugetlb::Scrubber"), GFP_KERNEL)?,
            };
            cleaners.push(DelayedWork::new(cleaner)?, GFP_KERNEL)?;
        }
        Ok(Self(cleaners))
    }

    /// There is something to clear on `node`.
    pub(crate) fn wake(&self, node: NodeId) {
        if let Some(cleaner) = self.0.get(node.index()) {
            cleaner.schedule(msecs_to_jiffies(LINGER_MS));
        }
    }

    /// There may be something to clear on any node.
    pub(crate) fn wake_all(&self) {
        for cleaner in &self.0 {
            cleaner.schedule(msecs_to_jiffies(LINGER_MS));
        }
    }
}

impl Deferred for Cleaner {
    fn run(&self) -> Option<Jiffies> {
        let mut guard = self.job.lock();
        let job = &mut *guard;
        loop {
            let mut inner = self.stock.lock();
            let share = inner.scrub_share;
            let list = inner.free.get_mut(self.node.index())?;
            match job.scrub.next(list.has_dirty(), share) {
                Step::Lend => {
                    let loan = list.lend()?;
                    job.scrub.lent(loan.parts_left());
                    job.loan = Some(loan);
                }
                Step::Clear => {
                    drop(inner);
                    let begun = Instant::<Monotonic>::now();
                    if job.loan.as_mut().is_some_and(Loan::clear_part) {
                        // Of the clock, so what others did to this CPU meanwhile counts, too.
                        let nanoseconds = begun.elapsed().as_nanos();
                        job.scrub.cleared(u64::try_from(nanoseconds).unwrap_or(0));
                    } else {
                        job.loan = None;
                        job.scrub.called_back();
                    }
                }
                Step::End => {
                    if let Some(loan) = job.loan.take() {
                        list.end(loan);
                    }
                }
                Step::Rest { nanoseconds } => {
                    let milliseconds = nanoseconds.div_ceil(NSEC_PER_MSEC as u64);
                    let milliseconds = u32::try_from(milliseconds).unwrap_or(u32::MAX);
                    return Some(msecs_to_jiffies(milliseconds));
                }
                Step::Stop => return None,
            }
        }
    }

    fn node(&self) -> Option<usize> {
        Some(self.node.index())
    }
}
