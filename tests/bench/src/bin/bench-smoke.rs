// SPDX-License-Identifier: GPL-2.0

//! Whether all that `bench` does works, with few pages: pools get and keep their pages, and first
//! touches find what each case is about. What anything takes is not looked at.

use std::process::ExitCode;

use guest::Check;

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![one_page, some_pages])
}

fn one_page() -> Check {
    guest_bench::try_out(1)
}

/// More than those that one case touches, so that some keep what they had.
fn some_pages() -> Check {
    guest_bench::try_out(20)
}
