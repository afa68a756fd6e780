// SPDX-License-Identifier: GPL-2.0

//! 1 GiB pages: the pool beside hugetlb's, mappings by one entry each, and the calls that would
//! lose a page if the module did not see to it. Needs a guest of 12 GiB with two nodes and an NVMe
//! disk; `tests/scenario/large/gigantic` boots it.
//!
//! A page is cleared for each test and user, which takes an emulated guest a second: tests make do
//! with few pages, and touch one word of each base page.

mod balance;
mod base;
mod broken;
mod calls;
mod file;
mod fork;
mod former;
mod load;
mod pin;
mod remap;
mod reserve;
mod resize;
mod share;
mod touch;
mod walk;

use std::process::ExitCode;

use guest::pool::{Pool, HUGETLB_1G, OURS_1G};

/// Bytes of one page.
const PAGE: usize = guest::GIGANTIC;

/// Both pools, hugetlb's first.
const POOLS: [Pool; 2] = [HUGETLB_1G, OURS_1G];

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        resize::as_many_as_hugetlb_gets_and_all_are_given_back,
        resize::nodes_and_policies_as_hugetlb,
        resize::a_signal_stops_it,
        resize::counts_are_parsed_as_hugetlb,
        reserve::promises_and_surplus,
        reserve::on_nodes,
        load::parameters,
        touch::all_of_a_page_is_one_fault,
        touch::a_page_shows_nothing_of_its_last_owner,
        calls::requests_that_are_refused,
        calls::addresses_are_aligned,
        calls::parts_are_refused,
        share::forked_and_passed_on,
        share::from_outside,
        file::size_holes_and_pages_beforehand,
        file::holes_under_a_thread_that_touches,
        pin::a_page_outlives_its_file,
        pin::a_disk_reads_and_writes,
        remap::to_and_fro,
        remap::under_threads_that_touch,
        remap::under_a_process_that_touches,
        walk::each_leaves_the_page,
        walk::under_threads_that_touch,
        walk::dropped_under_threads_that_touch,
        base::where_thp_is_off,
        base::until_it_is_unmapped,
        base::beside_a_huge_entry,
        base::holes_under_threads_that_touch,
        fork::with_what_would_copy_page_tables,
        fork::advice_about_fork,
        former::users_leave_nothing_to_the_next,
        former::users_leave_nothing_to_who_waits_for_the_scrubber,
        broken::a_touch_is_a_sigbus,
        broken::in_base_pages_until_a_hole_takes_it_away,
        broken::a_pinned_page_leaves_when_it_is_unpinned,
        broken::the_rest_shows_nothing_of_its_last_owner,
    ])
}
