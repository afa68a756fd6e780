// SPDX-License-Identifier: GPL-2.0

//! What a page means to who wants huge pages (policy/frame.rs).

use rust_hugetlb::policy::{
    frame::{Frame, Kind, Verdict},
    size::HugeSize::{self, Size1G, Size2M},
};

/// A page of the zone that nobody has.
const IDLE: Frame = Frame {
    in_zone: true,
    order: None,
    kind: Kind::Untyped,
    reserved: false,
    lru: false,
    has_mapping: false,
    ours: false,
    references: 0,
    accounted: 0,
};

/// A page of a program, mapped once.
const ANON: Frame = Frame {
    lru: true,
    has_mapping: true,
    references: 1,
    accounted: 1,
    ..IDLE
};

/// A page of the kernel.
const KERNEL: Frame = Frame {
    references: 1,
    ..IDLE
};

const HUGETLB: Frame = Frame {
    order: Some(9),
    kind: Kind::Hugetlb,
    ..KERNEL
};

const OURS: Frame = Frame {
    order: Some(9),
    ours: true,
    ..KERNEL
};

#[test]
fn as_the_kernel_judges() {
    use Verdict::*;
    let gigantic = |frame: Frame| Frame {
        order: Some(18),
        ..frame
    };
    let compound = |frame: Frame, order| Frame {
        order: Some(order),
        ..frame
    };
    #[rustfmt::skip]
    let table: &[(&str, Frame, Verdict, Verdict)] = &[
        // what, the page, for 1 GiB, for 2 MiB
        ("another zone's", Frame { in_zone: false, ..IDLE }, Hole, Hole),
        ("another zone's, reserved", Frame { in_zone: false, reserved: true, ..IDLE }, Hole, Hole),
        ("reserved", Frame { reserved: true, ..KERNEL }, Reserved, Reserved),
        ("reserved, no references", Frame { reserved: true, ..IDLE }, Reserved, Reserved),
        ("in a free block", Frame { kind: Kind::Buddy, ..IDLE }, Free, Free),
        ("in a CPU's list", IDLE, Free, Free),
        ("anonymous", ANON, Movable, Movable),
        ("anonymous, one more reference", Frame { references: 2, ..ANON }, Pinned, Pinned),
        ("of a file, not mapped", Frame { accounted: 2, references: 2, ..ANON }, Movable, Movable),
        ("just unmapped", Frame { references: 1, accounted: 2, ..ANON }, Movable, Movable),
        ("not on a list yet", Frame { lru: false, references: 2, ..ANON }, Unlisted, Unlisted),
        ("the kernel's", KERNEL, Unmovable, Unmovable),
        ("slab", Frame { kind: Kind::Typed, has_mapping: true, ..IDLE }, Unmovable, Unmovable),
        ("page table", Frame { kind: Kind::Typed, ..KERNEL }, Unmovable, Unmovable),
        ("balloon", Frame { kind: Kind::MovableOps, ..KERNEL }, Movable, Movable),
        ("hugetlb, 2 MiB", HUGETLB, Movable, Huge),
        ("hugetlb, 2 MiB, free", Frame { references: 0, ..HUGETLB }, Movable, Huge),
        ("hugetlb, 1 GiB", gigantic(HUGETLB), Huge, Huge),
        ("ours, 2 MiB", OURS, Huge, Pool),
        ("ours, 2 MiB, in a file", Frame { has_mapping: true, references: 5, ..OURS }, Huge, Pool),
        ("ours, 1 GiB", gigantic(OURS), Pool, Huge),
        ("THP", compound(Frame { references: 512, accounted: 512, ..ANON }, 9), Movable, Movable),
        ("THP, pinned", compound(Frame { references: 1025, ..ANON }, 9), Pinned, Pinned),
        ("THP, not on a list yet", compound(Frame { lru: false, ..ANON }, 9), Unlisted, Unlisted),
        ("compound, the kernel's", compound(KERNEL, 3), Unmovable, Unmovable),
        ("compound, being freed", compound(IDLE, 3), Unmovable, Unmovable),
        ("large slab", Frame { kind: Kind::Typed, ..compound(KERNEL, 3) }, Unmovable, Unmovable),
    ];
    for (what, frame, for_1g, for_2m) in table {
        assert_eq!(frame.verdict(Size1G), *for_1g, "{what}, for 1 GiB");
        assert_eq!(frame.verdict(Size2M), *for_2m, "{what}, for 2 MiB");
    }
}

/// `page_is_unmovable` and the rest of `pfn_range_valid_contig`: may alloc_contig try a range with
/// this page? (Not CMA, not ZONE_MOVABLE.) It does so with a small slab, too, which has no reference
/// either; but then it finds that the page is not free (`test_pages_isolated`).
fn kernel_tries(frame: &Frame, size: HugeSize) -> bool {
    if !frame.in_zone || frame.reserved {
        return false;
    }
    if let Some(order) = frame.order {
        return match frame.kind {
            Kind::Hugetlb => order < size.order(),
            _ => frame.lru,
        };
    }
    if frame.references == 0 {
        return frame.kind != Kind::Typed;
    }
    frame.lru || frame.kind == Kind::MovableOps
}

/// Every combination: what the kernel would not try is never said to be free or movable, and what it
/// would is not said to be blocked, unless it is pinned.
#[test]
fn never_at_odds_with_the_kernel() {
    let kinds = [
        Kind::Buddy,
        Kind::Hugetlb,
        Kind::MovableOps,
        Kind::Typed,
        Kind::Untyped,
    ];
    let mut seen = 0;
    for bits in 0..32_u32 {
        for kind in kinds {
            for order in [None, Some(0), Some(9), Some(10), Some(18)] {
                for (references, accounted) in [(0, 0), (1, 1), (1, 0), (2, 3), (-1, 0)] {
                    let frame = Frame {
                        in_zone: bits & 1 == 0,
                        reserved: bits & 2 != 0,
                        lru: bits & 4 != 0,
                        has_mapping: bits & 8 != 0,
                        ours: bits & 16 != 0,
                        order,
                        kind,
                        references,
                        accounted,
                    };
                    for size in [Size2M, Size1G] {
                        let verdict = frame.verdict(size);
                        let open = matches!(verdict, Verdict::Free | Verdict::Movable);
                        let pinned = verdict == Verdict::Pinned;
                        assert_eq!(
                            open || pinned,
                            kernel_tries(&frame, size),
                            "{frame:?} is {verdict:?} for {size:?}"
                        );
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 32 * 5 * 5 * 5 * 2);
}

#[test]
fn names_and_order() {
    let names: Vec<_> = Verdict::ALL.map(Verdict::name).to_vec();
    let want = [
        "free",
        "movable",
        "unlisted",
        "pool",
        "pinned",
        "huge",
        "unmovable",
        "reserved",
        "hole",
    ];
    assert_eq!(names, want);
    for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
        assert_eq!(verdict as usize, index, "{verdict:?}");
        assert_eq!(verdict.blocks(), index >= 4, "{verdict:?}");
        assert_eq!(verdict.is_final(), index >= 7, "{verdict:?}");
    }
}
