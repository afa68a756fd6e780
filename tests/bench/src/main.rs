// SPDX-License-Identifier: GPL-2.0

//! Measures hugetlb and rust_hugetlb side by side: see `--help`.

use std::process::ExitCode;

use guest::Fail;
use guest_bench::options::Options;

fn main() -> ExitCode {
    match guest_bench::run(&Options::from_arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fail(why)) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}
