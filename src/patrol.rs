// SPDX-License-Identifier: GPL-2.0

//! Looks after pages whose memory the hardware has found broken.
//!
//! Nobody tells a module, so it looks: once a second at a number, and only when that has changed at the
//! memory map. A broken page that is free leaves its pool. One that has users is marked and leaves the
//! page tables: who touches it then gets SIGBUS (BUS_MCEERR_AR), all others go on; it stays where it is
//! until its users are gone, and leaves the pool on its way back. (hugetlb is told by
//! `memory_failure`: mm/memory-failure.c, `me_huge_page`, `dissolve_free_hugetlb_folio`.)

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
    time::{msecs_to_jiffies, Jiffies},
};

use crate::{
    files::Files,
    limbo::Limbo,
    mm::{
        delayed_work::{Deferred, DelayedWork},
        hwpoison,
        memory_map::{Broken, MemoryMap},
        node, zone,
    },
    policy::{node::NodeId, size::HugeSize},
    pool::Pool,
};

const EVERY_MS: u32 = 1000;

/// Pages that are looked after in one round.
const MOST: usize = 64;

/// Rounds in which a page is looked for that is on its way from one place to another.
const PATIENCE: u32 = 10;

/// What looks after the pages of one size. Dropping it waits for the round under way.
pub(crate) struct Patrol(Arc<DelayedWork<Beat>>);

/// Where it looks.
pub(crate) struct Beat {
    pub(crate) size: HugeSize,
    pub(crate) pool: Arc<Pool>,
    pub(crate) limbo: Arc<Limbo>,
    pub(crate) files: Arc<Files>,
    pub(crate) map: Arc<MemoryMap>,
    pub(crate) notes: Pin<KBox<Mutex<Notes>>>,
}

/// What it knows.
pub(crate) struct Notes {
    /// Failures that the pages in `broken` are known from.
    failures: usize,
    /// Pages that are still to be found, and in how many rounds they were not.
    broken: KVec<(Broken, u32)>,
}

impl Notes {
    /// Knows of nothing. Sleeps.
    pub(crate) fn new() -> Result<Pin<KBox<Mutex<Self>>>> {
        let notes = Self {
            failures: 0,
            broken: KVec::with_capacity(MOST, GFP_KERNEL)?,
        };
        KBox::pin_init(new_mutex!(notes, "rust_hugetlb::Patrol"), GFP_KERNEL)
    }
}

impl Patrol {
    /// Goes the rounds of `beat` from now on. Sleeps.
    pub(crate) fn new(beat: Beat) -> Result<Self> {
        let this = Self(DelayedWork::new(beat)?);
        this.0.schedule(msecs_to_jiffies(EVERY_MS));
        Ok(this)
    }

    /// Goes a round now. Sleeps.
    pub(crate) fn go(&self) {
        self.0.go();
    }
}

impl Beat {
    fn go(&self) {
        let mut notes = self.notes.lock();
        let failures = hwpoison::failures();
        if failures != notes.failures && self.search(&mut notes.broken).is_ok() {
            notes.failures = failures;
        }
        notes.broken.retain(|(page, missed)| {
            *missed += 1;
            !self.isolate(page) && *missed < PATIENCE
        });
    }

    /// Notes all broken pages that may be ours. EAGAIN: there are more. EINTR: a signal came.
    fn search(&self, broken: &mut KVec<(Broken, u32)>) -> Result {
        let mut is_full = false;
        broken.clear();
        for zone in node::online().flat_map(zone::usable) {
            self.map.find_broken(zone.start, zone.spanned, |page| {
                let is_known = broken.last().is_some_and(|(last, _)| *last == page);
                if page.order == self.size.order() && !is_known {
                    is_full |= broken.push_within_capacity((page, 0)).is_err();
                }
            })?;
        }
        if is_full {
            return Err(EAGAIN);
        }
        Ok(())
    }

    /// Sees to it that nobody gets that page, or goes on using it. Whether it was found, or is ours
    /// no more.
    fn isolate(&self, page: &Broken) -> bool {
        let is_lost = NodeId::new(page.nid).is_some_and(|node| self.pool.lose(node, page.frame));
        is_lost
            || self.files.any(|file| file.isolate(page.frame))
            || self.limbo.isolate(page.frame)
            || !self.map.is_still(page)
    }
}

impl Deferred for Beat {
    fn run(&self) -> Option<Jiffies> {
        self.go();
        Some(msecs_to_jiffies(EVERY_MS))
    }
}
