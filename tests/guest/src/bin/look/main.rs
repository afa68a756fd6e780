// SPDX-License-Identifier: GPL-2.0

//! Everything that looks at mappings, or reaches into them, from outside: /proc, core dumps, ptrace,
//! futexes, userfaultfd, a file system of the caller's own (FUSE); on shared and on private mappings,
//! beside hugetlb. With the argument `gigantic`, of who waits for 1 GiB pages, in a guest that has room for
//! some (`qemu/run --nodes 2G,6G`).

mod core;
mod direct;
mod fuse;
mod futex;
mod gigantic;
mod pagemap;
mod slow;
mod smaps;
mod stall;
mod trace;
mod uffd;

use std::env::args;
use std::process::ExitCode;

fn main() -> ExitCode {
    match args().nth(1).as_deref() {
        Some("gigantic") => guest::ktap::run(&guest::tests![
            gigantic::a_touch_that_waits_for_memory_keeps_nobody,
            gigantic::pages_beforehand_that_wait_for_memory_keep_nobody,
            gigantic::a_promise_that_waits_for_memory_keeps_nobody,
        ]),
        Some(other) => {
            eprintln!("look: {other}: gigantic or nothing");
            ExitCode::FAILURE
        }
        None => guest::ktap::run(&guest::tests![
            smaps::of_each_mapping,
            smaps::private_mappings_count_as_committed,
            smaps::with_a_child,
            smaps::after_fork_private_pages_show_when_they_are_touched,
            smaps::maps_names_the_device,
            smaps::of_the_process,
            smaps::of_a_private_mapping_of_a_file_with_pages,
            pagemap::pagemap,
            pagemap::page_frames,
            pagemap::scan,
            pagemap::clear_refs,
            pagemap::numa_maps,
            trace::words_of_another_process,
            trace::forced_writes,
            trace::many_bytes_of_another_process,
            trace::a_page_that_cannot_be_had,
            trace::own_words,
            core::dumps_what_the_filter_asks_for,
            core::private_mappings_that_the_kernel_wrote_to,
            core::dumps_no_more_than_there_is,
            core::dumps_after_a_sigbus,
            futex::between_threads,
            futex::between_mappings,
            futex::between_processes,
            futex::in_read_only_mappings,
            futex::requeued_to_another_page,
            uffd::registration_is_refused,
            uffd::an_argument_that_does_not_come_stalls_nobody,
            stall::who_stalls_elsewhere_keeps_nobody,
            fuse::who_waits_for_an_answer_keeps_nobody,
            fuse::who_waits_for_a_server_that_dies_keeps_nobody,
            direct::a_read_that_waits_for_an_answer,
            direct::a_read_that_waits_for_a_server_that_dies,
        ]),
    }
}
