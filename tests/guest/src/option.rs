// SPDX-License-Identifier: GPL-2.0

//! Options of the programs that can be told how long to go on.

use clap::{value_parser, Arg};

/// `--name N`, a number.
pub fn number(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("N")
        .value_parser(value_parser!(u64))
        .help(help)
}
