// SPDX-License-Identifier: GPL-2.0

//! What happens when the kernel has no memory: each call that a user or an operator makes is made with
//! its first allocation failing, then with its second, until one goes through untouched. It may
//! succeed or be refused for want of memory, and then succeeds when it is made once more; when all is
//! undone, no page and no promise is missing. Threads of the kernel's that help with a call have pages
//! fail, too, though none in particular.
//!
//! Needs a kernel with fault injection, as the debug kernel has. With the argument `gigantic`, on 1 GiB
//! pages, which takes a guest with room for one; without it, in one that has none. With `insmod 2/5`, only
//! loads of the module, in which the second of each five allocations fails, one in each load; with `rmmod
//! 2/5`, the same of unloads.

mod call;
mod everybody;
mod fault;
mod file;
mod fork;
mod forked;
mod gigantic;
mod gigantic_map;
mod helper;
mod module;
mod operator;

use std::env::{args, args_os, var_os};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The C library's word for not having the kernel write to a thread's memory (rseq) whenever it was
/// preempted: no memory for that, and the kernel kills the program.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.pthread.rseq=0");

fn main() -> ExitCode {
    if var_os(TUNABLES.0).is_none() {
        let error = Command::new("/proc/self/exe")
            .args(args_os().skip(1))
            .env(TUNABLES.0, TUNABLES.1)
            .exec();
        eprintln!("inject: /proc/self/exe: {error}");
        return ExitCode::FAILURE;
    }
    match args().nth(1).as_deref() {
        Some("gigantic") => guest::ktap::run(&guest::tests![
            gigantic::resize,
            gigantic::resize_a_node,
            gigantic::preallocate,
            gigantic::touch,
            gigantic::demote,
            gigantic::promote,
            gigantic::demote_on_a_node,
            gigantic::promote_on_a_node,
            gigantic_map::shared,
            gigantic_map::private,
            gigantic_map::split,
            gigantic_map::moved,
            gigantic_map::fork,
        ]),
        Some("insmod") => guest::ktap::run(&guest::tests![module::insmod]),
        Some("rmmod") => guest::ktap::run(&guest::tests![module::rmmod]),
        _ => guest::ktap::run(&guest::tests![
            call::open,
            call::map_shared,
            call::map_private,
            call::map_surplus,
            call::touch_shared,
            call::touch_private,
            call::touch_unreserved,
            call::copy_on_write,
            call::fork_private,
            call::split_and_move,
            call::preallocate,
            file::punch,
            file::shrink,
            file::grow,
            file::info,
            fork::pinned,
            operator::resize,
            operator::resize_much,
            operator::resize_a_node,
            operator::shrink,
            operator::shrink_a_node,
            operator::resize_by_policy,
            operator::overcommit,
            operator::explain,
            operator::can_grow,
            helper::one_fails,
            helper::some_fail,
            helper::all_fail,
            helper::some_fail_on_a_node,
            helper::everybody_fails,
            gigantic::resize_without_room,
            gigantic::map_without_room,
            gigantic::touch_without_room,
            module::insmod,
            module::rmmod,
        ]),
    }
}
