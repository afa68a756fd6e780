// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/range.rs: sizes and ranges of a file in bytes, as ioctls name them; and ranges
//! without an end.

use rust_hugetlb::policy::range::{pages_of_size, ByteRange, FileRange};
use rust_hugetlb::policy::refusal::Refusal::{self, Empty, TooLarge, Unaligned};
use rust_hugetlb::policy::size::HugeSize::{self, Size1G, Size2M};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// No file is so large, as its length is a loff_t.
const END: u64 = 1 << 63;
const MAX: u64 = u64::MAX;

#[test]
fn a_size_in_pages() {
    // size, bytes, pages
    let table = [
        (Size2M, 0, Ok(0)),
        (Size2M, 1, Err(Unaligned)),
        (Size2M, 4096, Err(Unaligned)),
        (Size2M, 2 * MIB - 1, Err(Unaligned)),
        (Size2M, 2 * MIB, Ok(1)),
        (Size2M, 2 * MIB + 1, Err(Unaligned)),
        (Size2M, 3 * MIB, Err(Unaligned)),
        (Size2M, 4 * MIB, Ok(2)),
        (Size2M, GIB, Ok(512)),
        // Past 32 bits.
        (Size2M, 1 << 32, Ok(2048)),
        (Size2M, (1 << 32) + 4096, Err(Unaligned)),
        // The largest file of whole pages.
        (Size2M, END - 2 * MIB, Ok((1 << 42) - 1)),
        (Size2M, END - MIB, Err(Unaligned)),
        (Size2M, END - 1, Err(Unaligned)),
        (Size2M, END, Err(TooLarge)),
        (Size2M, END + 1, Err(TooLarge)),
        (Size2M, END + 2 * MIB, Err(TooLarge)),
        // -2 MiB, -1
        (Size2M, MAX - 2 * MIB + 1, Err(TooLarge)),
        (Size2M, MAX, Err(TooLarge)),
        (Size1G, 0, Ok(0)),
        (Size1G, 2 * MIB, Err(Unaligned)),
        (Size1G, GIB - 2 * MIB, Err(Unaligned)),
        (Size1G, GIB, Ok(1)),
        (Size1G, GIB + 2 * MIB, Err(Unaligned)),
        (Size1G, 3 * GIB, Ok(3)),
        (Size1G, END - GIB, Ok((1 << 33) - 1)),
        (Size1G, END - 2 * MIB, Err(Unaligned)),
        (Size1G, END, Err(TooLarge)),
        (Size1G, MAX - GIB + 1, Err(TooLarge)),
    ];
    for (size, bytes, pages) in table {
        assert_eq!(pages_of_size(bytes, size), pages, "{size:?} {bytes:#x}");
    }
}

fn check(size: HugeSize, offset: u64, length: u64) -> Result<FileRange, Refusal> {
    ByteRange { offset, length }.check(size)
}

#[test]
fn a_range_in_pages() {
    let ok = |first, end| Ok(FileRange { first, end });
    // in huge pages where a number is small: offset, length, result
    let of = |size: HugeSize| {
        let page = size.bytes() as u64;
        let last = usize::try_from(END / page).unwrap() - 1;
        [
            (0, page, ok(0, 1)),
            (0, 3 * page, ok(0, 3)),
            (page, page, ok(1, 2)),
            (5 * page, 7 * page, ok(5, 12)),
            (0, END - page, ok(0, last)),
            (END - 2 * page, page, ok(last - 1, last)),
            // It would end at 2^63, one byte more than a file can have.
            (END - page, page, Err(TooLarge)),
            (0, END, Err(TooLarge)),
            (page, END, Err(TooLarge)),
            (END / 2, END / 2, Err(TooLarge)),
            (END, page, Err(TooLarge)),
            (END - page, 2 * page, Err(TooLarge)),
            // It wraps: to 0, and beyond.
            (MAX - page + 1, page, Err(TooLarge)),
            (MAX - page + 1, 2 * page, Err(TooLarge)),
            (page, MAX - page + 1, Err(TooLarge)),
            (2 * page, MAX - page + 1, Err(TooLarge)),
            (END, END, Err(TooLarge)),
            (MAX, MAX, Err(TooLarge)),
            (MAX, 1, Err(TooLarge)),
            (1, MAX, Err(TooLarge)),
            // One of both, both, and both so that the end is a multiple.
            (1, page, Err(Unaligned)),
            (page, 1, Err(Unaligned)),
            (4096, page, Err(Unaligned)),
            (0, page + 4096, Err(Unaligned)),
            (0, page - 1, Err(Unaligned)),
            (page / 2, page / 2, Err(Unaligned)),
            (page - 1, 1, Err(Unaligned)),
            (page + 1, page - 1, Err(Unaligned)),
            (page / 2, page, Err(Unaligned)),
            // No length, wherever.
            (0, 0, Err(Empty)),
            (page, 0, Err(Empty)),
            (1, 0, Err(Empty)),
            (END, 0, Err(Empty)),
            (MAX, 0, Err(Empty)),
        ]
    };
    for size in [Size2M, Size1G] {
        for (offset, length, result) in of(size) {
            assert_eq!(
                check(size, offset, length),
                result,
                "{size:?} {length:#x} bytes from {offset:#x}"
            );
        }
    }
    assert_eq!(check(Size2M, 2 * MIB, GIB), ok(1, 513));
    assert_eq!(check(Size1G, 2 * MIB, GIB), Err(Unaligned));
    assert_eq!(check(Size1G, GIB, 2 * MIB), Err(Unaligned));
}

#[test]
fn everything_from_a_page_on() {
    // first, pages
    let table = [
        (0, usize::MAX),
        (1, usize::MAX - 1),
        (512, usize::MAX - 512),
        (usize::MAX - 1, 1),
        (usize::MAX, 0),
    ];
    for (first, pages) in table {
        let range = FileRange::from(first);
        let end = usize::MAX;
        assert_eq!(range, FileRange { first, end });
        assert_eq!(range.count().get(), pages, "{range:?}");
        assert_eq!(range.is_empty(), pages == 0, "{range:?}");
        let only = FileRange::only(first);
        assert_eq!(range.intersection(only), only, "{range:?}");
        if let Some(before) = first.checked_sub(1) {
            assert!(range.intersection(FileRange::only(before)).is_empty());
        }
    }
}
