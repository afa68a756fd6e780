// SPDX-License-Identifier: GPL-2.0

//! Threads and processes that do everything at once to huge pages: first, for a while, with sizes that
//! stay, so that the sum of pages must; then while the pool is resized.
//!
//! Each word written says who wrote it ([`guest::stamp`]), and each word read is checked: somebody
//! else's, an older one or half of a page is an error, and so is a SIGBUS where hugetlb has none.
//! When all are gone, every page must be back. The same runs on hugetlb (`--backend`), which shows
//! that what is called an error here is one.
//!
//! A bin of this crate rather than a crate of its own: it is made of the same mappings, children and
//! counters, and `make test` runs it with the others. Without arguments it is the short run.

mod area;
mod arena;
mod child;
mod common;
mod convert;
mod crowd;
mod end;
mod fixed;
mod hog;
mod operator;
mod options;
mod pins;
mod worker;

use std::process::ExitCode;

use guest::swap::Swap;
use guest::{Check, Fail};

use arena::Arena;
use options::{Options, Run};

fn main() -> ExitCode {
    let options = Options::from_arguments();
    println!("KTAP version 1\n1..{}", 3 * options.runs.len());
    println!(
        "# seed {}: --seed {} does the same operations, in an order of the threads' own",
        options.seed, options.seed
    );
    let mut number = 0;
    let mut failed = false;
    for one in &options.runs {
        let of = format!("{}::{}", one.backend.name, one.sizes.name());
        for (name, result) in run(one, &of, options.disk.as_deref()) {
            number += 1;
            match result {
                Ok(()) => println!("ok {number} {of}::{name}"),
                Err(Fail(why)) => {
                    failed = true;
                    println!("not ok {number} {of}::{name} # {}", why.replace('\n', "; "));
                }
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// One run on one pool: what was seen while it ran, the pool at its end, and memory.
fn run(run: &Run, of: &str, disk: Option<&str>) -> [(&'static str, Check); 3] {
    let pool = run.backend.pool;
    let result = end::Memory::before(pool).and_then(|memory| {
        let swap = disk.map(Swap::on).transpose()?;
        let arena = Arena::new()?;
        let seen = crowd::run(run, &arena);
        for (_, name, count) in arena.figures() {
            println!("# {of} {name}: {count}");
        }
        let whole = end::everything_is_back(pool);
        drop(swap);
        Ok((seen, whole, memory))
    });
    match result {
        Ok((seen, whole, memory)) => [
            ("words_signals_and_counters_are_right", seen),
            ("all_pages_are_back", whole),
            ("memory_is_back", memory.after(pool)),
        ],
        Err(Fail(why)) => [
            "words_signals_and_counters_are_right",
            "all_pages_are_back",
            "memory_is_back",
        ]
        .map(|name| (name, Err(Fail(why.clone())))),
    }
}
