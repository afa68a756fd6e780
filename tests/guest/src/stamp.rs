// SPDX-License-Identifier: GPL-2.0

//! Words that say who wrote them, and where: a page of somebody else's shows itself.

use crate::{check, fail, Check, HUGE};

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Who wrote it, never 0.
    pub owner: u16,
    /// The page of the owner's that it was written to.
    pub page: usize,
    /// Which of [`SPOTS`] it was written to.
    pub spot: usize,
    /// Grows from one write to the next.
    pub sequence: u32,
}

/// Where in a page the words are: both ends, ends of base pages, the middle, and at least one in each
/// [`CHUNK`].
pub const SPOTS: [usize; 9] = [
    0,
    4088,
    CHUNK,
    HUGE / 4 + 64,
    HUGE / 2 - 8,
    HUGE / 2,
    5 * CHUNK + 4096,
    7 * CHUNK - 8,
    HUGE - 8,
];

/// What the module clears at a time (src/mm/loan.rs): one of them that was forgotten must show.
const CHUNK: usize = 256 << 10;

const _: () = {
    let mut chunks = 0_u32;
    let mut spot = 0;
    while spot < SPOTS.len() {
        chunks |= 1 << (SPOTS[spot] / CHUNK);
        spot += 1;
    }
    assert!(chunks == (1 << (HUGE / CHUNK)) - 1, "a chunk has no spot");
};

impl Stamp {
    pub fn word(self) -> u64 {
        let Self {
            owner,
            page,
            spot,
            sequence,
        } = self;
        assert!(owner != 0 && page < 1 << 12 && spot < SPOTS.len());
        (u64::from(owner) << 48)
            | ((page as u64) << 36)
            | ((spot as u64) << 32)
            | u64::from(sequence)
    }

    /// None for a page that was just cleared.
    pub fn of(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            owner: (word >> 48) as u16,
            page: ((word >> 36) & 0xfff) as usize,
            spot: ((word >> 32) & 0xf) as usize,
            sequence: word as u32,
        })
    }

    /// The stamp in a word that one of `owners` wrote to `page`, at `spot`; none if it is cleared.
    /// Anybody else's is a failure.
    pub fn check(word: u64, owners: &[u16], page: usize, spot: usize) -> Check<Option<Self>> {
        let Some(stamp) = Self::of(word) else {
            return Ok(None);
        };
        check!(
            owners.contains(&stamp.owner),
            "page {page} of {owners:?} has a word of another owner: {stamp:?}"
        );
        if (stamp.page, stamp.spot) != (page, spot) {
            fail!("page {page} of {owners:?}, spot {spot}, has a word of another place: {stamp:?}");
        }
        Ok(Some(stamp))
    }
}
