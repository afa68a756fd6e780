// SPDX-License-Identifier: GPL-2.0

//! What stands in the way of huge pages: a zone's aligned ranges, tallied; and how far a pool could
//! grow.
//!
//! The ranges are those that `alloc_contig_frozen_pages` tries (mm/page_alloc.c), and for 2 MiB those
//! that compaction can make free. The shell walks over them and brings a [`Verdict`] for each page.

use super::{count::PageCount, frame::Verdict, size::HugeSize};

const VERDICTS: usize = Verdict::ALL.len();

/// Base pages by verdict: of one aligned range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([usize; VERDICTS]);

impl Tally {
    /// Counts `pages` more.
    pub fn add(&mut self, verdict: Verdict, pages: usize) {
        let count = &mut self.0[verdict as usize];
        *count = count.saturating_add(pages);
    }

    /// How many were counted.
    pub fn pages(&self, verdict: Verdict) -> usize {
        self.0[verdict as usize]
    }

    /// What the range as a whole is: its worst page decides.
    pub fn verdict(&self) -> Verdict {
        let mut all = Verdict::ALL.into_iter().rev();
        all.find(|verdict| self.pages(*verdict) != 0)
            .unwrap_or(Verdict::Free)
    }

    /// How many pages stand in the way.
    pub fn blocking(&self) -> usize {
        let all = Verdict::ALL.into_iter();
        all.filter(|verdict| verdict.blocks())
            .map(|verdict| self.pages(verdict))
            .fold(0, usize::saturating_add)
    }

    /// How near a blocked range is to one that can be had: the less, the nearer. What never goes
    /// away weighs more than any number of what may.
    fn distance(&self) -> (bool, usize) {
        (self.verdict().is_final(), self.blocking())
    }
}

/// The aligned ranges of a zone by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    ranges: [usize; VERDICTS],
    nearest: Option<Tally>,
}

impl Survey {
    /// One more range.
    pub fn add(&mut self, range: Tally) {
        let verdict = range.verdict();
        self.ranges[verdict as usize] += 1;
        if verdict.blocks()
            && self
                .nearest
                .is_none_or(|nearest| range.distance() < nearest.distance())
        {
            self.nearest = Some(range);
        }
    }

    /// The ranges of one verdict.
    pub fn ranges(&self, verdict: Verdict) -> usize {
        self.ranges[verdict as usize]
    }

    /// All ranges.
    pub fn total(&self) -> usize {
        self.ranges.iter().sum()
    }

    /// The blocked range that is nearest to one that can be had.
    pub fn nearest(&self) -> Option<&Tally> {
        self.nearest.as_ref()
    }

    /// The ranges in which nothing is that blocks.
    fn open(&self) -> usize {
        self.ranges(Verdict::Free) + self.ranges(Verdict::Movable) + self.ranges(Verdict::Unlisted)
    }
}

/// The first base page of the `index`th range of `size` in a zone that spans `spanned` base pages
/// from `start`; none past the end.
pub fn range(start: usize, spanned: usize, size: HugeSize, index: usize) -> Option<usize> {
    let pages = size.base_pages();
    let aligned = start.checked_next_multiple_of(pages)?;
    let first = aligned.checked_add(index.checked_mul(pages)?)?;
    let end = start.checked_add(spanned)?;
    (first.checked_add(pages)? <= end).then_some(first)
}

/// How many there are.
pub fn ranges(start: usize, spanned: usize, size: HugeSize) -> usize {
    let Some(first) = range(start, spanned, size, 0) else {
        return 0;
    };
    (start + spanned - first) / size.base_pages()
}

/// A zone's free memory, in base pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// All of it.
    pub free: usize,
    /// In blocks as large as the huge page, or larger.
    pub in_blocks: usize,
    /// What is not for an ordinary allocation: set aside for other uses, or kept back by the
    /// watermark.
    pub kept: usize,
}

impl Room {
    /// What an ordinary allocation may have.
    pub fn usable(&self) -> usize {
        self.free.saturating_sub(self.kept)
    }
}

/// How many more pages a resize would get, if nobody else took, freed, pinned or unpinned memory
/// meanwhile. `now ≤ likely ≤ at_most`, and so is what it gets; but reclaim may free pages of the
/// kernel, which counts as somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prospect {
    /// Without moving or reclaiming anything.
    pub now: PageCount,
    /// If what is in the way can be moved to free memory elsewhere.
    pub likely: PageCount,
    /// If in addition all of it could be reclaimed.
    pub at_most: PageCount,
}

/// A [`Prospect`] in the making, zone by zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    now: usize,
    open: usize,
    usable: usize,
}

impl Estimate {
    /// Adds a zone.
    pub fn add(&mut self, survey: &Survey, room: Room, size: HugeSize) {
        self.now += if size.is_contiguous() {
            // Whole ranges are taken, whatever the watermarks say.
            survey.ranges(Verdict::Free)
        } else {
            room.in_blocks.min(room.usable()) / size.base_pages()
        };
        self.open += survey.open();
        self.usable = self.usable.saturating_add(room.usable());
    }

    /// What comes out, where what is in the way may be moved to the memory that `refuge` has.
    pub fn prospect(&self, refuge: &Self, size: HugeSize) -> Prospect {
        let at_most = self.open.max(self.now);
        // Moving changes no sum: each page takes as much free memory as it has.
        let likely = (refuge.usable / size.base_pages()).clamp(self.now, at_most);
        Prospect {
            now: PageCount::new(self.now),
            likely: PageCount::new(likely),
            at_most: PageCount::new(at_most),
        }
    }
}
