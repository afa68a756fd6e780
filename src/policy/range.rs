// SPDX-License-Identifier: GPL-2.0

//! What may be mapped of a huge file, and where.
//!
//! Mirrors the checks of `hugetlbfs_file_mmap`, `hugetlb_get_unmapped_area`, `hugetlbfs_setattr` and
//! `hugetlbfs_fallocate` (fs/hugetlbfs/inode.c). Called by the huge file at mmap and at ioctls.

use super::count::PageCount;
use super::refusal::Refusal;
use super::size::{HugeSize, BASE_SHIFT};

/// A range of a huge file, in huge pages: `first` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRange {
    /// The index of the first huge page.
    pub first: usize,
    /// The index after the last huge page.
    pub end: usize,
}

impl FileRange {
    /// Everything from `first` on.
    pub const fn from(first: usize) -> Self {
        Self {
            first,
            end: usize::MAX,
        }
    }

    /// The one page at `index`.
    pub const fn only(index: usize) -> Self {
        Self {
            first: index,
            end: index.saturating_add(1),
        }
    }

    /// How many pages it has.
    pub const fn count(&self) -> PageCount {
        PageCount::new(self.end.saturating_sub(self.first))
    }

    /// Whether it has no page.
    pub const fn is_empty(&self) -> bool {
        self.end <= self.first
    }

    /// The pages in both ranges.
    #[must_use]
    pub fn intersection(&self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            end: self.end.min(other.end),
        }
    }
}

/// The size of the largest file, in bytes, and one: a file's length is a signed number (`loff_t`).
const SIZE_LIMIT: u64 = 1 << 63;

/// A range of a huge file as programs name it, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ByteRange {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl ByteRange {
    /// The pages of the range.
    pub fn check(&self, size: HugeSize) -> Result<FileRange, Refusal> {
        if self.length == 0 {
            return Err(Refusal::Empty);
        }
        let end = self
            .offset
            .checked_add(self.length)
            .ok_or(Refusal::TooLarge)?;
        Ok(FileRange {
            first: pages_of_size(self.offset, size)?,
            end: pages_of_size(end, size)?,
        })
    }
}

/// How many huge pages a file of `bytes` bytes has.
pub fn pages_of_size(bytes: u64, size: HugeSize) -> Result<usize, Refusal> {
    if bytes >= SIZE_LIMIT {
        return Err(Refusal::TooLarge);
    }
    let bytes = bytes as usize;
    if !size.is_aligned(bytes) {
        return Err(Refusal::Unaligned);
    }
    Ok(bytes >> size.shift())
}

/// A new mapping, as mmap(2) hands it to us.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest {
    /// The address, in bytes.
    pub start: usize,
    /// The length, in bytes.
    pub length: usize,
    /// The offset into the file, in base pages.
    pub base_page_offset: usize,
    /// Whether it is a shared mapping.
    pub shared: bool,
}

impl MapRequest {
    /// The range of the file that the mapping shows.
    pub fn check(&self, size: HugeSize) -> Result<FileRange, Refusal> {
        check_end(self.base_page_offset, self.length)?;
        let offset_mask = size.base_pages() - 1;
        if !size.is_aligned(self.start)
            || !size.is_aligned(self.length)
            || self.base_page_offset & offset_mask != 0
        {
            return Err(Refusal::Unaligned);
        }
        if !self.shared && !size.has_copy_on_write() {
            return Err(Refusal::Private);
        }
        let first = self.base_page_offset >> size.order();
        let end = first.saturating_add(self.length >> size.shift());
        Ok(FileRange { first, end })
    }
}

/// Whether a mapping of `length` bytes at `base_page_offset`, in base pages, ends inside a file: its
/// length in bytes is a signed number (`loff_t`; `file_mmap_ok`).
pub fn check_end(base_page_offset: usize, length: usize) -> Result<(), Refusal> {
    let last = (isize::MAX as usize)
        .checked_sub(length)
        .ok_or(Refusal::Overflow)?;
    if base_page_offset > last >> BASE_SHIFT {
        return Err(Refusal::Overflow);
    }
    Ok(())
}

/// A search for a place in an address space, as get_unmapped_area gets it.
#[derive(Clone, Copy, Debug)]
pub struct AreaRequest {
    /// The address asked for, in bytes; 0 for any.
    pub hint: usize,
    /// The length, in bytes.
    pub length: usize,
    /// Whether it must be there and nowhere else (`MAP_FIXED`).
    pub fixed: bool,
}

/// How to find an aligned place with a search that knows nothing of alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaPlan {
    /// Ask for exactly this address.
    Exactly(usize),
    /// Ask for this address first (0: skip that), then for any place of `padded` bytes, and use
    /// the aligned part of it.
    Search {
        /// The address to try first, aligned.
        hint: usize,
        /// A length, in bytes, that holds an aligned place wherever it begins.
        padded: usize,
    },
}

impl AreaRequest {
    /// Decides how to look.
    pub fn plan(&self, size: HugeSize) -> Result<AreaPlan, Refusal> {
        if !size.is_aligned(self.length) {
            return Err(Refusal::Unaligned);
        }
        if self.fixed {
            if !size.is_aligned(self.hint) {
                return Err(Refusal::Unaligned);
            }
            return Ok(AreaPlan::Exactly(self.hint));
        }
        Ok(AreaPlan::Search {
            hint: size.round_up(self.hint).unwrap_or(0),
            padded: self
                .length
                .checked_add(size.bytes())
                .ok_or(Refusal::Overflow)?,
        })
    }
}
