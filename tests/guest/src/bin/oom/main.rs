// SPDX-License-Identifier: GPL-2.0

//! The machine runs out of memory: what the pool gives up, and what it does not.

mod floor;
mod hog;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        floor::modes,
        floor::floors_are_parsed,
        floor::nothing_goes_unless_allowed,
        floor::who_needs_memory_lives_on,
        floor::pages_go_down_to_the_floor,
        floor::promised_and_used_pages_stay,
        floor::pages_of_other_nodes_stay,
    ])
}
