// SPDX-License-Identifier: GPL-2.0

//! Pages known to be zero, and the scrubber that makes them so: nobody sees what a former user left,
//! nobody clears what is clear, and the pool has all its pages all the while.

mod files;
mod former;
mod ways;
mod whole;
mod zeroed;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        files::modes,
        files::percents_are_parsed,
        zeroed::off_leaves_pages_as_they_are,
        zeroed::settles_at_all_free_pages,
        zeroed::faults_count_what_they_clear,
        zeroed::copies_and_second_faults_count_nothing,
        former::users_leave_nothing_to_the_next,
        former::users_leave_nothing_while_it_is_scrubbed,
        former::users_leave_nothing_where_it_was_turned_off,
        whole::all_pages_can_be_had_while_scrubbing,
        whole::reservations_hold_while_scrubbing,
        whole::shrinks_to_nothing_while_scrubbing,
        whole::goes_with_the_module_while_scrubbing,
    ])
}
