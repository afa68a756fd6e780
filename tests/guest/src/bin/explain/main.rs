// SPDX-License-Identifier: GPL-2.0

//! `explain`, `can_grow` and the map in debugfs: whether they say what there is, and whether what
//! they foretell comes true. With the argument `gigantic`, on 1 GiB pages, in a guest that has some
//! (`qemu/run --nodes 2G,6G`).

mod addresses;
mod blocked;
mod files;
mod gigantic;
mod grow;
mod layout;
mod text;
mod unplug;

use std::env::args;
use std::process::ExitCode;

fn main() -> ExitCode {
    if args().nth(1).as_deref() == Some("gigantic") {
        return guest::ktap::run(&guest::tests![
            layout::ranges_are_those_of_zoneinfo,
            layout::maps_add_up,
            layout::a_map_can_be_interrupted,
            gigantic::pool_gets_what_was_foretold,
            gigantic::nodes_get_what_was_foretold,
            gigantic::as_many_as_hugetlb,
            gigantic::pages_of_both_pools_are_named,
            gigantic::hugetlbs_small_pages_do_not_block,
            // They take all memory of a node, and the kernel may get a page of its own in a range then.
            gigantic::a_huge_page_blocks_a_range,
            gigantic::a_pinned_page_blocks_a_range,
        ]);
    }
    guest::ktap::run(&guest::tests![
        files::modes_and_users,
        files::lines_are_as_documented,
        files::an_open_map_keeps_the_module,
        addresses::are_known_when_seen,
        addresses::are_in_no_file,
        addresses::are_in_no_line_of_the_log,
        addresses::frames_are_the_machines,
        layout::ranges_are_those_of_zoneinfo,
        layout::maps_add_up,
        layout::map_agrees_with_kpageflags,
        layout::slabs_are_not_free,
        layout::a_read_can_be_interrupted,
        blocked::own_pages_are_named,
        blocked::hugetlbs_pages_are_named,
        blocked::a_pinned_page_is_named,
        blocked::a_locked_page_can_be_moved,
        grow::pool_gets_what_was_foretold,
        grow::nodes_get_what_was_foretold,
        grow::too_little_is_said_once,
        grow::the_log_is_not_flooded,
        unplug::memory_that_goes_is_a_hole,
        unplug::walks_survive_what_others_do,
    ])
}
