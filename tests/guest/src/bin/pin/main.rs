// SPDX-License-Identifier: GPL-2.0

//! Users that pin pages, and go on having them when nobody maps them any more: pipes, requests and
//! registered buffers of io_uring, and with `pin disk` O_DIRECT on /dev/nvme0n1, which has ext4.

mod disk;
mod end;
mod flight;
mod fork;
mod holder;
mod module;
mod nobody;
mod others;
mod polled;
mod promise;
mod random;
mod resize;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => pin(),
        Some("disk") => disk(),
        Some(other) => {
            eprintln!("pin: {other}: unknown argument: run it with none, or with `disk`");
            ExitCode::from(2)
        }
    }
}

fn pin() -> ExitCode {
    guest::ktap::run(&guest::tests![
        nobody::gets_it_after_munmap,
        nobody::gets_it_after_exit,
        nobody::gets_it_after_kill,
        nobody::gets_it_after_truncate,
        nobody::gets_it_after_punch,
        nobody::gets_any_where_all_are_pinned,
        flight::data_land_in_the_page_that_was_pinned,
        flight::the_request_alone_pins_the_page,
        flight::a_punched_page_and_its_successor,
        flight::a_process_killed_with_requests_in_flight,
        flight::what_cannot_be_pinned,
        fork::the_child_gets_a_copy_of_a_pinned_page,
        fork::data_in_flight_are_the_parents,
        fork::a_page_that_was_pinned_before_is_shared,
        fork::a_pin_after_the_fork_copies_for_who_pins,
        fork::a_child_that_pins_gets_its_copy,
        fork::the_parents_page_outlives_its_mapping_and_the_childs_copy_lives_on,
        fork::a_shared_mapping_is_not_copied,
        fork::a_spliced_page_is_shared,
        fork::no_page_for_the_copy,
        promise::a_promise_for_a_pinned_page,
        resize::mapped_pages_do_not_count_as_pinned,
        resize::shrinking_leaves_a_pinned_page_in_use,
        resize::a_surplus_page_stays_until_it_is_unpinned,
        resize::shrinking_leaves_mapped_pages_in_use,
        resize::an_unpinned_surplus_page_goes_back_by_itself,
        resize::two_holders_of_one_page,
        module::rmmod_leaves_a_pinned_page_to_its_pinner,
        random::no_page_is_lost_or_handed_out_twice,
    ])
}

fn disk() -> ExitCode {
    guest::ktap::run(&guest::tests![
        disk::what_is_written_is_read,
        disk::where_there_is_no_page,
        disk::pages_that_were_not_touched,
        disk::pages_taken_away_while_they_are_read_into,
        polled::data_land_in_the_page_that_was_pinned,
        polled::a_fork_meanwhile_copies_for_the_child,
        polled::what_a_child_pins_is_as_it_was_shared,
        polled::a_process_killed_meanwhile,
    ])
}
