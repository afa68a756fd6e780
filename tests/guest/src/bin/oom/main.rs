// SPDX-License-Identifier: GPL-2.0

//! The machine runs out of memory: what the pools give up, and what they do not. With the argument
//! `gigantic`, of 1 GiB pages, in a guest that has room for some (`qemu/run --nodes 2G,6G`).

mod floor;
mod gigantic;
mod hog;
mod scarcity;
mod surplus;

use std::env::args;
use std::process::ExitCode;

fn main() -> ExitCode {
    match args().nth(1).as_deref() {
        Some("gigantic") => guest::ktap::run(&guest::tests![
            gigantic::nothing_goes_unless_allowed,
            gigantic::smaller_pages_go_first,
            gigantic::one_page_is_enough,
            gigantic::pages_go_down_to_the_floor,
            gigantic::promised_and_used_pages_stay,
        ]),
        Some(other) => {
            eprintln!("oom: {other}: gigantic or nothing");
            ExitCode::FAILURE
        }
        None => guest::ktap::run(&guest::tests![
            floor::modes,
            floor::floors_are_parsed,
            floor::nothing_goes_unless_allowed,
            floor::who_needs_memory_lives_on,
            floor::who_needs_base_pages_lives_on,
            floor::pages_go_down_to_the_floor,
            floor::promised_and_used_pages_stay,
            floor::promises_made_meanwhile_are_kept,
            floor::pages_of_other_nodes_stay,
            surplus::what_nobody_was_promised_goes_first,
            surplus::what_was_promised_stays,
        ]),
    }
}
