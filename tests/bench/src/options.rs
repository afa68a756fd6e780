// SPDX-License-Identifier: GPL-2.0

//! What the command line says.

use clap::{value_parser, Arg, ArgAction, Command};

pub struct Options {
    /// How many pages the pools have, one after the other.
    pub sizes: Vec<usize>,
    pub rounds: usize,
    /// Whether there are two CPUs to use.
    pub threads: bool,
    pub gigantic: bool,
}

impl Options {
    pub fn from_arguments() -> Self {
        let count = value_parser!(u32).range(1..1 << 20);
        let flag = |name: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .action(ArgAction::SetTrue)
                .help(help)
        };
        let matches = Command::new("bench")
            .about("Measures hugetlb and rust_hugetlb side by side")
            .after_help(
                "Prints JSON, one object a line: the nanoseconds that each operation took, or so \
                 many of them (ops) together. Nobody else may use either pool meanwhile.",
            )
            .arg(
                Arg::new("sizes")
                    .long("sizes")
                    .value_name("PAGES,PAGES...")
                    .value_delimiter(',')
                    .value_parser(count)
                    .default_value("64,512")
                    .help("How many 2 MiB pages the pools have, one after the other"),
            )
            .arg(
                Arg::new("rounds")
                    .long("rounds")
                    .value_name("N")
                    .value_parser(count)
                    .default_value("5")
                    .help("How often everything is done, beside a round to warm up"),
            )
            .arg(flag(
                "threads",
                "Also what two CPUs do against one; needs two CPUs, and measures time",
            ))
            .arg(flag("gigantic", "Also pages of 1 GiB, if there is room"))
            .get_matches();
        let sizes = matches.get_many::<u32>("sizes").unwrap_or_default();
        Self {
            sizes: sizes.map(|&pages| pages as usize).collect(),
            rounds: matches.get_one::<u32>("rounds").copied().unwrap_or(1) as usize,
            threads: matches.get_flag("threads"),
            gigantic: matches.get_flag("gigantic"),
        }
    }
}
