// SPDX-License-Identifier: GPL-2.0

//! The calls that change an address space, on shared and on private mappings, beside hugetlb.

#![allow(
    clippy::type_complexity,
    reason = "tables of cases, each of which is looked at once"
)]

mod copy;
mod fixed;
mod forked;
mod orders;
mod protect;
mod remap;
mod remap_listed;
mod resident;
mod unmap;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        unmap::cuts_are_refused,
        unmap::cuts_from_a_neighbour_are_refused,
        unmap::every_order_of_unmapping,
        unmap::what_is_unmapped_can_be_mapped_again,
        protect::down_and_up,
        protect::parts,
        protect::read_only_mappings_are_raised,
        protect::sealed_mappings_do_not_change,
        remap::whole_mappings,
        remap::parts,
        remap::onto_itself_is_refused,
        remap::after_fork,
        remap_listed::listed_differences,
        remap_listed::duplicating_is_growing,
        remap_listed::a_target_is_lost_that_nothing_can_move_to,
        remap_listed::split_mappings,
        fixed::anonymous_memory_over_it,
        fixed::huge_pages_over_it,
        fixed::huge_pages_over_anonymous_memory,
        fixed::what_a_refused_mapping_was_to_replace,
        fixed::other_flags,
        resident::populate_at_mmap,
        resident::populate_without_reservation,
        resident::populate_to_read,
        resident::populate_without_access,
        resident::populate_past_the_pool,
        resident::lock_and_unlock,
        resident::lock_what_comes,
        resident::the_lock_limit_is_not_theirs,
        resident::mincore_knows_what_is_mapped,
        resident::msync_has_nothing_to_do,
        forked::not_at_all,
        forked::not_a_part,
        forked::wiped,
        forked::read_only,
        forked::protection_of_one_is_its_own,
        forked::shares_the_address_space,
        forked::mapped_twice,
        orders::every_order_and_every_end,
        orders::children_of_a_creator_that_is_gone,
        copy::however_it_is_asked_for,
        copy::however_it_is_asked_for_after_fork,
        copy::readers_race_with_the_copy,
    ])
}
