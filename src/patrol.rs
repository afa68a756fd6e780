// SPDX-License-Identifier: GPL-2.0

//! Looks after pages whose memory the hardware has found broken.
//!
//! Nobody tells a module, so it looks: once a second at each node's count of failures, and only when
//! that has changed at the node's memory map. A broken page that is free leaves its pool. One that has
//! users is marked and leaves the page tables: who touches it then gets SIGBUS (BUS_MCEERR_AR), all
//! others go on; it stays where it is until its users are gone, and leaves the pool on its way back.
//! (hugetlb is told by `memory_failure`: mm/memory-failure.c, `me_huge_page`,
//! `dissolve_free_hugetlb_folio`.)

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
    policy::{node::NodeId, patrol::Watch, size::HugeSize},
    pool::Pool,
};

/// Seconds from one round to the next.
const EVERY: u32 = 1;

/// Pages that are looked after in one round.
const MOST: usize = 64;

/// Seconds in which a page is looked for that is on its way from one place to another.
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
    /// By node.
    nodes: KVec<Watch>,
    /// Pages that are still to be found, and for how many seconds they were not.
    broken: KVec<(Broken, u32)>,
}

impl Notes {
    /// Knows of nothing. Sleeps.
    pub(crate) fn new() -> Result<Pin<KBox<Mutex<Self>>>> {
        let notes = Self {
            nodes: KVec::from_elem(Watch::default(), node::possible(), GFP_KERNEL)?,
            broken: KVec::with_capacity(MOST, GFP_KERNEL)?,
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
        let Notes { nodes, broken } = &mut *guard;
        for nid in node::online() {
            let Some(watch) = nodes.get_mut(nid) else {
                continue;
            };
            let failures = hwpoison::failures_on(nid);
            if !watch.is_due(seconds, failures) {
                continue;
            }
            if let Ok(are_all_of_this_size) = self.search(nid, broken) {
                watch.looked(failures);
                if !are_all_of_this_size {
                    watch.gave_up();
                }
            }
        }
        broken.retain(|(page, missed)| {
            if self.isolate(page) {
                return false;
            }
            *missed += seconds;
            let is_given_up = *missed >= PATIENCE;
            if let Some(watch) = nodes.get_mut(page.nid).filter(|_| is_given_up) {
                watch.gave_up();
            }
            !is_given_up
        });
    }

    /// Notes all broken pages of a node that may be ours. Whether none has another size, as one does
    /// that is being split or merged. EAGAIN: there are more. EINTR: a signal came.
    fn search(&self, nid: usize, broken: &mut KVec<(Broken, u32)>) -> Result<bool> {
        let mut is_full = false;
        let mut are_all_of_this_size = true;
        for zone in zone::usable(nid) {
            self.map.find_broken(zone.start, zone.spanned, |page| {
                let is_known = broken.iter().any(|(known, _)| *known == page);
                if page.order != self.size.order() {
                    are_all_of_this_size = false;
                } else if !is_known {
                    is_full |= broken.push_within_capacity((page, 0)).is_err();
                }
            })?;
        }
        if is_full {
            return Err(EAGAIN);
        }
        Ok(are_all_of_this_size)
    }

    /// Sees to it that nobody gets that page, or goes on using it. Whether it was found, or is ours
    /// no more.
    fn isolate(&self, page: &Broken) -> bool {
        let Some(place) = self.map.place_of(page) else {
            return true;
        };
        // It may have gone on since, or be in nobody's place just now: there is another round.
        let is_found = match place {
            Some(place) => self.files.any(|file| file.isolate(page.frame, &place)),
            None => NodeId::new(page.nid).is_some_and(|node| self.pool.lose(node, page.frame)),
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
