// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/count.rs.

use rust_hugetlb::policy::count::PageCount;

const MAX: usize = usize::MAX;

#[test]
fn sums_and_differences_saturate() {
    // a, b, a + b, a - b
    let table = [
        (0, 0, 0, 0),
        (0, 1, 1, 0),
        (1, 0, 1, 1),
        (1, 1, 2, 0),
        (2, 1, 3, 1),
        (3, 5, 8, 0),
        (MAX - 1, 0, MAX - 1, MAX - 1),
        (MAX - 1, 1, MAX, MAX - 2),
        (MAX - 1, 2, MAX, MAX - 3),
        (MAX, 0, MAX, MAX),
        (0, MAX, MAX, 0),
        (MAX, 1, MAX, MAX - 1),
        (1, MAX, MAX, 0),
        (MAX, MAX - 1, MAX, 1),
        (MAX, MAX, MAX, 0),
    ];
    for (a, b, sum, difference) in table {
        let (x, y) = (PageCount::new(a), PageCount::new(b));
        assert_eq!(x.plus(y).get(), sum, "{a} + {b}");
        assert_eq!(x.minus(y).get(), difference, "{a} - {b}");
    }
}

#[test]
fn parts_are_counted_whole() {
    // a, b, a / b
    let table = [
        (0, 1, 0),
        (511, 512, 0),
        (512, 512, 1),
        (1025, 512, 2),
        (MAX, 1, MAX),
        (MAX, 2, MAX / 2),
        (1, MAX, 0),
        (MAX, MAX, 1),
    ];
    for (a, b, quotient) in table {
        let seen = PageCount::new(a).over(PageCount::new(b));
        assert_eq!(seen.get(), quotient, "{a} / {b}");
    }
}

#[test]
fn constants_and_plain_numbers() {
    for count in [0, 1, 2, MAX - 1, MAX] {
        assert_eq!(PageCount::new(count).get(), count);
        assert_eq!(PageCount::new(count).is_zero(), count == 0);
    }
    assert_eq!(PageCount::ZERO.get(), 0);
    assert_eq!(PageCount::ONE.get(), 1);
    assert_eq!(PageCount::MAX.get(), MAX);
    assert_eq!(PageCount::default(), PageCount::ZERO);
}

#[test]
fn order_is_that_of_the_numbers() {
    let ascending = [0, 1, 2, MAX / 2, MAX / 2 + 1, MAX - 1, MAX].map(PageCount::new);
    assert!(ascending.is_sorted());
    assert_eq!(ascending.iter().max(), Some(&PageCount::MAX));
}
