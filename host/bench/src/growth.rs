// SPDX-License-Identifier: GPL-2.0

//! What operations take against the size of the pool.

use crate::facts::{in_words, FLAT};
use crate::number::{grouped, quotient};
use crate::results::Runs;
use crate::sample::{Pool, Run};
use crate::target::{besides_clearing, instructions, usual_size, verdict, Target};

/// What a fork may differ by to be independent of the pages, and other cases between sizes.
const FORK_PART: f64 = 0.05;
const SIZE_PART: f64 = 0.10;

/// The sizes that are compared: 64 pages, or the fewest if no more were measured, and the most.
pub fn compared(run: &Run) -> (u64, u64) {
    let (sizes, usual) = (run.sizes(), usual_size(run));
    let many = sizes.last().copied().unwrap_or_default();
    let fewest = sizes.first().copied().unwrap_or_default();
    (if usual < many { usual } else { fewest }, many)
}

/// How much more a case takes with the most pages than with 64, as a part of what it takes besides
/// clearing.
///
/// To clear a page takes the same in each, so the difference has nothing of it; how much of 64 pages'
/// figure it is, the boot tells where it takes a known number of instructions.
pub fn growth(runs: &Runs, case: &str, pool: Pool) -> Option<f64> {
    let run = runs.most_sizes();
    let (few, many) = compared(run);
    (few < many).then_some(())?;
    let of = |pages| run.get(case, pool, pages).map(instructions);
    let (less, more) = of(few).zip(of(many))?;
    let counted = runs.icount.get(case, pool, few).map(instructions);
    let besides = counted.and_then(|it| besides_clearing(runs.icount, case, pool, it));
    quotient(Some(more - less), Some(besides.unwrap_or(less)))
}

fn percent(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}

/// The same as a word of a table.
pub fn shown(part: Option<f64>) -> String {
    part.map_or("-".to_string(), percent)
}

/// A fork against the pages that are mapped.
pub fn fork(runs: &Runs) -> Target {
    let sizes = compared(runs.most_sizes());
    let [hugetlb, module] =
        [Pool::Hugetlb, Pool::Module].map(|pool| growth(runs, "fork-shared", pool));
    Target {
        case: format!(
            "fork with {} pages mapped shared, against {}",
            grouped(sizes.1 as f64),
            sizes.0
        ),
        hugetlb: shown(hugetlb),
        module: shown(module),
        ratio: "-".to_string(),
        target: format!("the same (± {:.0} %)", FORK_PART * 100.0),
        verdict: verdict(module.map(|part| part.abs() <= FORK_PART)),
    }
}

/// All cases that must not depend on the size: those that take more.
pub fn flat(runs: &Runs) -> Target {
    let (few, many) = compared(runs.most_sizes());
    let of = |pool| {
        let grown = FLAT
            .iter()
            .filter_map(|case| Some((*case, growth(runs, case, pool)?)));
        let grown: Vec<_> = grown.collect();
        (!grown.is_empty()).then(|| {
            let more = grown.into_iter().filter(|(_, part)| *part > SIZE_PART);
            more.map(|(case, part)| format!("{}: {}", in_words(case), percent(part)))
                .collect::<Vec<_>>()
        })
    };
    let shown = |more: &Option<Vec<String>>| match more {
        None => "-".to_string(),
        Some(more) if more.is_empty() => "nothing".to_string(),
        Some(more) => more.join("; "),
    };
    let (hugetlb, module) = (of(Pool::Hugetlb), of(Pool::Module));
    Target {
        case: format!(
            "what takes more with {} pages than with {few}",
            grouped(many as f64)
        ),
        hugetlb: shown(&hugetlb),
        module: shown(&module),
        ratio: "-".to_string(),
        target: format!("nothing (+ {:.0} %)", SIZE_PART * 100.0),
        verdict: verdict(module.map(|more| more.is_empty())),
    }
}
