// SPDX-License-Identifier: GPL-2.0

//! The object behind one open: its size and its pages.
//!
//! Knows nothing of how it was opened. Today that is a device node (`impl MappedFile`, called by
//! [`chardev`](crate::mm::chardev)); another front needs no second copy of this.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{
    charge::Charge,
    errno::errno,
    hstate::Hstate,
    mm::{
        chardev::MappedFile,
        host::{Host, PseudoFs},
        page_map::PageMap,
        vma::{AreaSearch, Fault, NewMapping, Outcome},
    },
    policy::{
        count::PageCount,
        placement::Placement,
        range::{AreaPlan, AreaRequest, MapRequest},
    },
    task,
};

/// What a device node hands out: files of one size.
pub(crate) struct Front {
    /// The size its files have.
    pub(crate) hstate: Arc<Hstate>,
    /// Where their hosts live.
    pub(crate) fs: Arc<PseudoFs>,
}

/// A file of huge pages.
///
/// Fault path: under the fault mutex of (file, index), look into `pages`, else take a page from the
/// pool - on the file's reservation, if `charge` has one for it - and put it there. A page stays in
/// `pages` until the file ends: when its last descriptor and its last mapping are gone.
pub(crate) struct HugeFile {
    hstate: Arc<Hstate>,
    host: Host,
    /// In huge pages. Grows with the writable mappings, never shrinks.
    size: Atomic<usize>,
    pages: Pin<KBox<PageMap>>,
    charge: Charge,
}

impl HugeFile {
    /// An empty file. Sleeps.
    fn new(front: &Front) -> Result<Arc<Self>> {
        let host = Host::new(front.fs.clone())?;
        let pages = KBox::pin_init(PageMap::new(), GFP_KERNEL)?;
        let this = Self {
            hstate: front.hstate.clone(),
            host,
            size: Atomic::new(0),
            pages,
            charge: Charge::new()?,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Grows to at least `size` huge pages.
    fn grow(&self, size: usize) {
        let mut old = self.size.load(Relaxed);
        while old < size {
            match self.size.cmpxchg(old, size, Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Maps the page at the fault's address; none if there is none to be had.
    fn try_fault(&self, fault: &Fault<'_>) -> Option<Outcome> {
        let order = self.hstate.size().order();
        let base_index = fault.base_index(order)?;
        let index = base_index >> order;
        if fault.is_futile() || index >= self.size.load(Relaxed) {
            return None;
        }
        let _serialised = self
            .hstate
            .lock_fault(core::ptr::from_ref(self) as usize, index)?;
        if let Some(page) = self.pages.get(index) {
            return Some(fault.insert(&page));
        }
        self.add_page(index, &task::current(fault.policy()).place(index))?;
        self.pages.get(index).map(|page| fault.insert(&page))
    }

    /// Gives the file a page at `index`, where it has none; none if there is none to be had. Under
    /// the fault mutex of `index`. Sleeps.
    fn add_page(&self, index: usize, placement: &Placement) -> Option<()> {
        let claim = self.charge.claim(index);
        let page = self.hstate.take(placement, claim)?;
        if self.charge.commit(index, claim, &self.hstate).is_err() {
            self.hstate.unuse(page, claim);
            return None;
        }
        let base_index = index << self.hstate.size().order();
        let page = page.into_file(&self.host, base_index);
        if let Err(page) = self.pages.insert(index, page) {
            let claim = self.charge.revert(index, claim);
            // Nobody could pin it yet, so it is free again.
            if let Ok(page) = page.leave() {
                self.hstate.unuse(page, claim);
            }
            return None;
        }
        Some(())
    }
}

impl MappedFile for HugeFile {
    type Device = Front;

    fn open(front: &Front) -> Result<Arc<Self>> {
        Self::new(front)
    }

    fn host(&self) -> &Host {
        &self.host
    }

    fn page_bytes(&self) -> usize {
        self.hstate.size().bytes()
    }

    fn find_area(&self, search: &AreaSearch) -> Result<usize> {
        let size = self.hstate.size();
        let request = AreaRequest {
            hint: search.hint,
            length: search.length,
            fixed: search.is_fixed(),
        };
        match request.plan(size).map_err(errno)? {
            AreaPlan::Exactly(address) => search.ask(address, search.length),
            AreaPlan::Search { hint, padded } => {
                if hint != 0 {
                    let found = search.ask(hint, search.length)?;
                    if size.is_aligned(found) {
                        return Ok(found);
                    }
                }
                let found = search.ask(0, padded)?;
                size.round_up(found).ok_or(ENOMEM)
            }
        }
    }

    fn map(&self, mapping: &NewMapping<'_>) -> Result {
        let range = MapRequest {
            start: mapping.start(),
            length: mapping.length(),
            base_page_offset: mapping.base_page_offset(),
            shared: mapping.is_shared(),
        }
        .check(self.hstate.size())
        .map_err(errno)?;
        if !mapping.is_noreserve() {
            let placement = task::current(None).place_reservation();
            self.charge.reserve(range, &self.hstate, &placement)?;
        }
        if mapping.is_writable() {
            self.grow(range.end);
        }
        Ok(())
    }

    fn fault(&self, fault: &Fault<'_>) -> Outcome {
        self.try_fault(fault).unwrap_or(Outcome::SIGBUS)
    }
}

impl Drop for HugeFile {
    fn drop(&mut self) {
        let mut present = PageCount::ZERO;
        while let Some(page) = self.pages.as_mut().pop() {
            self.hstate.retire(page);
            present = present.plus(PageCount::ONE);
        }
        self.charge.end(present, &self.hstate);
    }
}
