// SPDX-License-Identifier: GPL-2.0

//! What an operator does with the files of a pool, right and wrong, on both pools. Any number of
//! nodes will do.

use std::process::ExitCode;

use differential::ktap::run_on_pair;
use differential::scenario::{files, relatives, requests, reserved, writers};

fn main() -> ExitCode {
    run_on_pair(&[
        ("files::names_and_modes", |_, machine| {
            files::names_and_modes(machine)
        }),
        ("files::texts", files::texts),
        ("files::access", |_, machine| files::access(machine)),
        ("reserved::survive_zero", |pair, _| {
            reserved::survive_zero(pair)
        }),
        ("relatives::one_vma_is_robbed", |pair, _| {
            relatives::one_vma_is_robbed(pair)
        }),
        ("relatives::the_robbed_keep_file_pages", |pair, _| {
            relatives::the_robbed_keep_file_pages(pair)
        }),
        ("relatives::a_moved_owner_is_last", |pair, _| {
            relatives::a_moved_owner_is_last(pair)
        }),
        ("relatives::surplus_ends_with_the_first", |pair, _| {
            relatives::surplus_ends_with_the_first(pair)
        }),
        ("requests::refused_alike", |_, _| requests::refused_alike()),
        ("writers::killed", writers::killed),
        ("writers::concurrent", writers::concurrent),
    ])
}
