// SPDX-License-Identifier: GPL-2.0

//! Puts the targets of results.json into the project's README, or says whether they are there. Called
//! by scripts/bench and by scripts/check.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use bench::option::file;
use bench::summary;
use clap::{Arg, ArgAction, ArgMatches, Command};

fn arguments() -> ArgMatches {
    Command::new("bench-summary")
        .about("Puts what was measured into a README, between its marks")
        .arg(file("results", "The results.json of bench-report").required(true))
        .arg(file("readme", "The README").required(true))
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Change nothing; fail if the README says something else"),
        )
        .get_matches()
}

fn main() -> ExitCode {
    match run(&arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-summary: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &ArgMatches) -> Result<(), String> {
    let file = |name: &str| {
        arguments
            .get_one::<PathBuf>(name)
            .cloned()
            .unwrap_or_default()
    };
    let (results, readme) = (file("results"), file("readme"));
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let old = read(&readme)?;
    let new = summary::put(&read(&results)?, &old)?;
    if new == old {
        return Ok(());
    }
    if arguments.get_flag("check") {
        return Err(format!(
            "{} does not say what {} has: scripts/bench --only none puts that there",
            readme.display(),
            results.display()
        ));
    }
    fs::write(&readme, new).map_err(|error| format!("{}: {error}", readme.display()))
}
