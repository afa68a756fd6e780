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

/// Seconds from one round to the next.
const EVERY: u32 = 1;

/// Pages that are looked after in one round.
const MOST: usize = 64;

/// Seconds in which a page is looked for that is on its way from one place to another.
const PATIENCE: u32 = 10;

/// Seconds after which all memory is looked at once more for one that was not found: it was on its way
/// for long, or only looks like one of ours.
const REST: u32 = 60;

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
    /// Failures that the pages in `broken` are known from; none: memory is to be looked at.
    failures: Option<usize>,
    /// Pages that are still to be found, and for how many seconds they were not.
    broken: KVec<(Broken, u32)>,
    /// Seconds until memory is looked at for those that were given up; 0: there are none.
    rest: u32,
}

impl Notes {
    /// Knows of nothing. Sleeps.
    pub(crate) fn new() -> Result<Pin<KBox<Mutex<Self>>>> {
        let notes = Self {
            failures: Some(0),
            broken: KVec::with_capacity(MOST, GFP_KERNEL)?,
            rest: 0,
        };
        KBox::pin_init(new_mutex!(notes, "rust_hugetlb::Patrol"), GFP_KERNEL)
    }
}

impl Patrol {
    /// Goes the rounds of `beat` from now on. Sleeps.
    pub(crate) fn new(beat: Beat) -> Result<Self> {
        let this = Self(DelayedWork::new(beat)?);
        this.0.schedule(msecs_to_jiffies(EVERY * 1000));
        Ok(this)
    }

    /// Goes a round now. Sleeps.
    pub(crate) fn go(&self) {
        self.0.go(0);
    }
}

impl Beat {
    /// A round, so many seconds after the last one.
    fn go(&self, seconds: u32) {
        let mut guard = self.notes.lock();
        let notes = &mut *guard;
        if notes.rest > 0 {
            notes.rest = notes.rest.saturating_sub(seconds);
            if notes.rest == 0 {
                notes.failures = None;
            }
        }
        let failures = Some(hwpoison::failures());
        if failures != notes.failures && self.search(&mut notes.broken).is_ok() {
            notes.failures = failures;
        }
        notes.broken.retain(|(page, missed)| {
            if self.isolate(page) {
                return false;
            }
            *missed += seconds;
            if *missed >= PATIENCE {
                notes.rest = REST;
            }
            *missed < PATIENCE
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
        let Some(is_in_use) = self.map.is_in_use(page) else {
            return true;
        };
        // It may have gone on since, or be in nobody's place just now: there is another round.
        let is_found = if is_in_use {
            self.files.any(|file| file.isolate(page.frame))
        } else {
            NodeId::new(page.nid).is_some_and(|node| self.pool.lose(node, page.frame))
        };
        is_found || self.limbo.isolate(page.frame)
    }
}

impl Deferred for Beat {
    fn run(&self) -> Option<Jiffies> {
        self.go(EVERY);
        Some(msecs_to_jiffies(EVERY * 1000))
    }
}
