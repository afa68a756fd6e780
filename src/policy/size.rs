// SPDX-License-Identifier: GPL-2.0

//! The sizes a huge page can have on x86-64.

use super::count::PageCount;

/// The binary logarithm of a base page's size in bytes.
pub const BASE_SHIFT: u32 = 12;

/// A huge page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugeSize {
    /// 2 MiB: one PMD (the CPU feature `pse`).
    Size2M,
    /// 1 GiB: one PUD (the CPU feature `pdpe1gb`).
    Size1G,
}

impl HugeSize {
    /// The binary logarithm of the size in base pages.
    pub const fn order(self) -> u32 {
        match self {
            Self::Size2M => 9,
            Self::Size1G => 18,
        }
    }

    /// The binary logarithm of the size in bytes.
    pub const fn shift(self) -> u32 {
        self.order() + BASE_SHIFT
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        1 << self.shift()
    }

    /// The size in KiB, as in the name of its sysfs folder (`hugepages-2048kB`).
    pub const fn kib(self) -> usize {
        self.bytes() >> 10
    }

    /// The size in base pages.
    pub const fn base_pages(self) -> usize {
        1 << self.order()
    }

    /// The next larger size.
    pub const fn larger(self) -> Option<Self> {
        match self {
            Self::Size2M => Some(Self::Size1G),
            Self::Size1G => None,
        }
    }

    /// The next smaller size.
    pub const fn smaller(self) -> Option<Self> {
        match self {
            Self::Size2M => None,
            Self::Size1G => Some(Self::Size2M),
        }
    }

    /// How many pages of a `smaller` size one page of this size is.
    pub const fn pieces(self, smaller: Self) -> PageCount {
        PageCount::new(self.base_pages() / smaller.base_pages())
    }

    /// Whether it is more than a free block of the page allocator can have: made of a range that is
    /// emptied for it.
    pub const fn is_contiguous(self) -> bool {
        matches!(self, Self::Size1G)
    }

    /// Whether mremap can move its page-table entry.
    pub const fn is_movable(self) -> bool {
        matches!(self, Self::Size2M)
    }

    /// Whether a page-table entry of this size can be copied on write: a 1 GiB one is split
    /// instead, and does not come back.
    pub const fn has_copy_on_write(self) -> bool {
        matches!(self, Self::Size2M)
    }

    /// Whether `bytes`, an address or a length, is a multiple of the size.
    pub const fn is_aligned(self, bytes: usize) -> bool {
        bytes & (self.bytes() - 1) == 0
    }

    /// `bytes` rounded up to a multiple of the size; none past the end of the address space.
    pub const fn round_up(self, bytes: usize) -> Option<usize> {
        match bytes.checked_add(self.bytes() - 1) {
            Some(sum) => Some(sum & !(self.bytes() - 1)),
            None => None,
        }
    }
}
