// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the module's huge file (`src/huge_file.rs`) and its charge (`src/charge.rs`), in
//! steps that can be mixed with those of others.

use std::collections::BTreeMap;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::pool::Claim;
use rust_hugetlb::policy::range::FileRange;
use rust_hugetlb::policy::regions::Regions;

use crate::world::{Hugetlb, World};

/// A file of huge pages.
#[derive(Default)]
pub(crate) struct File {
    regions: Regions<Vec<FileRange>>,
    /// The page at each index, by its node.
    present: BTreeMap<usize, usize>,
}

impl File {
    /// How many ranges there is room for without asking for memory.
    pub(crate) fn room(&self) -> usize {
        self.regions.room()
    }

    /// How many pages are charged.
    pub(crate) fn charged(&self) -> usize {
        self.regions.count().get()
    }

    /// Whether the page at `index` is charged.
    pub(crate) fn is_charged(&self, index: usize) -> bool {
        self.regions.contains(index)
    }

    /// The pages that are there, with their nodes.
    pub(crate) fn present(&self) -> &BTreeMap<usize, usize> {
        &self.present
    }

    /// How many pages of `range` are to be reserved, once there is room for it.
    pub(crate) fn begin_reserve(&mut self, range: FileRange) -> usize {
        assert!(make_room(&mut self.regions, false));
        self.regions.missing(range).get()
    }

    /// They are reserved.
    pub(crate) fn end_reserve(&mut self, range: FileRange) {
        self.regions.add(range).expect("room for one more");
    }

    /// `Charge::reserve`: the file's lock is held all the time.
    pub(crate) fn reserve(
        &mut self,
        range: FileRange,
        nodes: &[usize],
        pool: &mut dyn Hugetlb,
        world: &mut dyn World,
    ) -> bool {
        let missing = self.begin_reserve(range);
        let granted = pool.reserve(missing, nodes, world);
        if granted {
            self.end_reserve(range);
        }
        granted
    }

    /// `Charge::claim`.
    pub(crate) fn claim(&self, index: usize) -> Claim {
        if self.regions.contains(index) {
            Claim::Reserved
        } else {
            Claim::Unreserved
        }
    }

    /// `Charge::commit`: a page was taken on `claim`. On what it counts as taken from now on; none if
    /// there is no memory for a larger table, and the page is to go. If that is a reservation which
    /// it was not taken on, one promise is not needed any more.
    pub(crate) fn commit(&mut self, index: usize, claim: Claim, no_memory: bool) -> Option<Claim> {
        if claim == Claim::Reserved {
            return Some(claim);
        }
        if !make_room(&mut self.regions, no_memory) {
            return None;
        }
        let new = self.regions.add(FileRange::only(index));
        if new.expect("room for one more").is_zero() {
            // Somebody reserved it since the claim: once is enough.
            return Some(Claim::Reserved);
        }
        Some(Claim::Unreserved)
    }

    /// The page is in the file.
    pub(crate) fn insert(&mut self, index: usize, node: usize) {
        self.present.insert(index, node);
    }

    /// The page at `index` is in the file no more; its node.
    pub(crate) fn remove(&mut self, index: usize) -> Option<usize> {
        self.present.remove(&index)
    }

    /// `Charge::forget`: what of `range` is charged is so no more; how many pages that were.
    pub(crate) fn forget(&mut self, range: FileRange) -> usize {
        assert!(make_room(&mut self.regions, false));
        let charged = self.regions.remove(range);
        charged.expect("room for one more").get()
    }

    /// The end of the file: each page goes; says how many promises end with it.
    pub(crate) fn end(&mut self, mut put: impl FnMut(usize)) -> usize {
        let mut present = PageCount::ZERO;
        while let Some((_, node)) = self.present.pop_first() {
            put(node);
            present = present.plus(PageCount::ONE);
        }
        let unused = self.regions.count().minus(present).get();
        self.regions = Regions::default();
        unused
    }
}

/// `make_room` of `src/charge.rs`: for one more range. False: there is no memory. (The module's
/// tables grow by more than needed; the smaller, the more can go wrong.)
pub(crate) fn make_room(regions: &mut Regions<Vec<FileRange>>, no_memory: bool) -> bool {
    let needed = regions.ranges().len() + 1;
    if needed <= regions.room() {
        return true;
    }
    if !no_memory {
        regions.move_to(vec![FileRange::default(); needed]);
    }
    !no_memory
}
