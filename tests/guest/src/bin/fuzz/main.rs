// SPDX-License-Identifier: GPL-2.0

//! Random sequences of system calls on the device's files, their mappings and the pool's files. Any
//! call may fail and any process may die of what it did; but when all are gone every page must be back,
//! nobody may hang, and the kernel must not have complained.
//!
//! corpus.txt has sequences that led far: they are run first, everywhere, and others are made of them.
//! Where the kernel says what code of the module a task ran (KCOV, as the debug kernel does for the
//! module alone), those of the others that reach something new are kept, and changed in turn, as
//! corpus.txt was found. Elsewhere nobody knows what is new: there it stays as it is.
//!
//! Every second of the others is done by an unprivileged user with files that root opened, as the device
//! is meant to be used: nothing else of the module may let that user in.
//!
//! An engine of our own, as those of the registry (LibAFL, honggfuzz) fuzz a program beside them, and
//! what is tested here is the kernel they run on; what is left is a loop.

mod calls;
mod corpus;
mod coverage;
mod judge;
mod options;
mod sequence;
mod state;
mod sysfs;
mod user;
mod values;

use std::process::ExitCode;
use std::time::Instant;

use fastrand::Rng;
use guest::{Check, Fail};

use corpus::Corpus;
use coverage::Coverage;
use judge::Judge;
use options::Options;
use sequence::Sequence;

/// Random sequences after which the kernel has made what it makes once.
const WARM_UP: u64 = 100;

fn main() -> ExitCode {
    let options = Options::from_arguments();
    println!("KTAP version 1\n1..1");
    println!(
        "# seed {}: --seed {} tries the same, as far as what is reached is the same",
        options.seed, options.seed
    );
    match run(&options) {
        Ok(()) => {
            println!("ok 1 every_page_is_back");
            ExitCode::SUCCESS
        }
        Err(Fail(why)) => {
            println!("not ok 1 every_page_is_back # {}", why.replace('\n', "; "));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Check {
    let mut random = Rng::with_seed(options.seed);
    let coverage = Coverage::open()?;
    let mut corpus = Corpus::new(coverage.is_some());
    let mut judge = Judge::new(coverage)?;
    for sequence in &options.sequences {
        println!("# {sequence}");
        corpus.learn(sequence, judge.run(sequence)?);
    }
    if options.sequences.is_empty() {
        for sequence in corpus::kept()? {
            let reached = judge.run(&sequence)?;
            corpus.keep(sequence, reached);
        }
        for number in 0..WARM_UP {
            judge.run(&by_turns(number, Sequence::random(&mut random)))?;
        }
        judge.weigh()?;
        let start = Instant::now();
        let mut tried = 0;
        while !options.is_over(tried, start.elapsed()) {
            let sequence = by_turns(tried, corpus.next(&mut random));
            corpus.learn(&sequence, judge.run(&sequence)?);
            tried += 1;
        }
    }
    judge.tell();
    corpus.tell();
    if options.save {
        corpus.save();
    }
    judge.finish()
}

/// Lets a user do every second one.
fn by_turns(number: u64, sequence: Sequence) -> Sequence {
    Sequence {
        by_user: number % 2 == 1,
        ..sequence
    }
}
