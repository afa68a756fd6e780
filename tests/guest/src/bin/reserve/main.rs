// SPDX-License-Identifier: GPL-2.0

//! What is promised to a mapping before it touches anything: each test on hugetlb and on the module,
//! with the results compared.

mod charge;
mod overcommit;
mod process;
mod range;
mod resize;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        charge::pages_are_reserved_at_mmap_used_at_touch_and_given_back,
        charge::noreserve_charges_nothing,
        charge::read_only_mappings_reserve_and_are_sigbus,
        charge::too_few_pages_are_enomem_and_change_nothing,
        charge::reserved_pages_are_not_given_to_others,
        range::the_same_range_charges_once,
        range::overlapping_ranges_charge_what_is_new,
        range::touched_pages_are_not_charged_again,
        range::unmapping_keeps_the_charge_with_the_file,
        range::offsets_at_the_end_of_the_file_size,
        overcommit::surplus_is_made_at_mmap,
        overcommit::surplus_is_made_at_a_touch_without_reservation,
        overcommit::the_limit_is_kept_and_refusal_changes_nothing,
        overcommit::lowering_the_limit_keeps_what_is_there,
        overcommit::no_limit_reserves_without_a_pool,
        overcommit::growing_makes_surplus_persistent,
        resize::shrinking_keeps_what_is_reserved,
        resize::sizes_around_what_is_reserved_and_used,
        resize::node_sizes_around_what_is_reserved,
        resize::by_policy_of_the_writing_task,
        resize::by_policy_with_pages_in_use,
        process::fork_and_exit_end_no_reservation_but_the_last,
        process::kill_ends_all_reservations,
        process::passed_descriptor_charges_once,
    ])
}
