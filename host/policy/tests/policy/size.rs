// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/size.rs.

use rust_hugetlb::policy::size::HugeSize::{Size1G, Size2M};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const MAX: usize = usize::MAX;

#[test]
fn one_size_in_all_units() {
    // size, order, shift, bytes, KiB, base pages
    let table = [
        (Size2M, 9, 21, 2 * MIB, 2048, 512),
        (Size1G, 18, 30, GIB, 1_048_576, 262_144),
    ];
    for (size, order, shift, bytes, kib, base_pages) in table {
        assert_eq!(size.order(), order, "{size:?}");
        assert_eq!(size.shift(), shift, "{size:?}");
        assert_eq!(size.bytes(), bytes, "{size:?}");
        assert_eq!(size.kib(), kib, "{size:?}");
        assert_eq!(size.base_pages(), base_pages, "{size:?}");
    }
}

#[test]
fn multiples_and_rounding() {
    for size in [Size2M, Size1G] {
        let bytes = size.bytes();
        // The last multiple that an address can be.
        let last = MAX - bytes + 1;
        // number, rounded up
        let table = [
            (0, Some(0)),
            (1, Some(bytes)),
            (4096, Some(bytes)),
            (bytes - 1, Some(bytes)),
            (bytes, Some(bytes)),
            (bytes + 1, Some(2 * bytes)),
            (bytes + bytes / 2, Some(2 * bytes)),
            (1 << 63, Some(1 << 63)),
            ((1 << 63) + 1, Some((1 << 63) + bytes)),
            (last - bytes, Some(last - bytes)),
            (last - 1, Some(last)),
            (last, Some(last)),
            (last + 1, None),
            (MAX - 1, None),
            (MAX, None),
        ];
        for (number, rounded) in table {
            assert_eq!(size.round_up(number), rounded, "{size:?} {number:#x}");
            assert_eq!(
                size.is_aligned(number),
                rounded == Some(number),
                "{size:?} {number:#x}"
            );
        }
    }
    assert!(Size2M.is_aligned(512 * MIB) && !Size1G.is_aligned(512 * MIB));
    assert!(!Size2M.is_aligned(3 * MIB));
}

#[test]
fn sizes_above_and_below() {
    assert_eq!((Size2M.larger(), Size2M.smaller()), (Some(Size1G), None));
    assert_eq!((Size1G.larger(), Size1G.smaller()), (None, Some(Size2M)));
    assert_eq!(Size1G.pieces(Size2M).get(), 512);
}
