// SPDX-License-Identifier: GPL-2.0

//! Gives up free pages when the machine is out of memory, as far as `oom_floor` allows: the shell
//! around [`policy::oom`](crate::policy::oom).
//!
//! Called with the kernel's `oom_lock` held, by a task that got no memory: no lock may be taken here
//! under which anybody allocates, which leaves the pool's spin lock and the task's. (A page that is
//! being cleared just then is waited for: the scrubber does not allocate.) Only pages of nodes that the
//! task may use are given up: with others it would be where it was. A policy of one of its mappings is
//! not known here.

use kernel::{
    new_spinlock,
    prelude::*,
    sync::{Arc, SpinLock},
    time::{Instant, Monotonic},
};

use crate::{
    mm::oom_notifier::{LastResort, OomNotifier},
    policy::{growth::Limit, oom::GiveUp, size::HugeSize},
    pool::Pool,
    task::usable_nodes,
};

/// What gives up the pages of one size. Dropping it waits for those that are on their way.
pub(crate) struct Oom {
    _notifier: Pin<KBox<OomNotifier<Giver>>>,
}

impl Oom {
    /// Lets the free pages of `pool` go from now on. Sleeps.
    pub(crate) fn new(pool: Arc<Pool>) -> Result<Self> {
        // The smaller pages first: less is lost with one of them.
        let priority = match pool.size() {
            HugeSize::Size2M => 1,
            HugeSize::Size1G => 0,
        };
        let lines = KBox::pin_init(
            new_spinlock!(Limit::default(), "rust_hugetlb::Oom"),
            GFP_KERNEL,
        )?;
        let giver = Giver {
            pool,
            lines,
            born: Instant::now(),
        };
        Ok(Self {
            _notifier: OomNotifier::new(giver, priority)?,
        })
    }
}

struct Giver {
    pool: Arc<Pool>,
    lines: Pin<KBox<SpinLock<Limit>>>,
    born: Instant<Monotonic>,
}

impl LastResort for Giver {
    fn give_up(&self) -> usize {
        let mut give_up = GiveUp::new(self.pool.size());
        let nodes = usable_nodes();
        let mut given = 0;
        loop {
            let mut inner = self.pool.lock();
            let floor = inner.oom_floor;
            let Some(node) = give_up.next(floor, &nodes, &mut inner.counts) else {
                break;
            };
            let page = inner.pop_removed(node);
            drop(inner);
            if let Some(page) = page {
                page.get().give_to_zone();
            }
            given += 1;
        }
        if given > 0 {
            self.tell(given);
        }
        given * self.pool.size().base_pages()
    }
}

impl Giver {
    /// Says in the log that pages went, unless it did so too often just now.
    fn tell(&self, given: usize) {
        let now_ms = self.born.elapsed().as_millis().unsigned_abs();
        if !self.lines.lock().allows(now_ms) {
            return;
        }
        let kib = self.pool.size().kib();
        let left = self.pool.counts(None).nr.get();
        pr_notice!("out of memory: {given} free pages of {kib} kB given up, {left} left in the pool: oom_floor says how many stay\n");
    }
}
