// SPDX-License-Identifier: GPL-2.0

//! What a piece of memory means to who wants huge pages: one verdict for each base page.
//!
//! Mirrors `page_is_unmovable` (mm/page_isolation.c) and the rest of `pfn_range_valid_contig`
//! (mm/page_alloc.c), and goes further where those only find out by trying: a page with more
//! references than its mappings and caches account for is pinned (`folio_expected_ref_count`), and one
//! without references that has a type is not free.

use super::size::HugeSize;

/// What a page is used as, as far as the page itself says so (`page_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A free block of the page allocator.
    Buddy,
    /// hugetlb's.
    Hugetlb,
    /// Its owner can move it (`page_has_movable_ops`).
    MovableOps,
    /// Slab, page table or another use by the kernel.
    Typed,
    /// Nothing of that.
    Untyped,
}

/// What was seen of a page, at one moment and without a lock: any combination is possible.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// It belongs to the zone that is looked at.
    pub in_zone: bool,
    /// The order of the compound page that it is a part of.
    pub order: Option<u32>,
    /// What it is used as.
    pub kind: Kind,
    /// `PG_reserved`: never the page allocator's.
    pub reserved: bool,
    /// `PG_lru`.
    pub lru: bool,
    /// It shows a file or anonymous memory.
    pub has_mapping: bool,
    /// It bears the label of this module's pages.
    pub ours: bool,
    /// References to it.
    pub references: i64,
    /// References that mappings, caches and buffers account for.
    pub accounted: i64,
}

/// What becomes of a page when a huge page is wanted where it lies: the later, the harder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody has it.
    Free,
    /// It can be moved.
    Movable,
    /// A page of a program, but on no LRU list: most likely in a CPU's batch, on its way to one.
    /// Nobody can move it until it arrives there.
    Unlisted,
    /// A page of this module of just that size: nothing to be had there.
    Pool,
    /// It could be moved if somebody did not hold it.
    Pinned,
    /// Another huge page that nobody can move.
    Huge,
    /// The kernel's.
    Unmovable,
    /// Never the page allocator's: firmware, the kernel's image, holes in a section.
    Reserved,
    /// No memory, or that of another zone.
    Hole,
}

impl Verdict {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Free,
        Self::Movable,
        Self::Unlisted,
        Self::Pool,
        Self::Pinned,
        Self::Huge,
        Self::Unmovable,
        Self::Reserved,
        Self::Hole,
    ];

    /// As the files of the module call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Movable => "movable",
            Self::Unlisted => "unlisted",
            Self::Pool => "pool",
            Self::Pinned => "pinned",
            Self::Huge => "huge",
            Self::Unmovable => "unmovable",
            Self::Reserved => "reserved",
            Self::Hole => "hole",
        }
    }

    /// Whether it keeps a huge page from being made of the memory around it.
    pub fn blocks(self) -> bool {
        self >= Self::Pinned
    }

    /// Whether that is for good.
    pub fn is_final(self) -> bool {
        self >= Self::Reserved
    }
}

impl Frame {
    /// What it means to who wants pages of `size`.
    pub fn verdict(&self, size: HugeSize) -> Verdict {
        if !self.in_zone {
            return Verdict::Hole;
        }
        if self.reserved {
            return Verdict::Reserved;
        }
        if let Some(order) = self.order {
            return self.compound(order, size);
        }
        match self.kind {
            // A slab of one page has no references (alloc_frozen_pages), but is in use.
            Kind::Typed if self.references == 0 => Verdict::Unmovable,
            // Free, or in one of the CPUs' lists of free pages.
            _ if self.references == 0 => Verdict::Free,
            Kind::MovableOps => Verdict::Movable,
            _ if self.lru => self.listed(),
            Kind::Untyped if self.has_mapping => Verdict::Unlisted,
            _ => Verdict::Unmovable,
        }
    }

    fn compound(&self, order: u32, size: HugeSize) -> Verdict {
        match self.kind {
            // hugetlb's smaller pages are moved to make room for larger ones.
            Kind::Hugetlb if order < size.order() => Verdict::Movable,
            Kind::Hugetlb => Verdict::Huge,
            _ if self.lru => self.listed(),
            Kind::Untyped if self.ours && order == size.order() => Verdict::Pool,
            Kind::Untyped if self.ours => Verdict::Huge,
            Kind::Untyped if self.has_mapping => Verdict::Unlisted,
            _ => Verdict::Unmovable,
        }
    }

    fn listed(&self) -> Verdict {
        if self.references > self.accounted {
            Verdict::Pinned
        } else {
            Verdict::Movable
        }
    }
}
