// SPDX-License-Identifier: GPL-2.0

//! The targets of DESIGN.md, each with what was measured.
//!
//! Under `--icount` all that adds to a figure is the timer's tick, which every other operation that
//! clears a page sees: the lowest tenth is what an operation takes, and is what is compared.

use serde::{Deserialize, Serialize};

use crate::growth::{flat, fork};
use crate::number::{amount, grouped, quotient, ratio};
use crate::results::Runs;
use crate::sample::{Pool, Run};
use crate::stats::Summary;

/// `struct page`s of a page of 1 GiB.
const PAGES_OF_1G: f64 = 262_144.0;

/// Pages that what is kept for each of them can be told from chance by.
const MANY: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

/// A row of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub case: String,
    pub hugetlb: String,
    pub module: String,
    pub ratio: String,
    pub target: String,
    pub verdict: Verdict,
}

/// All of them, in the order of DESIGN.md.
pub fn all(runs: &Runs) -> Vec<Target> {
    let counted = Counted {
        run: runs.icount,
        pages: usual_size(runs.icount),
    };
    let timed = timed(runs);
    let mut rows = vec![counted.at_most("touch-zero", 2500.0, "first touch of a known-zero page")];
    rows.extend(timed.iter().map(faster));
    rows.extend([
        counted.part_of_hugetlb(
            "touch-returned",
            1.0,
            "first touch of a page just given back",
        ),
        counted.at_most(
            "touch-scrubbed",
            2500.0,
            "the same once the scrubber has been by",
        ),
        counted.part_of_hugetlb("grow-touch", 0.51, "grow + first touch"),
    ]);
    let grow = ("grow-1-cpu", "grow-2-cpus");
    rows.extend(timed.iter().map(|it| speed_up(it, grow, 1.7, "grow")));
    let touch = ("touch-1-thread", "touch-2-threads");
    rows.extend(timed.iter().map(|it| speed_up(it, touch, 1.8, "touch")));
    rows.extend([
        counted.at_most("munmap-close", 1500.0, "unmap + back to the pool, shared"),
        counted.at_most(
            "munmap-close-private",
            1500.0,
            "unmap + back to the pool, private",
        ),
        fork(runs),
        bookkeeping(runs.most_sizes()),
        flat(runs),
        poison(runs.most_sizes()),
    ]);
    rows
}

/// The boots in time and the words for each; the emulated one also if it is missing.
fn timed<'a>(runs: &Runs<'a>) -> Vec<(&'static str, Option<&'a Run>)> {
    let mut timed = vec![("2 vCPUs", runs.cpus)];
    if runs.kvm.is_some_and(|run| !run.sizes().is_empty()) {
        timed.push(("2 vCPUs, KVM", runs.kvm));
    }
    timed
}

/// The size that single figures are for: 64 pages, or what is nearest to that.
pub fn usual_size(run: &Run) -> u64 {
    let sizes = run.sizes();
    sizes
        .into_iter()
        .min_by_key(|size| size.abs_diff(64))
        .unwrap_or_default()
}

/// What an operation takes under `--icount`.
pub fn instructions(summary: Summary) -> f64 {
    summary.low
}

/// What of `instructions` is not for clearing 2 MiB; none if nothing is cleared.
pub fn besides_clearing(run: &Run, case: &str, pool: Pool, instructions: f64) -> Option<f64> {
    // hugetlb clears what the page allocator has cleared already.
    let twice = case == "grow-touch" && pool == Pool::Hugetlb;
    let clear = run.machine("clear")?.low * if twice { 2.0 } else { 1.0 };
    let rest = instructions - clear;
    (rest > 0.0 && !case.starts_with("1G-")).then_some(rest)
}

struct Counted<'a> {
    run: &'a Run,
    pages: u64,
}

impl Counted<'_> {
    fn get(&self, case: &str, pool: Pool) -> Option<f64> {
        self.run.get(case, pool, self.pages).map(instructions)
    }

    fn row(&self, case: &str, what: &str) -> (Option<f64>, Option<f64>, Target) {
        let hugetlb = self.get(case, Pool::Hugetlb);
        let module = self.get(case, Pool::Module);
        let shown = |value: Option<f64>, pool| {
            let besides = value.and_then(|it| besides_clearing(self.run, case, pool, it));
            let besides = besides.map(|it| format!(" ({} besides clearing)", grouped(it)));
            amount(value, "instructions") + &besides.unwrap_or_default()
        };
        let row = Target {
            case: what.to_string(),
            hugetlb: shown(hugetlb, Pool::Hugetlb),
            module: shown(module, Pool::Module),
            ratio: ratio(module, hugetlb),
            target: String::new(),
            verdict: Verdict::NotMeasured,
        };
        (hugetlb, module, row)
    }

    fn at_most(&self, case: &str, limit: f64, what: &str) -> Target {
        let (_, module, row) = self.row(case, what);
        Target {
            target: format!("≤ {} instructions", grouped(limit)),
            verdict: verdict(module.map(|module| module <= limit)),
            ..row
        }
    }

    fn part_of_hugetlb(&self, case: &str, part: f64, what: &str) -> Target {
        let (hugetlb, module, row) = self.row(case, what);
        let met = hugetlb
            .zip(module)
            .map(|(hugetlb, module)| module <= part * hugetlb);
        Target {
            target: format!("≤ {part} × hugetlb"),
            verdict: verdict(met),
            ..row
        }
    }
}

/// First touch in time.
fn faster((machine, run): &(&str, Option<&Run>)) -> Target {
    let get = |pool| run.and_then(|run| run.get("touch-zero", pool, usual_size(run)));
    let [hugetlb, module] = [Pool::Hugetlb, Pool::Module].map(|pool| get(pool).map(|it| it.median));
    let times = quotient(hugetlb, module);
    Target {
        case: format!("the same in time, {machine}"),
        hugetlb: amount(hugetlb, "ns"),
        module: amount(module, "ns"),
        ratio: ratio(module, hugetlb),
        target: "≥ 300 × faster".to_string(),
        verdict: verdict(times.map(|times| times >= 300.0)),
    }
}

/// What two CPUs do against one; `cases` are the two cases. By the medians: from boot to boot the
/// shortest times are further apart.
fn speed_up(
    (machine, run): &(&str, Option<&Run>),
    cases: (&str, &str),
    wanted: f64,
    what: &str,
) -> Target {
    let of = |pool| {
        let run = (*run)?;
        // The longest run is the one that starting up says least in.
        let pages = *run.sizes().last()?;
        let usual = |case| run.get(case, pool, pages).map(|it| it.median);
        quotient(usual(cases.0), usual(cases.1))
    };
    let times = |times: Option<f64>| times.map_or("-".to_string(), |times| format!("{times:.2} ×"));
    let module = of(Pool::Module);
    Target {
        case: format!("{what}, {machine} against one"),
        hugetlb: times(of(Pool::Hugetlb)),
        module: times(module),
        ratio: "-".to_string(),
        target: format!("≥ {wanted} × one"),
        verdict: verdict(module.map(|module| module >= wanted)),
    }
}

/// Bytes that the kernel keeps, for the pool and a file with all its pages: the most of all rounds,
/// as what one left the next can use again. It keeps them by 4 KiB and more, which few pages would
/// share.
fn bookkeeping(run: &Run) -> Target {
    let pages = run.sizes().last().copied().unwrap_or_default();
    let most = |pool| run.get("bookkeeping", pool, pages).map(|it| it.max);
    let (hugetlb, module) = (most(Pool::Hugetlb), most(Pool::Module));
    Target {
        case: format!("bookkeeping, {} pages in a file", grouped(pages as f64)),
        hugetlb: amount(hugetlb, "bytes"),
        module: amount(module, "bytes"),
        ratio: ratio(module, hugetlb),
        target: "≤ 16 bytes a page".to_string(),
        verdict: verdict(
            module
                .filter(|_| pages >= MANY)
                .map(|module| module <= 16.0),
        ),
    }
}

/// A look at each `struct page` takes an instruction at least, and 1 GiB has too many of them for
/// that to be overlooked.
fn poison(run: &Run) -> Target {
    let of = |pool| run.get("1G-touch-zero", pool, 1).map(instructions);
    let module = of(Pool::Module);
    Target {
        case: "poison checks: a first touch of 1 GiB".to_string(),
        hugetlb: amount(of(Pool::Hugetlb), "instructions"),
        module: amount(module, "instructions"),
        ratio: "-".to_string(),
        target: format!("none: fewer than its {} pages", grouped(PAGES_OF_1G)),
        verdict: verdict(module.map(|module| module < PAGES_OF_1G)),
    }
}

/// Met or not; none: not measured.
pub fn verdict(met: Option<bool>) -> Verdict {
    match met {
        None => Verdict::NotMeasured,
        Some(true) => Verdict::Met,
        Some(false) => Verdict::Missed,
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
