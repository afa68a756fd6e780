// SPDX-License-Identifier: GPL-2.0

//! Pages that a disk reads and writes: O_DIRECT, and io_uring's registered buffers, which are pinned
//! for long (FOLL_LONGTERM). Needs an NVMe disk of its own, which it formats: `qemu/run --disk 64M`.

mod direct;
mod files;
mod outlive;
mod relatives;
mod ring;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(guest::Fail(why)) = files::mount() {
        println!("Bail out! {why}");
        return ExitCode::FAILURE;
    }
    guest::ktap::run(&guest::tests![
        direct::writes_and_reads_back,
        direct::reads_make_a_private_page,
        direct::part_of_a_page,
        ring::registered_pages_are_read_and_written,
        ring::registering_takes_the_pages,
        ring::a_page_only_read_is_pinned_too,
        ring::a_read_only_private_page_is_refused,
        outlive::the_mapping_and_the_file,
        outlive::a_private_mapping,
        outlive::a_resize_to_nothing,
        outlive::a_hole,
        outlive::a_process_killed_with_its_ring,
        outlive::a_pinned_page_is_handed_to_nobody,
        relatives::a_pinned_page_stays_the_parents,
        relatives::a_direct_read_after_fork_is_the_readers,
        relatives::without_a_page_to_copy_to_the_child_has_none,
    ])
}
