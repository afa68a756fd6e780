// SPDX-License-Identifier: GPL-2.0

//! Makes results.json, README.md and the charts of what the boots of `make bench` printed; prints
//! the table of targets. Called by scripts/bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::facts::FLAT;
use bench::option::file;
use bench::results::{Results, Runs};
use bench::sample::{Pool, Run};
use bench::{chart, table};
use clap::{ArgMatches, Command};

type Done = Result<(), Box<dyn std::error::Error>>;

fn arguments() -> ArgMatches {
    Command::new("bench-report")
        .about("Makes a table, a machine-readable file and charts of what was measured")
        .arg(file(
            "icount",
            "What the boot that counts instructions printed",
        ))
        .arg(file("sizes", "The same of one with more pages"))
        .arg(file("cpus", "What the boot with two CPUs printed"))
        .arg(file("kvm", "The same with KVM"))
        .arg(
            file("out", "The folder for the results")
                .value_name("FOLDER")
                .required(true),
        )
        .get_matches()
}

fn main() -> ExitCode {
    match report(&arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &ArgMatches) -> Done {
    let path = |name: &str| arguments.get_one::<PathBuf>(name);
    let read = |name: &str| -> Result<Option<Run>, String> {
        let Some(path) = path(name) else {
            return Ok(None);
        };
        let named = |why: String| format!("{}: {why}", path.display());
        let text = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Run::parse(&text).map(Some).map_err(named)
    };
    let icount = read("icount")?.unwrap_or_default();
    let (sizes, cpus, kvm) = (read("sizes")?, read("cpus")?, read("kvm")?);
    let runs = Runs {
        icount: &icount,
        sizes: sizes.as_ref(),
        cpus: cpus.as_ref(),
        kvm: kvm.as_ref(),
    };
    runs.check()?;
    let results = Results::new(&runs);
    let out = path("out").map_or(Path::new("."), PathBuf::as_path);
    let charts = charts(out, &runs)?;
    fs::write(
        out.join("results.json"),
        serde_json::to_string_pretty(&results)? + "\n",
    )?;
    fs::write(out.join("README.md"), table::page(&runs, &results, &charts))?;
    print!("{}", table::targets(&results.targets));
    Ok(())
}

/// Draws all charts of what was measured; their names.
fn charts(out: &Path, runs: &Runs) -> Result<Vec<&'static str>, Box<dyn std::error::Error>> {
    let file = |name: &str| out.join(format!("{name}.svg"));
    let is_measured = |run: &&Run| !run.sizes().is_empty();
    let mut names = Vec::new();
    if let Some(run) = Some(runs.icount).filter(is_measured) {
        let title = "Instructions of an operation";
        chart::bars(&file("instructions"), run, title, chart::counted)?;
        names.push("instructions");
    }
    if let Some(run) = Some(runs.most_sizes()).filter(is_measured) {
        let title = "Instructions against the pages of the pool";
        chart::sizes(&file("size"), run, &FLAT, title)?;
        names.push("size");
    }
    let timed = [
        ("time", "Nanoseconds of an operation, two CPUs", runs.cpus),
        ("time-kvm", "The same with KVM", runs.kvm),
    ];
    for (name, title, run) in timed {
        if let Some(run) = run.filter(is_measured) {
            chart::bars(&file(name), run, title, chart::timed)?;
            names.push(name);
        }
    }
    if !runs.icount.cases(Pool::Policy).is_empty() {
        let title = "Policy alone: instructions against pages";
        chart::policy(&file("policy"), runs.icount, title)?;
        names.push("policy");
    }
    Ok(names)
}
