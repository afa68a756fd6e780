// SPDX-License-Identifier: GPL-2.0

//! Changing what a huge file holds: its size, holes, pages put in beforehand.
//!
//! Mirrors `hugetlb_vmtruncate`, `hugetlbfs_punch_hole` and `hugetlbfs_fallocate`
//! (fs/hugetlbfs/inode.c). A page leaves the page tables before it leaves the file, and both under
//! its fault lock: nobody sees it once it is somebody else's.

use kernel::prelude::*;

use crate::{
    errno::errno,
    huge_file::HugeFile,
    mm::{
        fault_lock::FaultLock,
        ioctl::{Info, Range, Reply, Request},
        private_page::PrivatePage,
    },
    policy::{
        count::PageCount,
        pool::Claim,
        range::{pages_of_size, ByteRange, FileRange},
    },
    private::Private,
    surplus::Spares,
    task,
};

impl HugeFile {
    /// Does what an ioctl asks for. Sleeps.
    pub(crate) fn serve(&self, request: Request) -> Result<Reply> {
        match request {
            Request::Info => return Ok(Reply::Info(self.info())),
            Request::SetSize(bytes) => self.set_size(bytes)?,
            Request::PunchHole(range) => self.punch_hole(self.pages_of(range)?)?,
            Request::Preallocate(range) => self.preallocate(self.pages_of(range)?)?,
        }
        Ok(Reply::Done)
    }

    fn info(&self) -> Info {
        let bytes = |pages: usize| (pages as u64) << self.hstate.size().shift();
        let allocated = PageCount::new(self.pages.count());
        Info {
            page_size: bytes(1),
            size: bytes(self.size()),
            allocated: bytes(allocated.get()),
            reserved: bytes(self.charge.count().minus(allocated).get()),
        }
    }

    fn set_size(&self, bytes: u64) -> Result {
        let size = pages_of_size(bytes, self.hstate.size()).map_err(errno)?;
        let _shape = self.shape.lock();
        self.check_growth(size)?;
        self.set_size_to(size);
        // A fault that began before would put a page past the end, where nobody looks any more.
        self.hstate.fault_locks().wait_for_holders();
        self.host.unmap(self.base_index(size), 0);
        self.drop_linked_pages(FileRange::from(size));
        let mut dropped = PageCount::ZERO;
        let mut from = size;
        while let Some(index) = self.next_page(from) {
            let mut lock = self.pages.lock(index);
            // Once more: until its page is gone a place can fault it in again.
            self.unmap_everywhere(&lock);
            self.drop_private_pages(&mut lock);
            if self.drop_page(&mut lock) {
                dropped = dropped.plus(PageCount::ONE);
            }
            from = index.saturating_add(1);
        }
        let charged = self.charge.forget(FileRange::from(size))?;
        let unused = charged.minus(dropped);
        if !unused.is_zero() {
            self.hstate.pool().unreserve(unused);
        }
        Ok(())
    }

    fn punch_hole(&self, range: FileRange) -> Result {
        let _shape = self.shape.lock();
        self.drop_linked_pages(range);
        let mut from = range.first;
        while let Some(index) = self.next_page(from).filter(|index| *index < range.end) {
            let mut lock = self.pages.lock(index);
            if self.pages.get(&lock).is_some() {
                // First, as it is all that can fail.
                self.charge.forget(FileRange::only(index))?;
            }
            self.unmap_everywhere(&lock);
            self.drop_private_pages(&mut lock);
            self.drop_page(&mut lock);
            from = index.saturating_add(1);
        }
        Ok(())
    }

    fn preallocate(&self, range: FileRange) -> Result {
        let _shape = self.shape.lock();
        self.check_growth(range.end)?;
        let task = task::current(None);
        let mut spares = Spares::new();
        for index in range.first..range.end {
            let placement = task.place(index);
            loop {
                if kernel::current!().signal_pending() {
                    return Err(EINTR);
                }
                let mut lock = self.pages.lock(index);
                if self.pages.get(&lock).is_some() {
                    break;
                }
                let take = |claim| self.hstate.take(&placement, claim, &mut spares);
                let Err(err) = self.add_page(&mut lock, take) else {
                    break;
                };
                drop(lock);
                if !spares.make(self.hstate.pool(), &placement) {
                    return Err(err);
                }
            }
        }
        self.grow(range.end);
        Ok(())
    }

    /// Takes the page at the locked index, which no page table shows any more, from the file. Whether
    /// there was one.
    fn drop_page(&self, lock: &mut FaultLock<'_>) -> bool {
        let Some(page) = self.pages.remove(lock) else {
            return false;
        };
        self.relatives.each(|private| private.hide(lock.index()));
        self.hstate.retire(page);
        true
    }

    /// Takes the pages of `range` from all private mappings, VMA by VMA, as `hugetlb_vmdelete_list`
    /// does: who is the last to have a page, and whether there is surplus then, decides on the owner's
    /// promise. Without memory for that, and should there be more by then, they are left.
    fn drop_linked_pages(&self, range: FileRange) {
        let Ok(linked) = self.linked(range) else {
            return;
        };
        for (serial, vma) in &linked {
            let Some(private) = self.relatives.get(*serial) else {
                continue;
            };
            // hugetlb frees what it unmaps when it is through with a VMA.
            let no_surplus = self.hstate.has_no_surplus();
            let mut next = private.pages.next(vma.first);
            while let Some(index) = next.filter(|index| *index < vma.end) {
                let mut lock = self.pages.lock(index);
                self.unmap_everywhere(&lock);
                if let Some(page) = private.pages.remove(&mut lock) {
                    self.drop_private_page(&private, index, page, no_surplus);
                }
                next = index
                    .checked_add(1)
                    .and_then(|from| private.pages.next(from));
            }
        }
    }

    /// What VMAs of private mappings have of `range`, and the mappings' serials.
    fn linked(&self, range: FileRange) -> Result<KVVec<(usize, FileRange)>> {
        let mut count = 0;
        self.each_linked(range, |_, _| count += 1);
        let mut linked = KVVec::with_capacity(count, GFP_KERNEL)?;
        self.each_linked(range, |private, vma| {
            let _ = linked.push_within_capacity((private.serial(), vma.intersection(range)));
        });
        Ok(linked)
    }

    /// Takes the page at the locked index, which no page table shows any more, from the private
    /// mappings that still have one.
    fn drop_private_pages(&self, lock: &mut FaultLock<'_>) {
        let index = lock.index();
        let no_surplus = self.hstate.has_no_surplus();
        self.relatives.take_pages(
            lock,
            |_, _| true,
            |private, page| self.drop_private_page(private, index, page, no_surplus),
        );
    }

    /// The owner's promise comes back with its page, unless there are surplus pages: then it is lost,
    /// as on hugetlb (`__unmap_hugepage_range`).
    fn drop_private_page(
        &self,
        private: &Private,
        index: usize,
        page: PrivatePage,
        no_surplus: bool,
    ) {
        match page.leave() {
            None => {}
            Some(Ok(page)) => {
                let promised =
                    private.is_owner() && no_surplus && private.promise_again(index).is_ok();
                let claim = if promised {
                    Claim::Reserved
                } else {
                    Claim::Unreserved
                };
                self.hstate.unuse(page, claim);
            }
            Some(Err(page)) => self.hstate.keep_pinned(page),
        }
    }

    /// The lowest index at `from` or after it at which the file or one of its private mappings has a
    /// page.
    pub(crate) fn next_page(&self, from: usize) -> Option<usize> {
        let mapped = self.relatives.next_page(from);
        [self.pages.next(from), mapped].into_iter().flatten().min()
    }

    /// Whether this task may let the file grow to `size` huge pages: RLIMIT_FSIZE.
    fn check_growth(&self, size: usize) -> Result {
        if size <= self.size() {
            return Ok(());
        }
        self.host
            .check_size((size as u64) << self.hstate.size().shift())
    }

    fn pages_of(&self, range: Range) -> Result<FileRange> {
        let range = ByteRange {
            offset: range.offset,
            length: range.length,
        };
        range.check(self.hstate.size()).map_err(errno)
    }
}
