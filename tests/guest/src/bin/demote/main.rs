// SPDX-License-Identifier: GPL-2.0

//! Pages that change their size: `demote` beside hugetlb's, and `promote`, the way back. Needs a
//! guest with room for 1 GiB pages on two nodes; `tests/scenario/large/demote` boots it.
//!
//! An emulated guest takes a second to clear such a page: tests make do with few.

mod files;
mod memory;
mod oracle;
mod poison;
mod promote;
mod signal;
mod sizes;
mod threads;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        files::modes_are_hugetlbs,
        files::sizes_are_parsed_as_hugetlb,
        files::counts_are_parsed_as_hugetlb,
        files::counts_to_promote,
        oracle::each_write,
        oracle::pages_in_use,
        oracle::surplus,
        oracle::reserved_pages,
        oracle::reserved_pages_are_there,
        memory::zero_when_it_should_be,
        memory::given_back_in_any_size,
        promote::each_write,
        promote::pages_that_are_not_free,
        promote::on_nodes,
        signal::ends_it_early,
        threads::one_pool_at_a_time,
        threads::all_at_once,
        poison::a_poisoned_page_leaves,
        // Last: while it has nearly all memory of a node, what the kernel needs comes to lie anywhere,
        // also where 1 GiB pages would be.
        memory::of_the_page_allocators_own_pages,
    ])
}
