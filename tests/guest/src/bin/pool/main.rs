// SPDX-License-Identifier: GPL-2.0

//! The pool's size and its files, beside hugetlb's of the same guest.

mod files;
mod parse;
mod resize;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        resize::grows_and_shrinks,
        resize::takes_real_memory_and_gives_it_back,
        resize::nodes_sum_up,
        resize::rotates_over_nodes_as_hugetlb,
        resize::node_files_act_as_hugetlb,
        resize::shrink_under_use_makes_surplus_as_hugetlb,
        resize::asking_for_more_than_there_is_succeeds_short,
        parse::counts_are_parsed_as_hugetlb,
        parse::counts_of_a_node_are_parsed_as_hugetlb,
        parse::counts_by_policy_are_parsed_as_hugetlb,
        parse::overcommit_is_parsed_as_hugetlb,
        files::modes_are_hugetlbs,
        files::root_cannot_write_read_only_files,
        files::other_users_read_but_do_not_write,
    ])
}
