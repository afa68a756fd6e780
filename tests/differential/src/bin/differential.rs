// SPDX-License-Identifier: GPL-2.0

//! Random operations on hugetlb and rust_hugetlb; ends with 1 if anything differed. See `--help`.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use clap::{value_parser, Arg, Command};
use differential::episode::{self, Failure};
use differential::generate::Generator;
use differential::ktap::{self, prepare, Check};
use differential::pair::Pair;
use differential::parse;
use differential::shrink::shrink;
use differential::tally::Tally;

/// Steps from one reset to the next. What fails is searched for in so many.
const EPISODE: usize = 250;

struct Options {
    seed: u64,
    steps: usize,
    replay: Option<String>,
}

fn options() -> Options {
    let number = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(value_parser!(u64))
    };
    let matches = Command::new("differential")
        .about("Does the same random operations on hugetlb's pool and on that of rust_hugetlb")
        .after_help(
            "After each operation, what it returned, the signals it raised and every counter \
             must be the same. Nobody else may use either pool meanwhile. A sequence that shows a \
             difference is shortened and printed as a list, one operation a line, that --replay \
             takes (with or without the mark at the start of its lines).",
        )
        .arg(
            number("steps")
                .default_value("1000")
                .help("How many operations"),
        )
        .arg(number("seed").help("What they depend on; a random one is printed otherwise"))
        .arg(
            Arg::new("replay")
                .long("replay")
                .value_name("FILE")
                .conflicts_with_all(["steps", "seed"])
                .help("Do the operations of FILE instead, once"),
        )
        .get_matches();
    let get = |name: &str| matches.get_one::<u64>(name).copied();
    Options {
        seed: get("seed").unwrap_or_else(|| fastrand::u64(..1 << 32)),
        steps: get("steps").unwrap_or_default() as usize,
        replay: matches.get_one::<String>("replay").cloned(),
    }
}

fn main() -> ExitCode {
    let options = options();
    ktap::run(vec![match options.replay {
        Some(file) => ("replay", Box::new(move || replay(&file))),
        None => (
            "random",
            Box::new(move || random(options.seed, options.steps)),
        ),
    }])
}

fn replay(file: &str) -> Check {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let ops = parse::list(&text)?;
    let (_, mut pair) = prepare()?;
    println!("# {} operations of {file}", ops.len());
    episode::replay(&mut pair, &ops).map_err(|failure| report(&failure))
}

fn random(seed: u64, steps: usize) -> Check {
    let (machine, mut pair) = prepare()?;
    println!(
        "# seed {seed}, {steps} steps, {} nodes, {} CPUs",
        machine.nodes.len(),
        machine.cpus
    );
    let began = Instant::now();
    let mut generator = Generator::new(seed, machine);
    let mut tally = Tally::default();
    let mut done = 0;
    while done < steps {
        let mut left = EPISODE.min(steps - done);
        let result = episode::run(
            &mut pair,
            |pair| {
                left = left.checked_sub(1)?;
                Some(generator.op(pair))
            },
            |op, step| {
                done += 1;
                tally.count(op, step);
            },
        );
        if let Err(failure) = result {
            let step = done + 1;
            println!(
                "# difference at step {step}, operation {} of its episode:",
                failure.ops.len()
            );
            report(&failure);
            let short = shorten(&mut pair, failure);
            return Err(format!(
                "seed {seed}: difference at step {step}: {}",
                report(&short)
            ));
        }
    }
    for line in tally.lines() {
        println!("# {line}");
    }
    println!(
        "# {done} steps in {:.1} s; counters lagged {} times",
        began.elapsed().as_secs_f64(),
        pair.lagged
    );
    Ok(())
}

/// The shortest failure found in the operations of one.
fn shorten(pair: &mut Pair, failure: Failure) -> Failure {
    let mut shortest = failure.clone();
    shrink(failure.ops, |ops| {
        let mut result = episode::replay(pair, ops);
        // An episode that cannot even begin says nothing about its operations, but that an earlier
        // difference is still there: a lost page, a promise that nobody can take back.
        if result.as_ref().is_err_and(|failure| failure.ops.is_empty()) && pair.renew().is_ok() {
            result = episode::replay(pair, ops);
        }
        match result {
            Err(failure) if !failure.ops.is_empty() => {
                shortest = failure;
                true
            }
            _ => false,
        }
    });
    shortest
}

/// Prints a failure, its operations as a list that can be replayed, and returns it in one line.
fn report(failure: &Failure) -> String {
    for op in &failure.ops {
        println!("{}{op}", parse::MARK);
    }
    for line in &failure.difference.0 {
        println!("# {line}");
    }
    String::from(failure.difference.clone())
}
