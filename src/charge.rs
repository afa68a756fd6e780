// SPDX-License-Identifier: GPL-2.0

//! What a file is charged for: the pages it has, and those it may still take for certain.
//!
//! The shell around [`policy::regions`](crate::policy::regions): `inode_resv_map` and its users in
//! mm/hugetlb.c. Called by the huge file at mmap, at faults and at its end.

use kernel::{
    prelude::*,
    sync::{new_mutex, Mutex},
};

use crate::{
    errno::errno,
    hstate::Hstate,
    policy::{
        count::PageCount,
        placement::Placement,
        pool::Claim,
        range::FileRange,
        regions::{NeedRoom, Regions},
    },
    surplus::Spares,
};

/// The charged pages of one file.
///
/// The lock is held while a reservation is made, which may allocate pages that are not contiguous: two
/// reservations of one file, or a reservation and a fault, never see each other half done.
pub(crate) struct Charge(Pin<KBox<Mutex<Regions<KVVec<FileRange>>>>>);

impl Charge {
    /// Nothing is charged. Sleeps.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::pin_init(
            new_mutex!(Regions::new(KVVec::new()), "rust_hugetlb::Charge"),
            GFP_KERNEL,
        )?))
    }

    /// Reserves what of `range` is not charged yet. ENOMEM if the pool has too few pages. Sleeps.
    pub(crate) fn reserve(
        &self,
        range: FileRange,
        hstate: &Hstate,
        placement: &Placement,
    ) -> Result {
        let mut spares = Spares::new();
        loop {
            let result = self.try_reserve(range, hstate, placement, &mut spares);
            if result.is_ok() || !spares.make(hstate.pool(), placement) {
                return result;
            }
        }
    }

    fn try_reserve(
        &self,
        range: FileRange,
        hstate: &Hstate,
        placement: &Placement,
        spares: &mut Spares,
    ) -> Result {
        let mut regions = self.0.lock();
        // Room first: nothing may fail once the pages are reserved.
        make_room(&mut regions)?;
        let missing = regions.missing(range);
        hstate
            .pool()
            .reserve(missing, placement, spares)
            .map_err(errno)?;
        if let Err(NeedRoom(_)) = regions.add(range) {
            hstate.pool().unreserve(missing);
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// On what the page at `index` is to be taken.
    pub(crate) fn claim(&self, index: usize) -> Claim {
        if self.0.lock().contains(index) {
            Claim::Reserved
        } else {
            Claim::Unreserved
        }
    }

    /// The page at `index` was taken on `claim`, and will be in the file. Sleeps.
    pub(crate) fn commit(&self, index: usize, claim: Claim, hstate: &Hstate) -> Result {
        if claim == Claim::Reserved {
            return Ok(());
        }
        let mut regions = self.0.lock();
        make_room(&mut regions)?;
        let new = regions.add(FileRange::only(index)).map_err(|_| ENOMEM)?;
        if new.is_zero() {
            // Somebody reserved it since the claim: once is enough, and that one may need it back.
            hstate.pool().unreserve(PageCount::ONE);
        }
        Ok(())
    }

    /// What of `range` is charged is so no more: its pages, and its reservations, are the caller's.
    /// How many that were. ENOMEM: nothing changed; not if `range` has no end. Sleeps.
    pub(crate) fn forget(&self, range: FileRange) -> Result<PageCount> {
        let mut regions = self.0.lock();
        if let Ok(forgotten) = regions.remove(range) {
            return Ok(forgotten);
        }
        make_room(&mut regions)?;
        regions.remove(range).map_err(|_| ENOMEM)
    }

    /// How many pages are charged. Sleeps.
    pub(crate) fn count(&self) -> PageCount {
        self.0.lock().count()
    }

    /// The end of the file, which had `present` pages: unused reservations end. Sleeps.
    pub(crate) fn end(&self, present: PageCount, hstate: &Hstate) {
        let charged = self.count();
        hstate.pool().unreserve(charged.minus(present));
    }
}

/// Makes room for one more range, which is what adding or removing a range takes at most. Sleeps.
pub(crate) fn make_room(regions: &mut Regions<KVVec<FileRange>>) -> Result {
    let needed = regions.ranges().len() + 1;
    if needed <= regions.room() {
        return Ok(());
    }
    let mut table = KVVec::new();
    // Twice as much as needed: a file that fragments does not pay for each range.
    table.resize(needed.saturating_mul(2), FileRange::default(), GFP_KERNEL)?;
    regions.move_to(table);
    Ok(())
}
