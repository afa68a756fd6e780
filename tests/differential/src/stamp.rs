// SPDX-License-Identifier: GPL-2.0

//! What is written into pages: numbers that say who wrote them, at several offsets of a page, so
//! that a read tells the writer's operation and page, or that the page is no longer one.

use crate::HUGE;

/// Where a page is written and looked at: its ends, and some places between them.
pub const PROBES: [usize; 5] = [0, 4096 + 8, HUGE / 2 + 8, HUGE - 4096, HUGE - 8];

/// The words of a page, one for each probe.
pub type Words = [u64; PROBES.len()];

/// Pages that one operation may write.
const PAGES_BITS: u32 = 7;
const PROBE_BITS: u32 = 3;

/// Set in the stamp of a page whose words are not of one writer.
const MIXED: u64 = 1 << 63;

/// The stamp of the page number `page` of what operation number `step` writes.
pub fn of(step: u64, page: usize) -> u64 {
    ((step + 1) << PAGES_BITS) | page as u64
}

/// What is to be written for a stamp.
pub fn words(stamp: u64) -> Words {
    std::array::from_fn(|probe| (stamp << PROBE_BITS) | (probe as u64 + 1))
}

/// The stamp that a page's words say; 0 for a page of zeroes. Of a page with words of several
/// writers it is another for each mixture.
pub fn read(found: Words) -> u64 {
    let stamp = found[0] >> PROBE_BITS;
    if found == [0; PROBES.len()] {
        0
    } else if found == words(stamp) {
        stamp
    } else {
        let digest = found
            .iter()
            .fold(0u64, |digest, word| digest.rotate_left(21) ^ word);
        MIXED | digest
    }
}

/// A stamp in a report.
pub fn name(stamp: u64) -> String {
    if stamp == 0 {
        "zeroes".to_string()
    } else if stamp & MIXED != 0 {
        format!("a mixture ({stamp:#x})")
    } else {
        let (step, page) = ((stamp >> PAGES_BITS) - 1, stamp & ((1 << PAGES_BITS) - 1));
        format!("step {step} page {page}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        for stamp in [of(0, 0), of(20_000, 63)] {
            assert_eq!(read(words(stamp)), stamp);
        }
        assert_eq!(read([0; PROBES.len()]), 0);
    }

    #[test]
    fn a_mixture_is_no_stamp() {
        let mut found = words(of(3, 1));
        found[4] = words(of(4, 1))[4];
        assert_ne!(read(found) & MIXED, 0);
        // A word in the wrong place.
        found = words(of(3, 1));
        found.swap(1, 2);
        assert_ne!(read(found) & MIXED, 0);
    }
}
