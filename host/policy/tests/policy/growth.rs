// SPDX-License-Identifier: GPL-2.0

//! When a resize is worth a line in the log (policy/growth.rs).

use rust_hugetlb::policy::{
    count::PageCount,
    growth::{Growth, Limit},
};

#[test]
fn short_is_less_than_asked_for_want_of_memory() {
    let growth = |asked, got, interrupted| Growth {
        asked: PageCount::new(asked),
        got: PageCount::new(got),
        node: None,
        interrupted,
    };
    assert!(growth(2, 1, false).is_short());
    assert!(!growth(2, 2, false).is_short());
    assert!(!growth(1, 2, false).is_short());
    assert!(!growth(2, 1, true).is_short());
    assert!(!Growth::default().is_short());
}

#[test]
fn ten_lines_in_five_seconds() {
    let mut limit = Limit::default();
    for start in [0, 5000, 10_700, u64::MAX - 4999] {
        for line in 0..10 {
            assert!(limit.allows(start + line), "line {line} from {start} ms");
        }
        assert!(!limit.allows(start + 10));
        assert!(!limit.allows(start + 4999));
    }
    // The clock may begin again.
    assert!(limit.allows(1));
}
