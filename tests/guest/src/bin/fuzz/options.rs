// SPDX-License-Identifier: GPL-2.0

//! What the command line says.

use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use guest::option::number;

use crate::sequence::Sequence;

pub struct Options {
    pub seed: u64,
    /// Random sequences; without end if `limit` is given.
    count: u64,
    limit: Option<Duration>,
    /// Prints those that reach all that was reached.
    pub save: bool,
    /// To be run instead.
    pub sequences: Vec<Sequence>,
}

impl Options {
    pub fn from_arguments() -> Self {
        let matches = Command::new("fuzz")
            .about("Random system calls on the device, its mappings and the pool's files")
            .after_help("Nobody else may use the pool meanwhile. Needs debugfs.")
            .arg(
                number("count", "How many random sequences")
                    .default_value("100")
                    .conflicts_with("seconds"),
            )
            .arg(number("seconds", "For how long instead"))
            .arg(number("seed", "What the sequences depend on").default_value("1"))
            .arg(
                Arg::new("save")
                    .long("save")
                    .action(ArgAction::SetTrue)
                    .help("In the end print sequences for corpus.txt: few that reach all that was reached (needs KCOV)"),
            )
            .arg(
                Arg::new("sequence")
                    .value_parser(|text: &str| text.parse::<Sequence>().map_err(|fail| fail.0))
                    .action(ArgAction::Append)
                    .help("Only this one, as it was printed"),
            )
            .get_matches();
        let get = |name: &str| matches.get_one::<u64>(name).copied();
        let limit = get("seconds").map(Duration::from_secs);
        let sequences = matches.get_many("sequence").unwrap_or_default();
        Self {
            seed: get("seed").unwrap_or_default(),
            count: get("count").unwrap_or_default(),
            limit,
            save: matches.get_flag("save"),
            sequences: sequences.cloned().collect(),
        }
    }

    /// Whether so many random sequences in such a time suffice.
    pub fn is_over(&self, tried: u64, elapsed: Duration) -> bool {
        match self.limit {
            Some(limit) => elapsed > limit,
            None => tried >= self.count,
        }
    }
}
