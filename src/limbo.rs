// SPDX-License-Identifier: GPL-2.0

//! Where pages wait that no file has any more, but that a GUP user still pins.
//!
//! hugetlb's pages come back to their pool through `folio_put`, whoever calls it last. Ours are
//! ordinary compound pages, which the last `folio_put` would hand to the page allocator; so the
//! pool keeps a reference, and looks again: when a file ends, before it says that it is empty, when
//! somebody reads a counter, and once a second while there is anything to look at.

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
    time::{msecs_to_jiffies, Jiffies},
};

use crate::{
    mm::{
        delayed_work::{Deferred, DelayedWork},
        list::PageList,
        page::PinnedPage,
    },
    policy::count::PageCount,
    pool::Pool,
};

const LOOK_AGAIN_MS: u32 = 1000;

/// The pinned pages of one pool.
pub(crate) struct Limbo(Arc<DelayedWork<Ward>>);

struct Ward {
    pool: Arc<Pool>,
    waiting: Pin<KBox<Mutex<Waiting>>>,
}

/// # Invariants
///
/// `count` is the number of pages in `pages`.
struct Waiting {
    pages: PageList<PinnedPage>,
    count: PageCount,
}

impl Limbo {
    /// An empty limbo of `pool`. Sleeps.
    pub(crate) fn new(pool: Arc<Pool>) -> Result<Self> {
        let waiting = KBox::pin_init(
            new_mutex!(
                Waiting {
                    pages: PageList::new(),
                    count: PageCount::ZERO,
                },
                "rust_hugetlb::Limbo"
            ),
            GFP_KERNEL,
        )?;
        Ok(Self(DelayedWork::new(Ward { pool, waiting })?))
    }

    /// Keeps `page` until nobody holds it any more. Sleeps.
    pub(crate) fn hold(&self, page: PinnedPage) {
        let mut waiting = self.0.waiting.lock();
        waiting.pages.push_back(page);
        waiting.count = waiting.count.plus(PageCount::ONE);
        drop(waiting);
        self.0.schedule(msecs_to_jiffies(LOOK_AGAIN_MS));
    }

    /// Marks the page that lies at `frame` as broken, if it is here. Whether it is. Sleeps.
    pub(crate) fn isolate(&self, frame: usize) -> bool {
        let mut waiting = self.0.waiting.lock();
        let mut found = false;
        let mut pages = waiting.pages.take();
        while let Some(page) = pages.pop_front() {
            found |= page.break_at(frame);
            waiting.pages.push_back(page);
        }
        found
    }

    /// Lets pages that nobody holds any more go back to the pool. How many stay. Sleeps.
    pub(crate) fn reap(&self) -> PageCount {
        self.0.reap()
    }
}

impl Ward {
    fn reap(&self) -> PageCount {
        let mut waiting = self.waiting.lock();
        let mut pages = waiting.pages.take();
        while let Some(page) = pages.pop_front() {
            match page.unpin() {
                Ok(page) => {
                    waiting.count = waiting.count.minus(PageCount::ONE);
                    self.pool.put(page);
                }
                Err(page) => waiting.pages.push_back(page),
            }
        }
        waiting.count
    }
}

impl Deferred for Ward {
    fn run(&self) -> Option<Jiffies> {
        (!self.reap().is_zero()).then(|| msecs_to_jiffies(LOOK_AGAIN_MS))
    }
}
