// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/range.rs.

use rust_hugetlb::policy::range::{AreaPlan, AreaRequest, FileRange, MapRequest};
use rust_hugetlb::policy::refusal::Refusal::{self, Overflow, Private, Unaligned};
use rust_hugetlb::policy::size::HugeSize::{self, Size1G, Size2M};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const BASE_SHIFT: u32 = 12;
const MAX: usize = usize::MAX;

#[test]
fn ranges_of_pages() {
    // first, end, pages
    let table = [
        (0, 0, 0),
        (0, 1, 1),
        (3, 7, 4),
        (7, 3, 0),
        (5, 5, 0),
        (0, MAX, MAX),
        (MAX - 1, MAX, 1),
        (MAX, MAX, 0),
        (MAX, 0, 0),
    ];
    for (first, end, pages) in table {
        let range = FileRange { first, end };
        assert_eq!(range.count().get(), pages, "{range:?}");
        assert_eq!(range.is_empty(), pages == 0, "{range:?}");
        assert_eq!(range.intersection(range), range);
    }
    assert!(FileRange::default().is_empty());
    for index in [0, 1, 511, MAX - 1] {
        let end = index + 1;
        assert_eq!(FileRange::only(index), FileRange { first: index, end });
    }
    // No range has a page after which there is no index.
    let (first, end) = (MAX, MAX);
    assert_eq!(FileRange::only(MAX), FileRange { first, end });
}

#[test]
fn pages_in_both_ranges() {
    // one, other, both; none: none
    let table = [
        ((0, 4), (2, 6), Some((2, 4))),
        ((0, 4), (1, 3), Some((1, 3))),
        ((0, 4), (0, 4), Some((0, 4))),
        ((0, 4), (3, 9), Some((3, 4))),
        ((0, MAX), (MAX - 1, MAX), Some((MAX - 1, MAX))),
        ((0, 4), (4, 6), None),
        ((0, 4), (5, 6), None),
        ((0, 4), (2, 2), None),
        ((0, 0), (0, MAX), None),
    ];
    for ((first, end), (other_first, other_end), both) in table {
        let one = FileRange { first, end };
        let other = FileRange {
            first: other_first,
            end: other_end,
        };
        for common in [one.intersection(other), other.intersection(one)] {
            match both {
                Some((first, end)) => assert_eq!(common, FileRange { first, end }),
                None => assert!(common.is_empty(), "{one:?} {other:?}: {common:?}"),
            }
        }
    }
}

/// A mapping; the offset in bytes.
fn map(size: HugeSize, start: usize, length: usize, offset: u128) -> Result<FileRange, Refusal> {
    MapRequest {
        start,
        length,
        base_page_offset: usize::try_from(offset >> BASE_SHIFT).unwrap(),
        shared: true,
    }
    .check(size)
}

#[test]
fn a_mapping_shows_whole_huge_pages() {
    let ok = |first, end| Ok(FileRange { first, end });
    // size, start, length, offset, result
    let table = [
        (Size2M, 0, 2 * MIB, 0, ok(0, 1)),
        (Size2M, 2 * MIB, 8 * MIB, 0, ok(0, 4)),
        (Size2M, 4 * MIB, 2 * MIB, 6 * MIB, ok(3, 4)),
        (Size2M, 1 << 46, 2 * GIB, 3 * GIB, ok(1536, 2560)),
        // The kernel refuses length 0 before it asks.
        (Size2M, 0, 0, 4 * MIB, ok(2, 2)),
        (Size2M, 0, MIB, 0, Err(Unaligned)),
        (Size2M, 0, 3 * MIB, 0, Err(Unaligned)),
        (Size2M, 0, 4096, 0, Err(Unaligned)),
        (Size2M, 0, 2 * MIB - 1, 0, Err(Unaligned)),
        (Size2M, 0, 2 * MIB + 4096, 0, Err(Unaligned)),
        (Size2M, 4096, 2 * MIB, 0, Err(Unaligned)),
        (Size2M, 3 * MIB, 2 * MIB, 0, Err(Unaligned)),
        (Size2M, 0, 2 * MIB, 4096, Err(Unaligned)),
        (Size2M, 0, 2 * MIB, MIB, Err(Unaligned)),
        (Size2M, 0, 2 * MIB, 2 * MIB - 4096, Err(Unaligned)),
        (Size2M, 0, 2 * MIB, 2 * MIB + 4096, Err(Unaligned)),
        (Size1G, 0, GIB, 0, ok(0, 1)),
        (Size1G, GIB, 3 * GIB, 2 * GIB, ok(2, 5)),
        (Size1G, 2 * MIB, GIB, 0, Err(Unaligned)),
        (Size1G, 0, GIB + 2 * MIB, 0, Err(Unaligned)),
        (Size1G, 0, GIB, 512 * MIB, Err(Unaligned)),
    ];
    for (size, start, length, offset, result) in table {
        assert_eq!(
            map(size, start, length, offset as u128),
            result,
            "{size:?} {length:#x} bytes at {start:#x}, offset {offset:#x}"
        );
    }
}

/// A file's length is a loff_t: neither the offset nor the end of the mapping may pass 2^63 - 1
/// (`PGOFF_LOFFT_MAX` and the check below it in fs/hugetlbfs/inode.c).
#[test]
fn a_file_ends_before_2_to_the_63() {
    const END: u128 = 1 << 63;
    for size in [Size2M, Size1G] {
        let page = size.bytes();
        let bytes = page as u128;
        let last = usize::try_from(END / bytes).unwrap() - 1;
        // length, offset, result
        let table = [
            (
                page,
                END - 2 * bytes,
                Ok(FileRange {
                    first: last - 1,
                    end: last,
                }),
            ),
            (page, END - bytes, Err(Overflow)),
            (2 * page, END - 2 * bytes, Err(Overflow)),
            (1 << 47, END - (1 << 47), Err(Overflow)),
            (page, END, Err(Overflow)),
            (page, END + bytes, Err(Overflow)),
            (page, 2 * END - bytes, Err(Overflow)),
            (page, 2 * END, Err(Overflow)),
            // The largest offsets that fit into a count of base pages.
            (page, 1 << 75, Err(Overflow)),
            (page, (1 << 76) - bytes, Err(Overflow)),
            (MAX - page + 1, 0, Err(Overflow)),
        ];
        for (length, offset, result) in table {
            assert_eq!(
                map(size, 0, length, offset),
                result,
                "{size:?} {length:#x} bytes, offset {offset:#x}"
            );
        }
    }
}

/// What is wrong with a mapping in several ways is refused for the first of them, as by the kernel.
#[test]
fn which_refusal_comes_first() {
    // length, base page offset, refusal
    let table = [
        (MAX, 0, Overflow),
        (1 << 63, 0, Overflow),
        (1 << 63, 1, Overflow),
        ((1 << 63) - 1, 0, Unaligned),
        ((1 << 63) - 1, 1, Overflow),
        (4096, MAX, Overflow),
        (4096, 1 << 51, Overflow),
        (4096, (1 << 51) - 1, Overflow),
        (4096, (1 << 51) - 2, Unaligned),
        (2 * MIB, (1 << 51) - 512, Overflow),
        (2 * MIB, (1 << 51) - 513, Unaligned),
        (0, 1 << 51, Overflow),
        (0, (1 << 51) - 1, Unaligned),
    ];
    for (length, base_page_offset, refusal) in table {
        let request = MapRequest {
            start: 0,
            length,
            base_page_offset,
            shared: true,
        };
        assert_eq!(request.check(Size2M), Err(refusal), "{request:?}");
    }
}

#[test]
fn one_gib_mappings_are_shared() {
    for (size, start) in [(Size2M, 2 * MIB), (Size1G, GIB)] {
        let private = MapRequest {
            start,
            length: size.bytes(),
            base_page_offset: 0,
            shared: false,
        };
        let expected = match size {
            Size2M => Ok(FileRange::only(0)),
            Size1G => Err(Private),
        };
        assert_eq!(private.check(size), expected);
    }
}

fn plan(size: HugeSize, hint: usize, length: usize, fixed: bool) -> Result<AreaPlan, Refusal> {
    AreaRequest {
        hint,
        length,
        fixed,
    }
    .plan(size)
}

#[test]
fn a_fixed_place_is_taken_or_refused() {
    let last = MAX - 2 * MIB + 1;
    // hint, length, result
    let table = [
        (0, 2 * MIB, Ok(AreaPlan::Exactly(0))),
        (2 * MIB, 2 * MIB, Ok(AreaPlan::Exactly(2 * MIB))),
        (1 << 46, 4 * GIB, Ok(AreaPlan::Exactly(1 << 46))),
        (last, 2 * MIB, Ok(AreaPlan::Exactly(last))),
        (1, 2 * MIB, Err(Unaligned)),
        (4096, 2 * MIB, Err(Unaligned)),
        (3 * MIB, 2 * MIB, Err(Unaligned)),
        (MAX, 2 * MIB, Err(Unaligned)),
        (2 * MIB, 3 * MIB, Err(Unaligned)),
        (2 * MIB, 4096, Err(Unaligned)),
    ];
    for (hint, length, result) in table {
        assert_eq!(
            plan(Size2M, hint, length, true),
            result,
            "{length:#x} bytes at {hint:#x}"
        );
    }
    assert_eq!(plan(Size1G, 2 * MIB, GIB, true), Err(Unaligned));
    assert_eq!(plan(Size1G, GIB, GIB, true), Ok(AreaPlan::Exactly(GIB)));
}

#[test]
fn a_hint_is_rounded_up_and_the_length_padded() {
    for size in [Size2M, Size1G] {
        let bytes = size.bytes();
        let last = MAX - bytes + 1;
        let search = |hint, padded| Ok(AreaPlan::Search { hint, padded });
        // hint, length, result
        let table = [
            (0, bytes, search(0, 2 * bytes)),
            (0, 0, search(0, bytes)),
            (1, bytes, search(bytes, 2 * bytes)),
            (4096, 3 * bytes, search(bytes, 4 * bytes)),
            (bytes, bytes, search(bytes, 2 * bytes)),
            (bytes + 1, bytes, search(2 * bytes, 2 * bytes)),
            // Nothing above the last multiple: any place will do, as with no hint at all.
            (last, bytes, search(last, 2 * bytes)),
            (last + 1, bytes, search(0, 2 * bytes)),
            (MAX - 4095, bytes, search(0, 2 * bytes)),
            (MAX, bytes, search(0, 2 * bytes)),
            (0, last - bytes, search(0, last)),
            (0, last, Err(Overflow)),
            (MAX, last, Err(Overflow)),
            (0, bytes - 1, Err(Unaligned)),
            (0, bytes + bytes / 2, Err(Unaligned)),
            (0, 4096, Err(Unaligned)),
            (MAX, MAX, Err(Unaligned)),
        ];
        for (hint, length, result) in table {
            assert_eq!(
                plan(size, hint, length, false),
                result,
                "{size:?} {length:#x} bytes near {hint:#x}"
            );
        }
    }
}

#[test]
fn padding_holds_an_aligned_place_wherever_it_begins() {
    for size in [Size2M, Size1G] {
        let bytes = size.bytes();
        for length in [bytes, 2 * bytes, 7 * bytes] {
            let Ok(AreaPlan::Search { padded, .. }) = plan(size, 0, length, false) else {
                panic!("{size:?}: no search for {length:#x} bytes");
            };
            for begin in [0, 1, 4096, bytes - 4096, bytes - 1, bytes, bytes + 4096] {
                let aligned = size.round_up(begin).unwrap();
                assert!(
                    aligned + length <= begin + padded,
                    "{size:?} {length:#x} bytes from {begin:#x}"
                );
            }
        }
    }
}
