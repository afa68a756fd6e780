// SPDX-License-Identifier: GPL-2.0

//! Ranges, their tally, and how far a pool could grow (policy/survey.rs).

use proptest::prelude::*;
use rust_hugetlb::policy::{
    count::PageCount,
    frame::Verdict,
    size::HugeSize::{self, Size1G, Size2M},
    survey::{range, ranges, Estimate, Prospect, Room, Survey, Tally},
};

const GIB: usize = 1 << 18;

fn tally(parts: &[(Verdict, usize)]) -> Tally {
    let mut tally = Tally::default();
    for (verdict, pages) in parts {
        tally.add(*verdict, *pages);
    }
    tally
}

fn survey(ranges: &[&[(Verdict, usize)]]) -> Survey {
    let mut survey = Survey::default();
    for range in ranges {
        survey.add(tally(range));
    }
    survey
}

#[test]
fn aligned_ranges_of_a_zone() {
    // start, spanned, how many of 1 GiB, the first
    let table = [
        (0, 0, 0, None),
        (0, GIB - 1, 0, None),
        (0, GIB, 1, Some(0)),
        (1, GIB, 0, None),
        (1, 2 * GIB - 1, 1, Some(GIB)),
        (1, 2 * GIB - 2, 0, None),
        (4096, 1_044_480, 3, Some(GIB)),
        (GIB, 5 * GIB + 7, 5, Some(GIB)),
        (usize::MAX - 5, 4, 0, None),
        (usize::MAX, usize::MAX, 0, None),
        (GIB, usize::MAX, 0, None),
    ];
    for (start, spanned, count, first) in table {
        let what = format!("{start} {spanned}");
        assert_eq!(ranges(start, spanned, Size1G), count, "{what}");
        assert_eq!(range(start, spanned, Size1G, 0), first, "{what}");
    }
}

proptest! {
    /// `ranges` counts what `range` finds; they are aligned, follow one another and lie in the zone.
    #[test]
    fn ranges_are_those_found(start in 0..1_usize << 20, spanned in 0..1_usize << 22) {
        for size in [Size2M, Size1G] {
            let pages = size.base_pages();
            let count = ranges(start, spanned, size);
            for index in 0..count {
                let first = range(start, spanned, size, index).unwrap();
                prop_assert_eq!(first % pages, 0);
                prop_assert!(first >= start && first + pages <= start + spanned);
                prop_assert_eq!(first, range(start, spanned, size, 0).unwrap() + index * pages);
            }
            prop_assert_eq!(range(start, spanned, size, count), None);
            prop_assert_eq!(range(start, spanned, size, usize::MAX), None);
        }
    }
}

#[test]
fn the_worst_page_decides() {
    use Verdict::*;
    assert_eq!(tally(&[]).verdict(), Free);
    assert_eq!(tally(&[(Free, 511), (Movable, 1)]).verdict(), Movable);
    assert_eq!(tally(&[(Movable, 511), (Unlisted, 1)]).verdict(), Unlisted);
    assert_eq!(tally(&[(Pool, 512)]).verdict(), Pool);
    assert_eq!(tally(&[(Unmovable, 300), (Hole, 1)]).verdict(), Hole);
    let mixed = tally(&[
        (Free, 9),
        (Pinned, 1),
        (Huge, 2),
        (Unmovable, 4),
        (Reserved, 8),
    ]);
    assert_eq!((mixed.verdict(), mixed.blocking()), (Reserved, 15));
    assert_eq!(
        tally(&[(Free, usize::MAX), (Free, 2)]).pages(Free),
        usize::MAX
    );
}

#[test]
fn the_nearest_miss() {
    use Verdict::*;
    assert_eq!(
        survey(&[&[(Free, 5)], &[(Pool, 5)], &[(Unlisted, 5)]]).nearest(),
        None
    );
    // A range that can become free one day is nearer than one that cannot, whatever the counts.
    let many: &[_] = &[(Unmovable, 400)];
    let few: &[_] = &[(Unmovable, 3), (Pinned, 2)];
    let never: &[_] = &[(Reserved, 1)];
    for order in [[many, few, never], [never, many, few], [few, never, many]] {
        let survey = survey(&order);
        assert_eq!(survey.nearest(), Some(&tally(few)));
        assert_eq!((survey.total(), survey.ranges(Unmovable)), (3, 2));
    }
    assert_eq!(
        survey(&[never, &[(Hole, 7)]]).nearest(),
        Some(&tally(never))
    );
}

fn prospect(estimate: &Estimate, refuge: &Estimate, size: HugeSize) -> (usize, usize, usize) {
    let Prospect {
        now,
        likely,
        at_most,
    } = estimate.prospect(refuge, size);
    assert!(now <= likely && likely <= at_most);
    (now.get(), likely.get(), at_most.get())
}

#[test]
fn how_far_a_pool_can_grow() {
    use Verdict::*;
    let gib = |free, kept| Room {
        free: free * GIB,
        in_blocks: 0,
        kept: kept * GIB,
    };
    let zone = survey(&[
        &[(Free, GIB)],
        &[(Movable, 1)],
        &[(Movable, GIB)],
        &[(Unlisted, 1)],
        &[(Pinned, 1)],
        &[(Pool, GIB)],
    ]);
    // free and kept back in GiB; now, likely, at most
    let table = [
        (1, 0, (1, 1, 4)),
        (0, 0, (1, 1, 4)),
        (3, 0, (1, 3, 4)),
        (3, 1, (1, 2, 4)),
        (9, 0, (1, 4, 4)),
        (2, 5, (1, 1, 4)),
    ];
    for (free, kept, want) in table {
        let mut estimate = Estimate::default();
        estimate.add(&zone, gib(free, kept), Size1G);
        assert_eq!(
            prospect(&estimate, &estimate, Size1G),
            want,
            "{free} - {kept} GiB"
        );
    }
    // What is in the way may go to another node.
    let (mut here, mut there) = (Estimate::default(), Estimate::default());
    here.add(&zone, gib(1, 0), Size1G);
    there.add(&Survey::default(), gib(3, 0), Size1G);
    assert_eq!(prospect(&here, &there, Size1G), (1, 3, 4));
    // 2 MiB: blocks, as far as the watermark lets; one page less is one huge page less.
    let huge = survey(&[
        &[(Free, 512)],
        &[(Free, 512)],
        &[(Movable, 1)],
        &[(Huge, 512)],
    ]);
    let table = [
        (1024, 1024, 0, (2, 2, 3)),
        (1024, 1024, 1, (1, 1, 3)),
        (1535, 1024, 0, (2, 2, 3)),
        (1536, 1024, 0, (2, 3, 3)),
        (1536, 0, 0, (0, 3, 3)),
        (9999, 512, 9999, (0, 0, 3)),
        // Blocks that became free since the ranges were looked at.
        (4096, 4096, 0, (8, 8, 8)),
    ];
    for (free, in_blocks, kept, want) in table {
        let mut estimate = Estimate::default();
        estimate.add(
            &huge,
            Room {
                free,
                in_blocks,
                kept,
            },
            Size2M,
        );
        assert_eq!(
            prospect(&estimate, &estimate, Size2M),
            want,
            "{free} {in_blocks} {kept}"
        );
    }
    assert_eq!(Prospect::default().now, PageCount::ZERO);
}
