// SPDX-License-Identifier: GPL-2.0

//! Private mappings of a huge file: their faults, fork, and their end.
//!
//! Mirrors `hugetlb_no_page`, `hugetlb_wp`, `unmap_ref_private`, `copy_hugetlb_page_range` and
//! `hugetlb_vm_op_close` (mm/hugetlb.c). A page of a private mapping belongs to the mapping, not to
//! the page tables that show it: they can be emptied at any time, and what was there faults in again.

use kernel::{pr_warn_once, prelude::*, sync::Arc};

use crate::{
    errno::errno,
    huge_file::HugeFile,
    mm::{
        fault::{Fault, Outcome},
        fault_lock::FaultLock,
        page::Mappable,
        private_page::PrivatePage,
        vm_ops::each_private,
        vma::{Mapping, NewMapping},
    },
    policy::{
        coverage::Release,
        pool::Claim,
        private::{Action, Own, View},
        range::FileRange,
    },
    private::Private,
    retiring::Retiring,
    surplus::Spares,
    task,
};

impl HugeFile {
    /// A private mapping of `range`; its pages are reserved unless it is MAP_NORESERVE. Sleeps.
    pub(crate) fn map_private(
        &self,
        mapping: &NewMapping<'_>,
        range: FileRange,
    ) -> Result<Arc<Private>> {
        let promised = (!mapping.is_noreserve()).then_some(range);
        let private = Private::new(mapping.mm(), self.new_map()?, promised)?;
        self.relatives.add(&private)?;
        if let Some(range) = promised {
            let placement = task::current(None).place_reservation();
            let mut spares = Spares::new();
            let pool = self.hstate.pool();
            if let Err(refusal) = pool.reserve(range.count(), &placement, &mut spares) {
                self.relatives.remove(&private);
                return Err(errno(refusal));
            }
        }
        Ok(private)
    }

    /// Maps the page at the fault's address in `private`; none if there is none to be had.
    pub(crate) fn try_private_fault(
        &self,
        fault: &Fault<'_>,
        private: &Private,
    ) -> Option<Outcome> {
        let index = self.index_of(fault)?;
        let wants_own = fault.wants_own();
        let mut lock = self.pages.lock(index);
        let action = self.view(private, &lock).decide(wants_own);
        let mapping = fault.mapping()?;
        match action {
            Action::MapOwn => {}
            Action::MapFile => {
                private.show(index);
                return self
                    .pages
                    .get(&lock)
                    .map(|page| fault.insert(&*page, false));
            }
            Action::Fresh => {
                let claim = private.claim(index);
                let page = self.take_page(mapping, index, claim, &mut Spares::new())?;
                self.hstate.count_touch(&page);
                let page = page.into_private(&self.host, self.base_index(index));
                self.give(private, &mut lock, page, claim)?;
            }
            Action::CopyFile => {
                let claim = private.claim(index);
                let source = self.pages.get(&lock)?;
                if source.is_broken() {
                    return Some(Outcome::BROKEN);
                }
                let copy = self.copy(&*source, index, mapping, claim);
                let Some(page) = copy else {
                    // hugetlb maps the file's page before it looks for one to copy it to.
                    private.show(index);
                    return None;
                };
                // The file's page may be mapped here, to be read.
                self.unmap(fault, private, &lock);
                self.give(private, &mut lock, page, claim)?;
                private.hide(index);
            }
            Action::CopyShared { may_rob } => {
                let source = private.pages.get(&lock)?;
                if source.is_broken() {
                    return Some(Outcome::BROKEN);
                }
                let copy = self.copy(&*source, index, mapping, Claim::Unreserved);
                match copy {
                    Some(page) => {
                        self.unmap(fault, private, &lock);
                        self.exchange(private, &mut lock, page)?;
                    }
                    // hugetlb writes to what only somebody with a reference reads.
                    None if source.is_unshared() => {}
                    None if may_rob => self.rob_others(private, &mut lock),
                    None => return None,
                }
            }
            Action::Refuse => return None,
        }
        private
            .pages
            .get(&lock)
            .map(|page| fault.insert(&*page, wants_own))
    }

    /// A forked task gets the pages that `parent` has in `copy`, and no reservations. Sleeps.
    pub(crate) fn fork_private(&self, parent: &Private, copy: Mapping<'_>) -> Result<Arc<Private>> {
        let range = self.range_of(copy);
        let child = Private::new(copy.mm(), self.new_map()?, None)?;
        // Without memory for it, it matters only should the child be robbed.
        let _ = child.show_as(parent, range);
        self.relatives.add(&child)?;
        let mut next = parent.pages.next(range.first);
        while let Some(index) = next.filter(|index| *index < range.end) {
            if !self.inherit(parent, &child, index, copy) {
                child.rob(range);
            }
            next = index
                .checked_add(1)
                .and_then(|from| parent.pages.next(from));
        }
        Ok(child)
    }

    /// Gives `child` what `parent` has at `index`: a share, or of a page that is pinned a copy.
    fn inherit(&self, parent: &Private, child: &Private, index: usize, copy: Mapping<'_>) -> bool {
        let mut lock = self.pages.lock(index);
        let page = match parent.pages.get(&lock) {
            None => return true,
            Some(page) if page.is_pinned() => self.copy(&*page, index, copy, Claim::Unreserved),
            Some(page) => Some(page.share()),
        };
        page.is_some_and(|page| {
            self.give(child, &mut lock, page, Claim::Unreserved)
                .is_some()
        })
    }

    /// A VMA of `private` is gone. Sleeps.
    pub(crate) fn close_private(&self, private: &Private, mapping: Mapping<'_>) {
        let release = private.closed(self.range_of(mapping));
        let range = match release {
            Release::Nothing => return,
            Release::Range(range) => range,
            Release::All => FileRange::from(0),
        };
        let mut retiring = Retiring::new(&self.hstate);
        let mut next = Some(range.first);
        while let Some(index) = next.filter(|index| *index < range.end) {
            let page = private.pages.remove(&mut self.pages.lock(index));
            next = match page {
                Some(page) => {
                    retiring.add_private(page);
                    index.checked_add(1)
                }
                None => private.pages.next(index),
            };
        }
        drop(retiring);
        if release == Release::All {
            self.relatives.remove(private);
        }
        // Last: who punches a hole takes a page, too, and puts a promise in its place. Where all of it
        // ends he finds that out; of a part, who took one that was not seen here is waited for.
        if release != Release::All {
            self.hstate.fault_locks().wait_for_holders();
        }
        let unused = private.end_promises(range);
        if !unused.is_zero() {
            self.hstate.pool().unreserve(unused);
        }
    }

    fn view(&self, private: &Private, lock: &FaultLock<'_>) -> View {
        View {
            own: match private.pages.get(lock) {
                None => Own::Absent,
                Some(page) if page.is_exclusive() => Own::Exclusive,
                Some(_) => Own::Shared,
            },
            in_file: self.pages.get(lock).is_some(),
            in_size: self.is_inside(lock.index()),
            robbed: private.is_robbed(lock.index()),
            owner: private.is_owner(),
        }
    }

    /// A copy of `source` for `index` in `mapping`, on a page taken on `claim`; none if there is none to
    /// be had. Sleeps.
    fn copy(
        &self,
        source: &impl Mappable,
        index: usize,
        mapping: Mapping<'_>,
        claim: Claim,
    ) -> Option<PrivatePage> {
        let page = self.take_page(mapping, index, claim, &mut Spares::new())?;
        match page.into_copy(source, &self.host, self.base_index(index)) {
            Ok(copy) => Some(copy),
            Err(page) => {
                self.hstate.unuse(page, claim);
                None
            }
        }
    }

    /// Gives `private` a page, taken on `claim`, where it has none. None if that cannot be written
    /// down. Sleeps.
    fn give(
        &self,
        private: &Private,
        lock: &mut FaultLock<'_>,
        page: PrivatePage,
        claim: Claim,
    ) -> Option<()> {
        if let Err(page) = private.pages.insert(lock, page) {
            self.take_back(page, claim);
            return None;
        }
        if private.commit(lock.index(), claim).is_err() {
            let page = private.pages.remove(lock)?;
            self.take_back(page, claim);
            return None;
        }
        Some(())
    }

    /// Gives `private` a page of its own for the one that it shares. Sleeps.
    fn exchange(
        &self,
        private: &Private,
        lock: &mut FaultLock<'_>,
        page: PrivatePage,
    ) -> Option<()> {
        match private.pages.replace(lock, page) {
            Ok(old) => {
                self.hstate.retire_private(old?);
                Some(())
            }
            Err(page) => {
                self.take_back(page, Claim::Unreserved);
                None
            }
        }
    }

    /// Takes back a page, taken on `claim`, that was given to nobody.
    fn take_back(&self, page: PrivatePage, claim: Claim) {
        // A share of another mapping's is just given up.
        if let Some(page) = page.leave() {
            self.hstate.take_back(page, claim);
        }
    }

    /// Takes the page that `private` shares from those it shares it with. Sleeps.
    fn rob_others(&self, private: &Private, lock: &mut FaultLock<'_>) {
        self.unmap_everywhere(lock);
        let shares = |other: &Private, lock: &FaultLock<'_>| {
            let (mine, theirs) = (private.pages.get(lock), other.pages.get(lock));
            !core::ptr::eq(private, other)
                && matches!((mine, theirs), (Some(mine), Some(theirs)) if mine.is_same(&theirs))
        };
        let vmas = self.vmas_of(|other| shares(other, lock), lock.index());
        self.relatives.take_pages(lock, shares, |other, page| {
            let serial = other.serial();
            let known = vmas.binary_search_by_key(&serial, |(serial, _)| *serial);
            let vma = known.ok().and_then(|at| vmas.get(at));
            other.rob(vma.map_or(FileRange::from(0), |(_, vma)| *vma));
            self.hstate.retire_private(page);
        });
        pr_warn_once!(
            "no page for a copy on write: taken from forked processes, which get SIGBUS if they \
             touch it; a larger pool or nr_overcommit_hugepages avoids that (said once)\n"
        );
    }

    /// Shows `see` what VMAs of private mappings have of `range`, in hugetlb's order. It may not sleep
    /// for memory.
    pub(crate) fn each_linked(&self, range: FileRange, mut see: impl FnMut(&Private, FileRange)) {
        let size = self.hstate.size();
        let base = |index: usize| index.saturating_mul(size.base_pages());
        each_private(self, base(range.first)..base(range.end), |private, vma| {
            let vma = FileRange {
                first: vma.start >> size.order(),
                end: vma.end >> size.order(),
            };
            see(private, vma);
        });
    }

    /// The serials, in order, of the private mappings of which `which` is true, and their VMAs that have
    /// `index`: all, if that is not linked, being a child's that is being forked. Looked for once, as
    /// there can be many of both. None at all without memory. Sleeps.
    fn vmas_of(&self, which: impl Fn(&Private) -> bool, index: usize) -> KVVec<(usize, FileRange)> {
        let mut count = 0;
        self.relatives
            .each(|other| count += usize::from(which(other)));
        let Ok(mut vmas) = KVVec::with_capacity(count, GFP_KERNEL) else {
            return KVVec::new();
        };
        self.relatives.each(|other| {
            if which(other) {
                let _ = vmas.push_within_capacity((other.serial(), FileRange::from(0)));
            }
        });
        self.each_linked(FileRange::only(index), |linked, vma| {
            let serial = linked.serial();
            let known = vmas.binary_search_by_key(&serial, |(serial, _)| *serial);
            if let Some((_, known)) = known.ok().and_then(|at| vmas.get_mut(at)) {
                *known = vma;
            }
        });
        vmas
    }

    /// Makes sure that what `private` has had mapped at the locked index is not mapped any more.
    fn unmap(&self, fault: &Fault<'_>, private: &Private, lock: &FaultLock<'_>) {
        if private.is_doubled() {
            self.unmap_everywhere(lock);
        } else {
            fault.zap(self.hstate.size().order());
        }
    }
}
