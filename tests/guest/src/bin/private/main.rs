// SPDX-License-Identifier: GPL-2.0

//! Private mappings beside hugetlb's: copy on write, reservations, fork, and who loses a page where
//! there are too few.

mod copy;
mod fork;
mod rob;
mod span;
mod twin;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        copy::reads_see_the_file_until_the_first_write,
        copy::a_write_copies_the_whole_page,
        copy::holes_become_the_mappings_own,
        copy::two_mappings_of_a_file_are_apart,
        copy::read_only_mappings_see_the_file,
        copy::protection_goes_down_and_up,
        copy::writes_by_way_of_the_kernel_copy,
        copy::thp_off_makes_no_difference,
        copy::threads_that_read_and_write_one_page,
        span::each_mmap_reserves_its_length,
        span::unreserved_mappings_take_what_is_left,
        span::beyond_the_end_of_the_file,
        span::a_part_unmapped_gives_its_pages_and_promises_back,
        span::a_moved_mapping_keeps_its_pages_and_promises,
        span::a_mapping_over_another_ends_that,
        span::split_by_mprotect_and_unmapped,
        span::a_closed_file_lives_on,
        fork::a_child_shares_until_somebody_writes,
        fork::the_child_writes_first,
        fork::the_last_one_does_not_copy,
        fork::a_child_has_no_promises,
        fork::a_parent_that_exits_first,
        fork::grandchildren,
        fork::exec_and_kill_give_pages_back,
        fork::dontfork_leaves_the_child_without,
        fork::what_the_parent_writes_meanwhile_is_not_seen,
        rob::the_owner_takes_its_page_from_the_child,
        rob::all_relatives_lose_it,
        rob::without_promises_there_is_no_owner,
        rob::a_child_that_finds_no_page_has_its_old_one,
        rob::a_robbed_childs_child,
    ])
}
