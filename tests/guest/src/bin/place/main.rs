// SPDX-License-Identifier: GPL-2.0

//! Where pages come to lie: memory policies of mappings and tasks, cpusets, the order of nodes. Each
//! test on hugetlb and on the module, with the results compared.

mod copy;
mod cpuset;
mod policy;
mod show;
mod tell;
mod vma;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None => place(),
        Some("show") => match show::show(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(guest::Fail(why)) => {
                eprintln!("place: {why}");
                ExitCode::FAILURE
            }
        },
        Some(other) => {
            eprintln!("place: {other}: unknown argument: run it with none, or with `show`");
            ExitCode::from(2)
        }
    }
}

fn place() -> ExitCode {
    guest::ktap::run(&guest::tests![
        policy::bind_limits_reservations,
        policy::bind_places_surplus,
        policy::mbind_to_an_empty_node_is_sigbus_though_reserved,
        policy::policies_of_the_task,
        policy::policies_of_the_mapping,
        policy::home_nodes,
        policy::used_up_nodes_are_followed_by_others,
        vma::parts_have_policies_of_their_own,
        vma::policies_stay_when_a_mapping_is_cut_and_moved,
        vma::policies_can_be_replaced,
        vma::a_policy_is_not_the_files,
        vma::bound_to_a_used_up_node,
        copy::of_the_files_page,
        copy::of_the_one_who_writes,
        copy::of_the_policy_after_the_fork,
        copy::at_fork_of_a_pinned_page,
        copy::to_a_used_up_node,
        cpuset::limits_reservations_and_places_pages,
        cpuset::places_surplus,
        cpuset::limits_resizes,
        cpuset::limits_policies,
        cpuset::moves_policies,
        tell::move_pages_without_nodes,
        tell::get_mempolicy_of_an_address,
        tell::numa_maps_of_a_mapping,
        tell::pages_that_are_asked_to_move,
    ])
}
