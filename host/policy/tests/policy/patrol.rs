// SPDX-License-Identifier: GPL-2.0

//! When a node's memory is looked at for what broke: each second is asked once.

use proptest::collection::vec;
use proptest::prelude::*;

use rust_hugetlb::policy::patrol::Watch;

/// Seconds until the first one in which it is due, of so many.
fn wait(watch: &mut Watch, seconds: u32, failures: usize) -> Option<u32> {
    (1..=seconds).find(|_| watch.is_due(1, failures))
}

#[test]
fn nothing_broke() {
    assert_eq!(wait(&mut Watch::default(), 1000, 0), None);
}

#[test]
fn once_for_what_broke() {
    let mut watch = Watch::default();
    assert!(watch.is_due(1, 2), "two failures");
    assert!(watch.is_due(1, 2), "and nobody looked");
    watch.looked(2);
    assert_eq!(wait(&mut watch, 1000, 2), None);
    assert!(watch.is_due(0, 3), "one more, asked within the second");
}

#[test]
fn what_broke_meanwhile_is_looked_for() {
    let mut watch = Watch::default();
    assert!(watch.is_due(1, 1));
    watch.looked(1);
    assert!(
        watch.is_due(1, 2),
        "the second broke after the count was read"
    );
}

#[test]
fn a_minute_after_one_was_given_up() {
    let mut watch = Watch::default();
    watch.looked(1);
    watch.gave_up();
    assert_eq!(wait(&mut watch, 30, 1), None);
    watch.gave_up();
    assert!(!watch.is_due(0, 1), "asked within the second");
    assert_eq!(wait(&mut watch, 1000, 1), Some(30), "from the first on");
    assert!(watch.is_due(0, 1), "and nobody looked");
    watch.looked(1);
    assert_eq!(wait(&mut watch, 1000, 1), None);
}

proptest! {
    /// Whatever came before: who looked at all of it need not look again until something breaks.
    #[test]
    fn looked_is_looked(steps in vec((0..3u8, 0..90u32, 0..4usize), 0..40), failures in 0..4usize) {
        let mut watch = Watch::default();
        for (what, seconds, failures) in steps {
            match what {
                0 => drop(watch.is_due(seconds, failures)),
                1 => watch.looked(failures),
                _ => watch.gave_up(),
            }
        }
        watch.looked(failures);
        prop_assert!(!watch.is_due(u32::MAX, failures));
        prop_assert!(watch.is_due(0, failures + 1));
        watch.gave_up();
        prop_assert!(watch.is_due(u32::MAX, failures));
    }
}
