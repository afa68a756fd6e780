// SPDX-License-Identifier: GPL-2.0

//! What a huge file holds, changed by ioctl: each test does to hugetlb's memfd what ftruncate, fallocate
//! and fstat are for, and the same to the module's file, and compares the counters, what can be read
//! and the errno.

mod arguments;
mod compat;
mod hole;
mod interrupt;
mod limit;
mod preallocate;
mod private;
mod race;
mod size;

use std::fmt::Display;
use std::process::ExitCode;

use guest::beside::{Side, Totals};
use guest::file::Huge;
use guest::map::Map;
use guest::{same, Check, HUGE};

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        size::growing_brings_no_pages_and_shrinking_takes_them,
        size::shrinking_ends_reservations,
        size::growing_ends_reservations_past_the_new_end,
        size::shrinking_gives_surplus_pages_away,
        hole::pages_leave_with_their_charge,
        hole::reservations_of_what_was_never_there_stay,
        hole::ranges_past_the_end,
        hole::surplus_pages_leave_the_pool,
        hole::other_processes_find_the_hole,
        hole::pinned_pages_leave_the_file,
        preallocate::pages_come_zeroed_and_the_file_grows,
        preallocate::reservations_are_used,
        preallocate::ends_where_the_pool_ends,
        preallocate::leaves_what_others_reserved,
        preallocate::surplus_is_made,
        preallocate::pages_are_placed_by_the_policy_of_the_task,
        interrupt::a_signal_ends_preallocating,
        interrupt::a_killed_process_loses_no_page,
        private::own_pages_leave_with_the_hole,
        private::own_pages_leave_where_the_file_has_none,
        private::own_pages_leave_past_the_new_end,
        private::promises_come_back_unless_there_is_surplus,
        private::forked_processes_lose_theirs_too,
        private::preallocating_does_not_touch_them,
        limit::the_limit_on_file_sizes,
        limit::address_space,
        limit::data,
        limit::open_files,
        arguments::the_same_refusals,
        arguments::refusals_that_differ,
        arguments::the_largest_offsets,
        arguments::unknown_calls,
        arguments::bad_pointers,
        arguments::descriptors_that_cannot_write,
        compat::programs_of_32_bits,
        race::punching_against_readers_and_writers,
        race::preallocating_against_punching,
        race::truncating_against_readers_and_writers,
        race::all_at_once,
    ])
}

/// Notes the counters, whose totals must be `want`, and what the file says of itself.
fn look(side: &mut Side, what: impl Display, file: &Huge, want: Totals) -> Check {
    side.counts(&what, want)?;
    side.note(format!("the file {what}"), file.state()?);
    Ok(())
}

/// Notes the first word of each page as it can be read now, or the SIGBUS.
fn read_all(side: &mut Side, what: impl Display, map: &Map) {
    let words: Vec<_> = (0..map.pages())
        .map(|page| map.try_read(page * HUGE))
        .collect();
    side.note(format!("words {what}"), words);
}

/// Writes its number from 1 to the first word of each page in `pages`.
fn number(map: &Map, pages: std::ops::Range<usize>) -> Check {
    for page in pages {
        same!(
            map.try_write(page * HUGE, page as u64 + 1),
            Ok(()),
            "writing page {page}"
        );
    }
    Ok(())
}

/// So many pages in bytes.
const fn pages(count: u64) -> u64 {
    count * HUGE as u64
}
