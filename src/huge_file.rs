// SPDX-License-Identifier: GPL-2.0

//! The object behind one open: its size and its pages.
//!
//! Knows nothing of how it was opened. Today that is a device node (`impl MappedFile`, called by
//! [`chardev`](crate::mm::chardev)); another front needs no second copy of this.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
};

use crate::{
    charge::Charge,
    errno::errno,
    hstate::Hstate,
    mm::{
        chardev::MappedFile,
        fault::{Fault, Outcome},
        fault_lock::FaultLock,
        host::{Host, PseudoFs},
        ioctl::{Reply, Request},
        memory_map::Place,
        page::{FilePage, FreePage, Listed},
        page_map::{Entry, PageMap},
        vm_ops::Opened,
        vma::{AreaSearch, Mapping, NewMapping},
    },
    policy::{
        count::PageCount,
        pool::Claim,
        range::{check_end, AreaPlan, AreaRequest, FileRange, MapRequest},
        size::BASE_SHIFT,
    },
    private::Private,
    relatives::Relatives,
    retiring::Retiring,
    surplus::Spares,
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
/// Fault path: under the fault lock of (file, index), look into `pages`, else take a page from the
/// pool - on the file's reservation, if `charge` has one for it - and put it there. A page stays in
/// `pages` until it is taken out ([`file_size`](crate::file_size)) or the file ends: when its last
/// descriptor and its last mapping are gone. Private mappings begin with what is in the file, and
/// have pages of their own as soon as they write ([`copy_on_write`](crate::copy_on_write)).
pub(crate) struct HugeFile {
    pub(crate) hstate: Arc<Hstate>,
    pub(crate) host: Host,
    /// One at a time changes the size, or holds on to what it is (`inode_lock` of hugetlbfs).
    pub(crate) shape: Pin<KBox<Mutex<()>>>,
    /// In huge pages. Changes under `shape`.
    size: Atomic<usize>,
    pub(crate) pages: Pin<KBox<PageMap<FilePage>>>,
    pub(crate) charge: Charge,
    pub(crate) relatives: Relatives,
}

impl HugeFile {
    /// An empty file. Sleeps.
    fn new(front: &Front) -> Result<Arc<Self>> {
        let host = Host::new(front.fs.clone(), front.hstate.size().order())?;
        let this = Self {
            shape: KBox::pin_init(new_mutex!((), "rust_hugetlb::HugeFile::shape"), GFP_KERNEL)?,
            size: Atomic::new(0),
            pages: PageMap::new(&host, front.hstate.fault_locks())?,
            charge: Charge::new()?,
            relatives: Relatives::new()?,
            hstate: front.hstate.clone(),
            host,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// The size, in huge pages.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Whether `index` is inside the file.
    pub(crate) fn is_inside(&self, index: usize) -> bool {
        index < self.size()
    }

    /// Sets the size, in huge pages. Under `shape`.
    pub(crate) fn set_size_to(&self, size: usize) {
        self.size.store(size, Relaxed);
    }

    /// Grows to at least `size` huge pages. Under `shape`.
    pub(crate) fn grow(&self, size: usize) {
        self.set_size_to(self.size().max(size));
    }

    /// A huge page's index in base pages.
    pub(crate) fn base_index(&self, index: usize) -> usize {
        index << self.hstate.size().order()
    }

    /// The index of the fault's huge page; none for a fault that no page can serve.
    pub(crate) fn index_of(&self, fault: &Fault<'_>) -> Option<usize> {
        let order = self.hstate.size().order();
        if fault.is_futile() {
            return None;
        }
        Some(fault.base_index(order)? >> order)
    }

    /// What a mapping shows of the file.
    pub(crate) fn range_of(&self, mapping: Mapping<'_>) -> FileRange {
        let size = self.hstate.size();
        let first = mapping.base_page_offset() >> size.order();
        FileRange {
            first,
            end: first.saturating_add(mapping.length() >> size.shift()),
        }
    }

    /// A table for pages of this file, or of a private mapping of it. Sleeps.
    pub(crate) fn new_map<P: Listed>(&self) -> Result<Pin<KBox<PageMap<P>>>> {
        PageMap::new(&self.host, self.hstate.fault_locks())
    }

    /// Takes the page at the locked index out of all page tables, private mappings' own included.
    /// Sleeps.
    pub(crate) fn unmap_everywhere(&self, lock: &FaultLock<'_>) {
        if let Some(page) = self.pages.get(lock) {
            page.wait_for_hand_over();
        }
        let first = self.base_index(lock.index());
        self.host.unmap(first, self.hstate.size().base_pages());
    }

    /// Marks the page that lies at `frame` as broken, if it is one of this file or of a private mapping
    /// of it, at `place`, and takes it out of all page tables. Whether it is. Sleeps.
    pub(crate) fn isolate(&self, frame: usize, place: &Place) -> bool {
        if !self.host.has(place) {
            return false;
        }
        let lock = self.pages.lock(place.index >> self.hstate.size().order());
        let mut is_here = self
            .pages
            .get(&lock)
            .is_some_and(|page| page.break_at(frame));
        self.relatives.each(|private| {
            let page = private.pages.get(&lock);
            is_here |= page.is_some_and(|page| page.break_at(frame));
        });
        if is_here {
            self.unmap_everywhere(&lock);
        }
        is_here
    }

    /// Maps the page at the fault's address; none if there is none to be had.
    fn try_fault(&self, fault: &Fault<'_>) -> Option<Outcome> {
        let index = self.index_of(fault)?;
        let mut spares = Spares::new();
        loop {
            let mut lock = self.pages.lock(index);
            if let Some(page) = self.pages.get(&lock) {
                return Some(fault.insert(&*page, fault.is_write()));
            }
            if !self.is_inside(index) {
                return None;
            }
            let mapping = fault.mapping()?;
            let take = |claim| self.take_page(mapping, index, claim, &mut spares);
            if let Ok(page) = self.add_page(&mut lock, take) {
                return Some(fault.insert(&*page, fault.is_write()));
            }
            drop(lock);
            let placement = task::current(mapping.policy()).place(index);
            if !spares.make(self.hstate.pool(), &placement) {
                return None;
            }
        }
    }

    /// A page for a fault at `index` in `mapping`; a surplus one is one of `spares`. Sleeps.
    pub(crate) fn take_page(
        &self,
        mapping: Mapping<'_>,
        index: usize,
        claim: Claim,
        spares: &mut Spares,
    ) -> Option<FreePage> {
        task::home(mapping)
            .and_then(|node| self.hstate.take_on(node, claim))
            .or_else(|| {
                let placement = task::current(mapping.policy()).place(index);
                self.hstate.take(&placement, claim, spares)
            })
    }

    /// Gives the file a page at the locked index, where it has none: what `take` gets. ENOSPC: that
    /// is none. ENOMEM: there is no memory to keep it with. Sleeps.
    pub(crate) fn add_page<'a>(
        &'a self,
        lock: &'a mut FaultLock<'_>,
        take: impl FnOnce(Claim) -> Option<FreePage>,
    ) -> Result<Entry<'a, FilePage>> {
        let index = lock.index();
        let claim = self.charge.claim(index);
        let page = take(claim).ok_or(ENOSPC)?;
        if let Err(err) = self.charge.commit(index, claim, &self.hstate) {
            self.hstate.unuse(page, claim);
            return Err(err);
        }
        self.hstate.count_touch(&page);
        let page = page.into_file(&self.host, self.base_index(index));
        self.pages.insert(lock, page).map_err(|page| {
            // The charge stays, as somebody who reserves may have counted on it by now.
            self.hstate.take_back(page.leave(), Claim::Reserved);
            ENOMEM
        })
    }
}

impl MappedFile for HugeFile {
    type Device = Front;
    type Private = Private;

    fn open(front: &Front) -> Result<Arc<Self>> {
        let file = Self::new(front)?;
        front.hstate.files().add(&file)?;
        Ok(file)
    }

    fn release(&self) {
        self.hstate.files().remove(self);
    }

    fn host(&self) -> &Host {
        &self.host
    }

    fn page_bytes(&self) -> usize {
        self.hstate.size().bytes()
    }

    fn find_area(&self, search: &AreaSearch) -> Result<usize> {
        let size = self.hstate.size();
        if !size.is_movable() {
            // It may be mremap that asks.
            self.host
                .unmap(search.base_page_offset, search.length >> BASE_SHIFT);
        }
        let request = AreaRequest {
            hint: search.hint,
            length: search.length,
            fixed: search.is_fixed(),
        };
        let plan = request.plan(size).map_err(errno)?;
        // Before MAP_FIXED takes away what is there; the kernel asks regular files earlier.
        check_end(search.base_page_offset, search.length).map_err(errno)?;
        match plan {
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

    fn map(&self, mapping: &NewMapping<'_>) -> Result<Option<Arc<Private>>> {
        let range = MapRequest {
            start: mapping.start(),
            length: mapping.length(),
            base_page_offset: mapping.base_page_offset(),
            shared: mapping.is_shared(),
        }
        .check(self.hstate.size())
        .map_err(errno)?;
        let _shape = self.shape.lock();
        let private = if mapping.is_shared() {
            if !mapping.is_noreserve() {
                let placement = task::current(None).place_reservation();
                self.charge.reserve(range, &self.hstate, &placement)?;
            }
            None
        } else {
            Some(self.map_private(mapping, range)?)
        };
        if mapping.is_writable() {
            self.grow(range.end);
        }
        Ok(private)
    }

    fn fault(&self, fault: &Fault<'_>) -> Outcome {
        self.try_fault(fault).unwrap_or(Outcome::SIGBUS)
    }

    fn fault_private(&self, fault: &Fault<'_>, private: &Private) -> Outcome {
        self.try_private_fault(fault, private)
            .unwrap_or(Outcome::SIGBUS)
    }

    fn fork(&self, parent: &Private, copy: Mapping<'_>) -> Option<Arc<Private>> {
        self.fork_private(parent, copy).ok()
    }

    fn opened(&self, private: &Private, mapping: Mapping<'_>, opened: Opened) {
        private.opened(self.range_of(mapping), opened);
    }

    fn closed(&self, private: &Private, mapping: Mapping<'_>) {
        self.close_private(private, mapping);
    }

    fn ioctl(&self, request: Request) -> Result<Reply> {
        self.serve(request)
    }
}

impl Drop for HugeFile {
    fn drop(&mut self) {
        let present = PageCount::new(self.pages.count());
        let mut retiring = Retiring::new(&self.hstate);
        self.pages.as_mut().drain(|page| retiring.add(page));
        // Before the promises end, which looks at what is free, and at surplus.
        drop(retiring);
        self.charge.end(present, &self.hstate);
    }
}
