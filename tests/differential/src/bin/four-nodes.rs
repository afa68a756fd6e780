// SPDX-License-Identifier: GPL-2.0

//! Surplus and sizes of single nodes, on both pools, in a guest with four nodes.

use std::process::ExitCode;

use differential::ktap::run_on_pair;
use differential::scenario::nodes;

fn main() -> ExitCode {
    run_on_pair(&[
        ("nodes::four", |_, machine| nodes::four(machine)),
        ("nodes::surplus_moves", |pair, _| nodes::surplus_moves(pair)),
        ("nodes::surplus_of_reserved", |pair, _| {
            nodes::surplus_of_reserved(pair)
        }),
    ])
}
