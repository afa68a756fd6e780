// SPDX-License-Identifier: GPL-2.0

//! What the command line says.

use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use guest::option::number;
use guest::pool::{Pool, HUGETLB, OURS};

use crate::arena::SLOTS;

/// A pool to run on.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    pub name: &'static str,
    pub pool: Pool,
    pub is_oracle: bool,
}

const MODULE: Backend = Backend {
    name: "module",
    pool: OURS,
    is_oracle: false,
};
const ORACLE: Backend = Backend {
    name: "hugetlb",
    pool: HUGETLB,
    is_oracle: true,
};

/// What the operator does to the pool's sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    Change,
    /// The sum of pages is to be the same at each moment.
    Stay,
}

impl Sizes {
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "sizes_change",
            Self::Stay => "sizes_stay",
        }
    }

    /// Pages of 1 GiB to begin with, where there are some. Of those that stay some are split for long.
    pub fn gigantic(self) -> u64 {
        match self {
            Self::Change => 1,
            Self::Stay => 2,
        }
    }

    /// The share of the operations, or of the time: a part of the whole.
    fn part(self) -> u32 {
        match self {
            Self::Change => 1,
            Self::Stay => 4,
        }
    }
}

/// One run on one pool.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub backend: Backend,
    pub sizes: Sizes,
    pub seed: u64,
    /// For each thread; without end if `seconds` are given.
    pub operations: u32,
    pub seconds: Option<Duration>,
    pub processes: usize,
    /// In each process.
    pub threads: usize,
    /// All memory is used up now and then.
    pub pressure: bool,
    /// Pages of the pool are merged to 1 GiB pages and split again.
    pub gigantic: bool,
    /// Makes one mistake on purpose: see --help.
    pub forge: bool,
}

pub struct Options {
    pub seed: u64,
    pub runs: Vec<Run>,
    /// What is swapped to.
    pub disk: Option<String>,
}

impl Options {
    pub fn from_arguments() -> Self {
        let matches = Command::new("stress")
            .about("Does everything at once to huge pages, and checks each word")
            .after_help("Nobody else may use the pool meanwhile.")
            .arg(
                number("operations", "How many operations each thread does")
                    .default_value("400")
                    .conflicts_with("seconds"),
            )
            .arg(number(
                "seconds",
                "For how long instead; and a quarter of that with sizes that stay",
            ))
            .arg(number("seed", "What the operations depend on").default_value("1"))
            .arg(number("processes", "How many processes").default_value("3"))
            .arg(number("threads", "How many threads each has").default_value("2"))
            .arg(
                Arg::new("backend")
                    .long("backend")
                    .value_parser(["module", "hugetlb", "both"])
                    .default_value("module")
                    .help("Which pool"),
            )
            .arg(
                Arg::new("pressure")
                    .long("pressure")
                    .value_name("DISK")
                    .help("Use up all memory now and then, with swap on this disk, which loses its content"),
            )
            .arg(
                Arg::new("gigantic")
                    .long("gigantic")
                    .action(ArgAction::SetTrue)
                    .help("Split and merge 1 GiB pages meanwhile, in a guest that has some"),
            )
            .arg(
                Arg::new("forge")
                    .long("forge")
                    .action(ArgAction::SetTrue)
                    .help("One thread writes a wrong word: the run must fail"),
            )
            .get_matches();
        let get = |name: &str| matches.get_one::<u64>(name).copied();
        let of = |name: &str| get(name).unwrap_or_default() as usize;
        let seconds = get("seconds").map(Duration::from_secs);
        let (processes, threads) = (of("processes"), of("threads"));
        if processes * threads > SLOTS || processes * threads == 0 {
            eprintln!(
                "stress: {processes} processes of {threads} threads: 1 to {SLOTS} threads in all"
            );
            std::process::exit(2);
        }
        let disk = matches.get_one::<String>("pressure").cloned();
        let backends = match matches.get_one::<String>("backend").map(String::as_str) {
            Some("hugetlb") => vec![ORACLE],
            Some("both") => vec![ORACLE, MODULE],
            _ => vec![MODULE],
        };
        let run = |backend: Backend, sizes: Sizes| Run {
            backend,
            sizes,
            seed: get("seed").unwrap_or_default(),
            operations: match seconds {
                Some(_) => u32::MAX,
                None => (of("operations") as u32 / sizes.part()).max(1),
            },
            seconds: seconds.map(|seconds| seconds / sizes.part()),
            processes,
            threads,
            pressure: disk.is_some(),
            gigantic: matches.get_flag("gigantic") && !backend.is_oracle,
            forge: matches.get_flag("forge"),
        };
        Self {
            seed: get("seed").unwrap_or_default(),
            runs: backends
                .into_iter()
                .flat_map(|backend| [run(backend, Sizes::Stay), run(backend, Sizes::Change)])
                .collect(),
            disk,
        }
    }
}
