// SPDX-License-Identifier: GPL-2.0

//! Every advice of madvise(2), on shared and private mappings of both pools: what it returns and
//! what becomes of the data. The table in docs/advice.md says the same, or a test fails; with the
//! argument `table` the program prints what belongs there.

mod observe;
mod table;

use std::path::Path;
use std::process::ExitCode;

use guest::{check, same, Check};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("table") {
        return match table::observed() {
            Ok(lines) => {
                lines.iter().for_each(|line| println!("{line}"));
                ExitCode::SUCCESS
            }
            Err(guest::Fail(why)) => {
                eprintln!("advice: {why}");
                ExitCode::FAILURE
            }
        };
    }
    guest::ktap::run(&guest::tests![
        the_documented_table_is_what_happens,
        untouched_mappings_answer_alike,
        observe::advice_for_a_part_of_a_page_is_harmless,
    ])
}

fn the_documented_table_is_what_happens() -> Check {
    let documented = table::documented();
    let observed = table::observed()?;
    // A kernel without KSM refuses its advice, to everybody.
    let has_ksm = Path::new("/sys/kernel/mm/ksm").exists();
    for (documented, observed) in documented.iter().zip(&observed) {
        if !has_ksm && observed.contains("MERGEABLE") {
            check!(
                observed.ends_with("| EINVAL | EINVAL | EINVAL | EINVAL |"),
                "without KSM: {observed}"
            );
            continue;
        }
        same!(observed, documented, "a line of docs/advice.md");
    }
    same!(observed.len(), documented.len(), "lines of docs/advice.md");
    Ok(())
}

fn untouched_mappings_answer_alike() -> Check {
    for (name, advice) in table::ADVICE {
        for kind in observe::KINDS {
            let [touched, untouched] =
                [true, false].map(|touched| observe::result(kind, advice, touched));
            same!(untouched?, touched?, "{name} on {kind:?}, untouched");
        }
    }
    Ok(())
}
