// SPDX-License-Identifier: GPL-2.0

//! Mapping huge files: which requests are refused, what a touch brings, and who shares it.

mod calls;
mod faults;
mod huge;
mod request;
mod share;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        request::lengths_that_are_no_multiple_are_refused,
        request::offsets_that_are_no_multiple_are_refused,
        request::addresses_are_aligned,
        request::fixed_addresses_must_be_aligned,
        request::access_modes_limit_protection,
        request::read_and_write_are_refused,
        faults::new_pages_are_zero,
        faults::no_stale_data_after_another_process,
        faults::writes_past_the_pool_are_sigbus,
        faults::reads_past_the_pool_are_sigbus,
        faults::populate_past_the_pool_is_an_error,
        faults::protection_can_be_raised,
        faults::read_only_mappings_do_not_grow_the_file,
        faults::threads_touch_the_same_pages,
        faults::threads_touch_different_pages,
        share::fork_shares,
        share::passed_descriptor_sees_the_same_memory,
        share::two_opens_are_separate,
        share::offsets_address_the_file,
        share::futex_wakes_across_processes,
        share::another_process_reads_by_pid,
        huge::smaps_shows_huge_pages,
        huge::thp_never,
        huge::madv_nohugepage,
        huge::prctl_thp_disable,
        calls::unaligned_munmap_is_refused,
        calls::unaligned_mprotect_is_refused,
        calls::aligned_parts_are_unmapped,
        calls::mremap_moves_the_pages,
        calls::mremap_does_not_grow,
    ])
}
