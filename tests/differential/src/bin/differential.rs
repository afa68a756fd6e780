// SPDX-License-Identifier: GPL-2.0

//! Random operations on hugetlb and rust_hugetlb; ends with 1 if anything differed. See `--help`.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use clap::{value_parser, Arg, ArgAction, Command};
use differential::backend::Backend;
use differential::deviations::By;
use differential::episode::{self, Failure};
use differential::generate::Generator;
use differential::ktap::{self, prepare, Check};
use differential::miss;
use differential::op::Op;
use differential::pair::{Pair, Step};
use differential::parse;
use differential::shrink::shrink;
use differential::size::{EPISODE, MAY_MISS};
use differential::tally::Tally;

#[derive(Clone)]
struct Options {
    seed: u64,
    steps: usize,
    replay: Option<String>,
    /// One pool alone, each episode of which is done twice.
    alone: Option<Backend>,
    /// Says each operation before it is done, and what it did.
    verbose: bool,
    /// Whether there are private mappings, too.
    private: bool,
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
            "After each operation, what it returned, the signals it raised, the memory that it \
             read, the mappings and every counter must be the same. Nobody else may use either \
             pool meanwhile. A sequence that shows a difference is shortened and printed as a \
             list, one operation a line, that --replay takes (with or without the mark at the \
             start of its lines).",
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
        .arg(
            Arg::new("alone")
                .long("alone")
                .value_name("POOL")
                .value_parser(Backend::BOTH.map(Backend::name))
                .help("Use this pool only, do everything twice, and compare the two times"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("Print each operation before it is done, and what it did"),
        )
        .arg(
            Arg::new("private")
                .long("private")
                .action(ArgAction::SetTrue)
                .help("Have private mappings, too, about as many as shared ones"),
        )
        .get_matches();
    let get = |name: &str| matches.get_one::<u64>(name).copied();
    let alone = matches.get_one::<String>("alone");
    Options {
        seed: get("seed").unwrap_or_else(|| fastrand::u64(..1 << 32)),
        steps: get("steps").unwrap_or_default() as usize,
        replay: matches.get_one::<String>("replay").cloned(),
        alone: alone.and_then(|name| Backend::BOTH.into_iter().find(|b| b.name() == name)),
        verbose: matches.get_flag("verbose"),
        private: matches.get_flag("private"),
    }
}

impl Options {
    fn backends(&self) -> Vec<Backend> {
        match self.alone {
            Some(backend) => vec![backend],
            None => Backend::BOTH.to_vec(),
        }
    }

    /// An episode of the operations that `next` gives.
    fn episode(
        &self,
        pair: &mut Pair,
        mut next: impl FnMut(&Pair) -> Option<Op>,
        mut watch: impl FnMut(&Op, &Step),
    ) -> Result<(), Failure> {
        let next = |pair: &Pair| {
            let op = next(pair)?;
            if self.verbose {
                println!("{}{op}", parse::MARK);
            }
            Some(op)
        };
        let watch = |op: &Op, step: &Step| {
            if self.verbose {
                println!("#   {step}");
            }
            watch(op, step);
        };
        match self.alone {
            Some(_) => episode::twice(pair, next, watch),
            None => episode::run(pair, next, watch),
        }
    }

    fn replay(&self, pair: &mut Pair, ops: &[Op]) -> Result<(), Failure> {
        let mut left = ops.iter();
        self.episode(pair, |_| left.next().cloned(), |_, _| {})
    }

    /// Whether a failure, seen just now, is a page that one pool missed.
    fn is_by_chance(&self, failure: &Failure, pair: &mut Pair) -> bool {
        let differ = pair.pages_differ();
        let again = |ops: &[Op]| {
            pair.turn_round();
            let result = self.replay(pair, ops);
            pair.turn_round();
            result
        };
        MAY_MISS && differ && miss::is_by_chance(failure, again)
    }
}

fn main() -> ExitCode {
    let options = options();
    ktap::run(vec![match options.replay.clone() {
        Some(file) => ("replay", Box::new(move || replay(&options, &file))),
        None => ("random", Box::new(move || random(&options))),
    }])
}

fn replay(options: &Options, file: &str) -> Check {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let ops = parse::list(&text)?;
    let (_, mut pair) = prepare(&options.backends(), By::Chance)?;
    println!("# {} operations of {file}", ops.len());
    let result = options.replay(&mut pair, &ops);
    result.map_err(|failure| report(&failure))
}

fn random(options: &Options) -> Check {
    let Options { seed, steps, .. } = *options;
    let (machine, mut pair) = prepare(&options.backends(), By::Chance)?;
    println!(
        "# seed {seed}, {steps} steps, {} nodes, {} CPUs",
        machine.nodes.len(),
        machine.cpus
    );
    let began = Instant::now();
    let mut generator = Generator::new(seed, machine, options.private);
    let mut tally = Tally::default();
    let mut done = 0;
    let mut missed = 0;
    while done < steps {
        let mut left = EPISODE.min(steps - done);
        let result = options.episode(
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
            if options.is_by_chance(&failure, &mut pair) {
                let difference = String::from(failure.difference);
                println!("# a page missed by chance at step {step}: {difference}");
                missed += 1;
                if missed > miss::most(step) {
                    return Err(format!("seed {seed}: {missed} pages missed by step {step}"));
                }
                continue;
            }
            println!(
                "# difference at step {step}, operation {} of its episode:",
                failure.ops.len()
            );
            report(&failure);
            let short = shorten(options, &mut pair, failure);
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
    if MAY_MISS {
        println!("# {missed} pages missed by chance");
    }
    Ok(())
}

/// The shortest failure found in the operations of one.
fn shorten(options: &Options, pair: &mut Pair, failure: Failure) -> Failure {
    let mut shortest = failure.clone();
    shrink(failure.ops, |ops| {
        let mut result = options.replay(pair, ops);
        // An episode that cannot even begin says nothing about its operations, but that an earlier
        // difference is still there: a lost page, a promise that nobody can take back.
        if result.as_ref().is_err_and(|failure| failure.ops.is_empty()) && pair.renew().is_ok() {
            result = options.replay(pair, ops);
        }
        match result {
            Err(failure) if !failure.ops.is_empty() && !options.is_by_chance(&failure, pair) => {
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
