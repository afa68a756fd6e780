// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/regions.rs: ranges that touch, split and merge, both ends of the numbers, a
//! table that is full; and that any region map is a set of numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::range::FileRange;
use rust_hugetlb::policy::regions::{NeedRoom, Regions};

use crate::config::{cases, long_cases, LONG};

const MAX: usize = usize::MAX;

type Map = Regions<Vec<FileRange>>;

fn range((first, end): (usize, usize)) -> FileRange {
    FileRange { first, end }
}

/// A map with room for so many ranges, and these in it.
fn map(room: usize, ranges: &[(usize, usize)]) -> Map {
    let mut map = Regions::new(vec![FileRange::default(); room]);
    for one in ranges {
        map.add(range(*one)).expect("room enough");
    }
    map
}

fn ranges(map: &Map) -> Vec<(usize, usize)> {
    let ranges = map.ranges().iter();
    ranges.map(|range| (range.first, range.end)).collect()
}

#[test]
fn an_empty_map() {
    for room in [0, 1, 5] {
        let map = map(room, &[]);
        assert_eq!(ranges(&map), []);
        assert_eq!(map.room(), room);
        assert_eq!(map.count(), PageCount::ZERO);
        for index in [0, 1, MAX - 1, MAX] {
            assert!(!map.contains(index));
        }
        assert_eq!(map.missing(range((0, MAX))), PageCount::MAX);
    }
    assert_eq!(Map::default().room(), 0);
}

#[test]
fn adding() {
    type Ranges<'a> = &'a [(usize, usize)];
    // before, range, new pages, after
    let table: [(Ranges<'_>, (usize, usize), usize, Ranges<'_>); 30] = [
        (&[], (0, 1), 1, &[(0, 1)]),
        (&[], (5, 9), 4, &[(5, 9)]),
        (&[], (0, MAX), MAX, &[(0, MAX)]),
        (&[], (MAX - 1, MAX), 1, &[(MAX - 1, MAX)]),
        // Nothing to add.
        (&[], (5, 5), 0, &[]),
        (&[], (0, 0), 0, &[]),
        (&[], (MAX, MAX), 0, &[]),
        (&[(4, 6)], (9, 3), 0, &[(4, 6)]),
        (&[(4, 6)], (5, 5), 0, &[(4, 6)]),
        (&[(4, 6)], (6, 6), 0, &[(4, 6)]),
        (&[(4, 6)], (4, 6), 0, &[(4, 6)]),
        (&[(4, 9)], (5, 8), 0, &[(4, 9)]),
        // Apart by one index, touching, overlapping by one.
        (&[(4, 6)], (7, 8), 1, &[(4, 6), (7, 8)]),
        (&[(4, 6)], (6, 8), 2, &[(4, 8)]),
        (&[(4, 6)], (5, 8), 2, &[(4, 8)]),
        (&[(4, 6)], (1, 3), 2, &[(1, 3), (4, 6)]),
        (&[(4, 6)], (1, 4), 3, &[(1, 6)]),
        (&[(4, 6)], (1, 5), 3, &[(1, 6)]),
        (&[(4, 6)], (3, 7), 2, &[(3, 7)]),
        (&[(0, 1)], (1, 2), 1, &[(0, 2)]),
        (&[(1, 2)], (0, 1), 1, &[(0, 2)]),
        (&[(0, 1)], (0, 2), 1, &[(0, 2)]),
        // Between two.
        (&[(1, 3), (6, 8)], (4, 5), 1, &[(1, 3), (4, 5), (6, 8)]),
        (&[(1, 3), (6, 8)], (3, 5), 2, &[(1, 5), (6, 8)]),
        (&[(1, 3), (6, 8)], (4, 6), 2, &[(1, 3), (4, 8)]),
        (&[(1, 3), (6, 8)], (3, 6), 3, &[(1, 8)]),
        (&[(1, 3), (6, 8)], (2, 7), 3, &[(1, 8)]),
        (&[(1, 3), (6, 8)], (0, 9), 5, &[(0, 9)]),
        (
            &[(1, 2), (3, 4), (5, 6), (7, 8)],
            (3, 6),
            1,
            &[(1, 2), (3, 6), (7, 8)],
        ),
        (&[(1, 2), (MAX - 2, MAX)], (0, MAX), MAX - 3, &[(0, MAX)]),
    ];
    for (before, one, new, after) in table {
        let mut map = map(8, before);
        assert_eq!(map.missing(range(one)).get(), new, "{one:?} of {before:?}");
        let added = map.add(range(one));
        assert_eq!(added, Ok(PageCount::new(new)), "{one:?} to {before:?}");
        assert_eq!(ranges(&map), after, "{one:?} to {before:?}");
        assert_eq!(map.missing(range(one)), PageCount::ZERO);
    }
}

#[test]
fn taking_out() {
    type Ranges<'a> = &'a [(usize, usize)];
    // before, range, pages that were there, after
    let table: [(Ranges<'_>, (usize, usize), usize, Ranges<'_>); 25] = [
        (&[], (0, MAX), 0, &[]),
        (&[(4, 8)], (0, 4), 0, &[(4, 8)]),
        (&[(4, 8)], (8, MAX), 0, &[(4, 8)]),
        (&[(4, 8)], (6, 6), 0, &[(4, 8)]),
        (&[(4, 8)], (7, 5), 0, &[(4, 8)]),
        (&[(4, 8)], (4, 8), 4, &[]),
        (&[(4, 8)], (3, 9), 4, &[]),
        (&[(4, 8)], (0, MAX), 4, &[]),
        (&[(4, 8)], (4, 5), 1, &[(5, 8)]),
        (&[(4, 8)], (0, 5), 1, &[(5, 8)]),
        (&[(4, 8)], (7, 8), 1, &[(4, 7)]),
        (&[(4, 8)], (7, MAX), 1, &[(4, 7)]),
        (&[(4, 8)], (5, 7), 2, &[(4, 5), (7, 8)]),
        (
            &[(0, MAX)],
            (1, MAX - 1),
            MAX - 2,
            &[(0, 1), (MAX - 1, MAX)],
        ),
        (&[(0, MAX)], (0, MAX), MAX, &[]),
        (&[(0, MAX)], (0, 1), 1, &[(1, MAX)]),
        (&[(MAX - 1, MAX)], (MAX - 1, MAX), 1, &[]),
        // More than one.
        (&[(1, 3), (5, 8)], (2, 6), 2, &[(1, 2), (6, 8)]),
        (&[(1, 3), (5, 8)], (3, 5), 0, &[(1, 3), (5, 8)]),
        (&[(1, 3), (5, 8)], (1, 8), 5, &[]),
        (&[(1, 3), (5, 8)], (1, 7), 4, &[(7, 8)]),
        (&[(1, 3), (5, 8)], (0, 4), 2, &[(5, 8)]),
        (&[(1, 3), (5, 8)], (4, 9), 3, &[(1, 3)]),
        (&[(1, 3), (5, 8)], (6, 7), 1, &[(1, 3), (5, 6), (7, 8)]),
        (&[(1, 3), (5, 8), (9, 12)], (2, 10), 5, &[(1, 2), (10, 12)]),
    ];
    for (before, one, present, after) in table {
        let mut map = map(8, before);
        let removed = map.remove(range(one));
        let count = Ok(PageCount::new(present));
        assert_eq!(removed, count, "{one:?} from {before:?}");
        assert_eq!(ranges(&map), after, "{one:?} from {before:?}");
        assert_eq!(map.missing(range(one)), range(one).count());
    }
}

#[test]
fn what_is_in_the_map() {
    let map = map(4, &[(0, 1), (3, 6), (MAX - 1, MAX)]);
    // index, whether it is in
    let table = [
        (0, true),
        (1, false),
        (2, false),
        (3, true),
        (5, true),
        (6, false),
        (MAX - 2, false),
        (MAX - 1, true),
        (MAX, false),
    ];
    for (index, there) in table {
        assert_eq!(map.contains(index), there, "{index}");
    }
    assert_eq!(map.count().get(), 5);
    // range, missing
    let table = [
        ((0, 3), 2),
        ((1, 4), 2),
        ((4, 5), 0),
        ((5, 7), 1),
        ((0, MAX), MAX - 5),
        ((6, MAX - 1), MAX - 7),
        ((9, 2), 0),
    ];
    for (one, missing) in table {
        assert_eq!(map.missing(range(one)).get(), missing, "{one:?}");
    }
}

#[test]
fn without_room_nothing_changes() {
    let mut none = map(0, &[]);
    assert_eq!(none.add(range((1, 2))), Err(NeedRoom(1)));
    assert_eq!(none.add(range((1, 1))), Ok(PageCount::ZERO));
    assert_eq!(none.remove(range((0, MAX))), Ok(PageCount::ZERO));
    assert_eq!(ranges(&none), []);

    let full = [(1, 3), (5, 8)];
    let mut two = map(2, &full);
    for one in [(9, 10), (0, 0), (10, MAX)] {
        let missing = two.missing(range(one));
        let result = two.add(range(one));
        if missing.is_zero() {
            assert_eq!(result, Ok(missing));
        } else {
            assert_eq!(result, Err(NeedRoom(1)), "{one:?}");
        }
        assert_eq!(ranges(&two), full, "{one:?}");
    }
    assert_eq!(two.remove(range((6, 7))), Err(NeedRoom(1)));
    assert_eq!(ranges(&two), full);
    assert_eq!(two.count().get(), 5);

    // What needs no further range goes on in a full table.
    assert_eq!(two.add(range((8, 9))), Ok(PageCount::ONE));
    assert_eq!(two.remove(range((1, 2))), Ok(PageCount::ONE));
    assert_eq!(ranges(&two), [(2, 3), (5, 9)]);
    assert_eq!(two.add(range((3, 5))), Ok(PageCount::new(2)));
    assert_eq!(ranges(&two), [(2, 9)]);
    assert_eq!(two.remove(range((4, 5))), Ok(PageCount::ONE));
    assert_eq!(ranges(&two), [(2, 4), (5, 9)]);
    assert_eq!(two.remove(range((0, MAX))), Ok(PageCount::new(6)));
    assert_eq!(ranges(&two), []);
}

#[test]
fn moving_to_another_table() {
    let full = [(1, 3), (5, 8)];
    let mut two = map(2, &full);
    let old = two.move_to(vec![FileRange::default(); 3]);
    assert_eq!(old.len(), 2);
    assert_eq!(two.room(), 3);
    assert_eq!(ranges(&two), full);
    assert_eq!(two.add(range((9, 10))), Ok(PageCount::ONE));
    assert_eq!(ranges(&two), [(1, 3), (5, 8), (9, 10)]);

    // Too small a table comes back.
    for room in [0, 1, 2] {
        let refused = two.move_to(vec![FileRange::only(7); room]);
        assert_eq!(refused, vec![FileRange::only(7); room]);
        assert_eq!(two.room(), 3);
        assert_eq!(ranges(&two), [(1, 3), (5, 8), (9, 10)]);
    }

    let mut none = map(0, &[]);
    assert_eq!(none.move_to(vec![FileRange::only(7); 1]), []);
    assert_eq!(ranges(&none), [], "nothing of the new table shows");
    assert_eq!(none.add(range((1, 2))), Ok(PageCount::ONE));
    assert_eq!(ranges(&none), [(1, 2)]);
}

/// Where indices lie: at the beginning of a file, or at the end of the numbers.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(FileRange),
    Remove(FileRange),
}

const WIDTH: usize = 24;

fn any_range() -> impl Strategy<Value = FileRange> {
    let index = || 0..=WIDTH;
    (index(), index(), any::<bool>()).prop_map(|(a, b, high)| {
        let base = if high { MAX - WIDTH } else { 0 };
        FileRange {
            first: base + a,
            end: base + b,
        }
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any_range().prop_map(Change::Add),
        2 => any_range().prop_map(Change::Remove),
    ]
}

/// The ranges that a set of numbers consists of.
pub(crate) fn runs(set: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in set {
        match runs.last_mut() {
            Some((_, end)) if *end == *index => *end += 1,
            _ => runs.push((*index, index + 1)),
        }
    }
    runs
}

/// Any region map behaves as a set of numbers does, in tables that are always as small as can be.
fn is_a_set(changes: Vec<Change>, probes: &[FileRange]) -> Result<(), TestCaseError> {
    let mut map = map(0, &[]);
    let mut reference = BTreeSet::new();
    for change in changes {
        let before = reference.clone();
        let (Change::Add(it) | Change::Remove(it)) = change;
        let expected = match change {
            Change::Add(it) => {
                reference.extend(it.first..it.end);
                reference.len() - before.len()
            }
            Change::Remove(it) => {
                reference.retain(|index| !(it.first..it.end).contains(index));
                before.len() - reference.len()
            }
        };
        let apply = |map: &mut Map| match change {
            Change::Add(it) => map.add(it),
            Change::Remove(it) => map.remove(it),
        };
        prop_assert_eq!(
            map.missing(it).get(),
            (it.first..it.end).filter(|i| !before.contains(i)).count()
        );
        let needed = runs(&reference).len();
        let room = map.room();
        let mut result = apply(&mut map);
        if needed > room {
            prop_assert_eq!(result, Err(NeedRoom(needed - room)));
            prop_assert_eq!(ranges(&map), runs(&before));
            // A larger table makes it go.
            map.move_to(vec![FileRange::only(3); needed]);
            prop_assert_eq!(ranges(&map), runs(&before));
            result = apply(&mut map);
        }
        prop_assert_eq!(result, Ok(PageCount::new(expected)));
        prop_assert_eq!(ranges(&map), runs(&reference));
        prop_assert_eq!(map.count().get(), reference.len());
        for probe in probes {
            for index in [probe.first, probe.end] {
                prop_assert_eq!(map.contains(index), reference.contains(&index));
            }
            let missing = (probe.first..probe.end).filter(|i| !reference.contains(i));
            prop_assert_eq!(map.missing(*probe).get(), missing.count());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(4096, file!()))]

    #[test]
    fn a_region_map_is_a_set(
        changes in prop::collection::vec(change(), 1..48),
        probes in prop::collection::vec(any_range(), 4),
    ) {
        is_a_set(changes, &probes)?;
    }
}

proptest! {
    #![proptest_config(long_cases(64, file!()))]

    #[test]
    fn a_region_map_is_a_set_for_long(
        changes in prop::collection::vec(change(), LONG),
        probes in prop::collection::vec(any_range(), 4),
    ) {
        is_a_set(changes, &probes)?;
    }
}
