// SPDX-License-Identifier: GPL-2.0

//! policy/private.rs as a table: what hugetlb does in each case, as read from `hugetlb_fault`,
//! `hugetlb_no_page` and `hugetlb_wp` (mm/hugetlb.c).

use rust_hugetlb::policy::private::{Action, Own, View};

/// Either will do.
const BOTH: &[bool] = &[false, true];
const N: &[bool] = &[false];
const Y: &[bool] = &[true];

/// For each case the one row that it is in.
const TABLE: [(Own, [&[bool]; 5], Action); 13] = [
    // The entry is there, and of an anonymous page that nobody else maps: "we're the exclusive
    // owner and can reuse this page", whoever asks, wherever the file ends, even if others lost
    // pages.
    // own, [wants its own, in the file, in the size, robbed, owner], action
    (
        Own::Exclusive,
        [BOTH, BOTH, BOTH, BOTH, BOTH],
        Action::MapOwn,
    ),
    // Others map it, too: to read it is nobody's business.
    (Own::Shared, [N, BOTH, BOTH, BOTH, BOTH], Action::MapOwn),
    // `cow_from_owner` is `HPAGE_RESV_OWNER` and an anonymous page.
    (
        Own::Shared,
        [Y, BOTH, BOTH, BOTH, N],
        Action::CopyShared { may_rob: false },
    ),
    (
        Own::Shared,
        [Y, BOTH, BOTH, BOTH, Y],
        Action::CopyShared { may_rob: true },
    ),
    // No entry. `HPAGE_RESV_UNMAPPED` comes first: "killed due to inadequate hugepage pool", were
    // there pages or not.
    (Own::Absent, [BOTH, BOTH, BOTH, Y, BOTH], Action::Refuse),
    // Then the page cache, which a truncated file may still have a page in.
    (Own::Absent, [N, Y, N, N, BOTH], Action::MapFile),
    (Own::Absent, [N, Y, Y, N, BOTH], Action::MapFile),
    // A write goes on to `hugetlb_wp`: the page is not anonymous, so it is copied, and a copy of it
    // can be reserved.
    (Own::Absent, [Y, Y, N, N, BOTH], Action::CopyFile),
    (Own::Absent, [Y, Y, Y, N, BOTH], Action::CopyFile),
    // Then the size.
    (Own::Absent, [BOTH, N, N, N, BOTH], Action::Refuse),
    // An anonymous page of zeros, for reading and writing alike, reserved or not.
    (Own::Absent, [N, N, Y, N, BOTH], Action::Fresh),
    (Own::Absent, [Y, N, Y, N, N], Action::Fresh),
    (Own::Absent, [Y, N, Y, N, Y], Action::Fresh),
];

#[test]
fn every_fault() {
    let mut cases = 0;
    for own in [Own::Absent, Own::Exclusive, Own::Shared] {
        for bits in 0..1 << 5 {
            let case = [0, 1, 2, 3, 4].map(|bit| (bits >> bit) & 1 == 1);
            let [wants_own, in_file, in_size, robbed, owner] = case;
            let view = View {
                own,
                in_file,
                in_size,
                robbed,
                owner,
            };
            let rows = TABLE.iter().filter(|(of, columns, _)| {
                *of == own && columns.iter().zip(case).all(|(set, it)| set.contains(&it))
            });
            let rows = Vec::from_iter(rows.map(|(_, _, action)| *action));
            assert_eq!(
                rows.len(),
                1,
                "a row for {view:?}, wants its own: {wants_own}"
            );
            assert_eq!(
                view.decide(wants_own),
                rows[0],
                "{view:?}, wants its own: {wants_own}"
            );
            cases += 1;
        }
    }
    assert_eq!(cases, 96);
}
