// SPDX-License-Identifier: GPL-2.0

//! How long a page is in use: until its file and mappings are gone. How long the module is: until
//! nobody has a file or mapping.

mod access;
mod exit;
mod load;
mod many;
mod namespace;
mod unload;
mod watched;

use std::process::ExitCode;

fn main() -> ExitCode {
    // What exit::exec_* start in place of their child.
    if let Some(fd) = std::env::args().nth(1) {
        return exit::after_exec(&fd);
    }
    guest::ktap::run(&guest::tests![
        access::other_users_cannot_open_the_nodes,
        namespace::root_opens_no_node,
        namespace::root_makes_no_node,
        namespace::root_reads_counters_and_writes_nothing,
        namespace::root_reads_no_map,
        namespace::root_loads_and_unloads_nothing,
        namespace::root_uses_a_descriptor_it_was_given,
        exit::close_and_munmap_give_pages_back,
        exit::munmap_alone_keeps_the_pages_with_the_file,
        exit::close_alone_keeps_the_pages_with_the_mapping,
        exit::exit_gives_pages_back,
        exit::kill_gives_pages_back,
        exit::exec_gives_pages_back,
        exit::exec_with_the_descriptor_keeps_them,
        exit::the_last_of_two_processes_gives_pages_back,
        exit::descriptor_in_flight_keeps_them,
        watched::sockets_that_hold_each_other_and_the_file,
        watched::watched_through_proc,
        watched::killed_while_it_is_traced,
        watched::stopped_by_its_tracer_when_it_exits,
        watched::outlived_by_a_process_in_the_same_address_space,
        watched::a_descriptor_that_another_process_took,
        many::with_gaps_and_surplus,
        many::with_pins_among_them,
        unload::open_file_refuses_rmmod,
        unload::mapping_refuses_rmmod,
        unload::rmmod_with_a_pinned_page_leaves_it_to_its_user,
        unload::cycles_give_all_memory_back,
        unload::loads_empty,
        load::parameter_sets_the_pool,
        load::parameter_sets_the_overcommit_limit,
        load::too_many_pages_load_with_a_warning,
        load::log_names_the_one_gib_support,
    ])
}
