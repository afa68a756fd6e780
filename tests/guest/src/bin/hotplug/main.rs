// SPDX-License-Identifier: GPL-2.0

//! Memory and processors that leave the machine, and come back, while the pool is used.

mod cpu;
mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        memory::a_block_with_pages_stays,
        memory::a_block_without_pages_goes,
        memory::the_others_are_walked_over,
        cpu::work_goes_on,
        memory::a_block_with_a_broken_page_goes,
    ])
}
