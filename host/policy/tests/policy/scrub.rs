// SPDX-License-Identifier: GPL-2.0

//! Scrubbing (policy/scrub.rs): its steps as tables, and among random users of a list of pages.

use proptest::prelude::*;
use rust_hugetlb::policy::scrub::{Percent, Scrub, Step};

use crate::config::cases;

/// Parts of a page.
const PARTS: usize = 4;

fn percent(value: usize) -> Percent {
    Percent::new(value).unwrap()
}

#[test]
fn percents_end_at_100() {
    for value in [0, 1, 99, 100] {
        assert_eq!(Percent::new(value).map(Percent::get), Some(value));
    }
    for value in [101, 255, 256, 356, usize::MAX] {
        assert_eq!(Percent::new(value), None, "{value}");
    }
}

#[test]
fn rests_are_the_other_share() {
    let rests = [
        (0, 1, None),
        (1, 10, Some(990)),
        (10, 10, Some(90)),
        (50, 7, Some(7)),
        (99, 100, Some(1)),
        (100, 10, Some(0)),
        (100, u64::MAX, Some(0)),
    ];
    for (share, spent, rest) in rests {
        assert_eq!(
            percent(share).rest(spent),
            rest,
            "{share} percent of {spent}"
        );
    }
    // What does not fit is as long as it gets, not short.
    assert!(percent(1).rest(u64::MAX) >= Some(u64::MAX / 2));
}

#[test]
fn a_page_is_lent_cleared_and_ended() {
    let mut scrub = Scrub::new();
    let all = percent(100);
    assert_eq!(scrub.next(false, all), Step::Stop);
    assert_eq!(scrub.next(true, all), Step::Lend);
    scrub.lent(2);
    for _ in 0..2 {
        // That there is nothing else to clear does not matter now.
        assert_eq!(scrub.next(false, all), Step::Clear);
        scrub.cleared(1);
    }
    assert_eq!(scrub.next(false, all), Step::End);
    assert_eq!(scrub.next(false, all), Step::Stop);
    assert_eq!(scrub.next(true, all), Step::Lend);
}

#[test]
fn who_takes_the_page_ends_it() {
    let mut scrub = Scrub::new();
    assert_eq!(scrub.next(true, percent(100)), Step::Lend);
    scrub.lent(2);
    assert_eq!(scrub.next(true, percent(100)), Step::Clear);
    scrub.called_back();
    assert_eq!(scrub.next(true, percent(100)), Step::Lend);
    scrub.lent(2);
    assert_eq!(scrub.next(false, percent(100)), Step::Clear);
    scrub.called_back();
    assert_eq!(scrub.next(false, percent(100)), Step::Stop);
}

#[test]
fn off_is_off_at_once() {
    let mut scrub = Scrub::new();
    assert_eq!(scrub.next(true, percent(0)), Step::Stop);
    assert_eq!(scrub.next(true, percent(1)), Step::Lend);
    scrub.lent(2);
    assert_eq!(scrub.next(true, percent(1)), Step::Clear);
    scrub.cleared(1);
    assert_eq!(scrub.next(true, percent(0)), Step::End);
    assert_eq!(scrub.next(true, percent(0)), Step::Stop);
}

#[test]
fn a_rest_comes_after_a_spell_and_in_the_middle_of_a_page() {
    let mut scrub = Scrub::new();
    assert_eq!(scrub.next(true, percent(10)), Step::Lend);
    scrub.lent(3);
    assert_eq!(scrub.next(true, percent(10)), Step::Clear);
    scrub.cleared(9_999_999);
    assert_eq!(scrub.next(true, percent(10)), Step::Clear);
    scrub.cleared(1);
    let nanoseconds = 90_000_000;
    assert_eq!(scrub.next(true, percent(10)), Step::Rest { nanoseconds });
    assert_eq!(scrub.next(true, percent(10)), Step::Clear);
    scrub.cleared(20_000_000);
    // What is done is done, first.
    assert_eq!(scrub.next(true, percent(10)), Step::End);
    // Nothing to clear: nothing to rest for yet.
    assert_eq!(scrub.next(false, percent(10)), Step::Stop);
    let nanoseconds = 20_000_000;
    assert_eq!(scrub.next(true, percent(50)), Step::Rest { nanoseconds });
}

/// A free page: what is said of it, and which of its parts hold something.
#[derive(Clone, Copy, Debug)]
struct Page {
    zero: bool,
    holds: [bool; PARTS],
}

const USED: Page = Page {
    zero: false,
    holds: [true; PARTS],
};

/// What can happen between two steps.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Takes a page from the end where known-zero ones are, or from the other.
    Take { front: bool },
    /// A user's page comes back.
    Put,
    /// The user writes to `scrub_percent`.
    Share(usize),
}

/// A node's list as src/mm/free_list.rs keeps it, and its loan.
#[derive(Debug, Default)]
struct List {
    pages: Vec<(u32, Page)>,
    made: u32,
    lent: Option<(u32, usize)>,
}

impl List {
    fn put(&mut self) {
        self.made += 1;
        self.pages.push((self.made, USED));
    }

    fn has_dirty(&self) -> bool {
        self.pages.last().is_some_and(|(_, page)| !page.zero)
    }

    fn take(&mut self, front: bool) {
        if self.pages.is_empty() {
            return;
        }
        let at = if front { 0 } else { self.pages.len() - 1 };
        let (name, page) = self.pages.remove(at);
        if self.lent.is_some_and(|(lent, _)| lent == name) {
            self.lent = None;
        }
        assert!(!page.zero || page.holds == [false; PARTS], "{page:?}");
    }

    fn page(&mut self, name: u32) -> &mut Page {
        let found = self.pages.iter_mut().find(|(other, _)| *other == name);
        &mut found.unwrap().1
    }
}

/// What was spent, and what was rested for it.
#[derive(Debug, Default)]
struct Clock {
    spent: u128,
    rested: u128,
}

/// Takes one step. False: it stopped.
fn step(
    scrub: &mut Scrub,
    list: &mut List,
    share: Percent,
    takes: u64,
    clock: &mut Clock,
    on_loan: &mut bool,
) -> bool {
    match scrub.next(list.has_dirty(), share) {
        Step::Lend => {
            assert!(!*on_loan && list.lent.is_none() && share.get() != 0);
            let (name, page) = *list.pages.last().unwrap();
            assert!(!page.zero);
            list.lent = Some((name, 0));
            *on_loan = true;
            scrub.lent(PARTS);
        }
        Step::Clear => {
            assert!(*on_loan && share.get() != 0);
            if let Some((name, done)) = list.lent {
                assert!(done < PARTS, "a part too many");
                list.page(name).holds[done] = false;
                list.lent = Some((name, done + 1));
                clock.spent += u128::from(takes);
                scrub.cleared(takes);
            } else {
                *on_loan = false;
                scrub.called_back();
            }
        }
        Step::End => {
            assert!(*on_loan);
            *on_loan = false;
            if let Some((name, PARTS)) = list.lent.take() {
                let at = list.pages.iter().position(|(n, _)| *n == name).unwrap();
                let (name, mut page) = list.pages.remove(at);
                page.zero = true;
                list.pages.insert(0, (name, page));
            }
        }
        Step::Rest { nanoseconds } => clock.rested += u128::from(nanoseconds),
        Step::Stop => {
            assert!(!*on_loan, "a page stays lent");
            return false;
        }
    }
    true
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<bool>().prop_map(|front| Act::Take { front }),
        Just(Act::Put),
        (0..=100_usize).prop_map(Act::Share),
        Just(Act::Share(0)),
    ]
}

proptest! {
    #![proptest_config(cases(2000, file!()))]

    /// Whatever happens in between: what is called zero is, and in the end all pages are.
    #[test]
    fn known_zero_is_zero_among_users(
        pages in 0..6_usize,
        acts in prop::collection::vec((act(), 0..6_usize), 0..24),
        takes in 0..12_000_000_u64,
    ) {
        let mut list = List::default();
        (0..pages).for_each(|_| list.put());
        let (mut scrub, mut clock, mut share) = (Scrub::new(), Clock::default(), Percent::DEFAULT);
        let mut on_loan = false;
        for (act, steps) in acts {
            match act {
                Act::Take { front } => list.take(front),
                Act::Put => list.put(),
                Act::Share(value) => share = percent(value),
            }
            for _ in 0..steps {
                step(&mut scrub, &mut list, share, takes, &mut clock, &mut on_loan);
            }
        }
        for _ in 0..1000 {
            if !step(&mut scrub, &mut list, percent(1), takes, &mut clock, &mut on_loan) {
                break;
            }
        }
        prop_assert!(list.pages.iter().all(|(_, page)| page.zero), "{:?}", list);
        while !list.pages.is_empty() {
            list.take(true);
        }
    }

    /// No more than the share, but for the spell under way.
    #[test]
    fn no_more_than_the_share(
        share in 1..=100_usize,
        times in prop::collection::vec(0..20_000_000_u64, 1..200),
    ) {
        let mut list = List::default();
        let (mut scrub, mut clock, mut on_loan) = (Scrub::new(), Clock::default(), false);
        for takes in times {
            list.put();
            step(&mut scrub, &mut list, percent(share), takes, &mut clock, &mut on_loan);
            let share = share as u128;
            // One spell, and the part that made it full.
            let under_way = 30_000_000;
            prop_assert!(
                clock.spent.saturating_sub(under_way) * (100 - share) <= clock.rested * share,
                "{:?}", clock
            );
        }
    }
}
