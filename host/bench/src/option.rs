// SPDX-License-Identifier: GPL-2.0

//! Options of the programs that read and write files.

use std::path::PathBuf;

use clap::{value_parser, Arg};

/// `--name FILE`.
pub fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}
