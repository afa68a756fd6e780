// SPDX-License-Identifier: GPL-2.0

//! The results in words and tables, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::facts::{CASES, FLAT};
use crate::growth::{growth, shown};
use crate::number::{grouped, ratio};
use crate::results::{Results, Runs};
use crate::sample::{Pool, Run};
use crate::stats::Summary;
use crate::target::{besides_clearing, instructions, usual_size, Target, Verdict};

const BEGIN: &str = "<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Written by make bench: change host/bench instead. -->
";

const READING: &str = "
## How to read this

- The table says of each target of the project what hugetlb and the module take, in the same boot.
  *module / hugetlb* below 1 is faster. What is missed is explained in
  [profile.md](../profile.md#what-is-missed-and-why).
- A page is one of 2 MiB, unless 1 GiB stands there. *Per page*: the whole took so much, divided by
  its pages.
- *Known zero*: the page allocator, or the module's scrubber, cleared the page, and nobody had it
  since. *Just given back*: it had a user; the scrubber is off, so the next first touch clears it.
  *The scrubber has been by*: all such pages were cleared, in the background, before the first touch.
  The module counts what each first touch found, and the run ends if that is something else.
- hugetlb clears at each first touch. Its figures hold that clear; *besides clearing* is the rest.
- The charts: a bar or a dot is what the tables have. Time and instructions are on logarithmic axes.
";

const METHOD: &str = "
## How it is measured

- [tests/bench](../../tests/bench) does each case on hugetlb's pool and on the module's, in the same
  boot, in turns, several rounds; hugetlb's files are those of `memfd_create(MFD_HUGETLB)`. A round
  to warm up does not count. Each operation is timed with `clock_gettime(CLOCK_MONOTONIC)`; what an
  empty measurement shows is taken off.
- *Instructions*: under `qemu/run --icount` a nanosecond of the guest is an instruction, as a loop of
  known length confirms in each round. Nothing but the timer's tick, every 4 million of them, adds to
  a figure: an operation that clears a page sees one every other time. Targets and sizes are
  compared by the lowest tenth (`low`) for that reason; [results.json](results.json) has the others.
- *Clearing*: a 2 MiB page is cleared by `rep stosb`, which counts one for each byte: 2,097,152. The
  case `clear` does the same in the program and confirms it; the module's first touch of a page that
  had a user, less that of one known to be zero, shows it from the other side. *Besides clearing* is
  the figure less one clear, or two for hugetlb's grow and touch.
- *Against the size*: the boot *sizes* has 10 GiB and a CPU without fast strings, so that a clear takes
  a sixth. The last columns are the difference between the most pages and 64, as a part of what 64
  take *besides clearing*: clearing, which is the same in both, hides nothing.
- *Time*: boots with two CPUs. They depend on what else the machine does: look at the quartiles. What
  two CPUs do against one is said of the medians.
- *Bookkeeping*: by how much SUnreclaim, SReclaimable and VmallocUsed of /proc/meminfo went up from an
  empty pool without files to a file with all pages of the pool in it, less KernelStack and the slabs
  of `radix_tree_node`, which are the file's page map (`page-map`; nodes that one file left the next uses again). The most
  of all rounds. The kernel keeps it by 4 KiB and more: a byte a page at 4,096 pages.
- *Poison checks*: a look at each `struct page` takes an instruction at least, and 1 GiB has 262,144.
- *Policy alone*: `src/policy` in a program without the module, in the guest that counts.
";

/// The whole page.
pub fn page(runs: &Runs, results: &Results, charts: &[&str]) -> String {
    let mut text = format!("{BEGIN}# What `make bench` measured\n\n");
    facts(&mut text, results);
    text.push_str("\n## Targets\n\n");
    text.push_str(&targets(&results.targets));
    text.push_str(READING);
    for chart in charts {
        let _ = write!(text, "\n![{chart}]({chart}.svg)\n");
    }
    clears(&mut text, runs.icount);
    for (name, unit, run) in runs.named().filter(|(_, _, run)| !run.sizes().is_empty()) {
        let _ = write!(text, "\n## All cases: {}\n\n", heading(name, unit));
        cases(&mut text, run, unit);
    }
    size(&mut text, runs);
    policy(&mut text, runs.icount);
    text.push_str(METHOD);
    text
}

/// The table of targets.
pub fn targets(targets: &[Target]) -> String {
    let mut text = String::from(
        "| | hugetlb | module | module / hugetlb | target | |\n|---|---|---|---|---|---|\n",
    );
    for row in targets {
        let verdict = match row.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "not measured",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {verdict} |",
            row.case, row.hugetlb, row.module, row.ratio, row.target
        );
    }
    text
}

fn heading(name: &str, unit: &str) -> String {
    let what = match name {
        "sizes" => "many pages, each cleared in fewer instructions",
        "cpus" => "two CPUs, emulated",
        "kvm" => "two CPUs, KVM",
        _ => "one CPU",
    };
    format!("{what}, in {unit}")
}

fn facts(text: &mut String, results: &Results) {
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "- {key}: {value}");
    };
    for boot in &results.boots {
        line(
            &format!("boot *{}*, in {}", boot.name, boot.unit),
            &joined(boot.facts),
        );
        if !boot.skipped.is_empty() {
            line("  left out", &joined(boot.skipped));
        }
    }
}

fn joined(facts: &BTreeMap<String, String>) -> String {
    let facts = facts.iter().map(|(key, value)| format!("{key} {value}"));
    facts.collect::<Vec<_>>().join(", ")
}

/// What clearing takes, from both sides.
fn clears(text: &mut String, run: &Run) {
    let pages = usual_size(run);
    let of = |case| run.get(case, Pool::Module, pages).map(instructions);
    let clear = run.machine("clear").map(instructions);
    let Some((clear, (dirty, zero))) = clear.zip(of("touch-returned").zip(of("touch-zero"))) else {
        return;
    };
    let _ = write!(
        text,
        "\nTo clear 2 MiB takes {} instructions in a program; the module's first touch of a page \
         that had a user takes {} more than that of one known to be zero.\n",
        grouped(clear),
        grouped(dirty - zero)
    );
}

/// A summary as `median (q1 – q3)`.
fn spread(summary: Option<Summary>) -> String {
    summary.map_or("-".to_string(), |it| {
        let [q1, median, q3] = [it.q1, it.median, it.q3].map(grouped);
        if q1 == q3 {
            return median;
        }
        format!("{median} ({q1} – {q3})")
    })
}

fn cases(text: &mut String, run: &Run, unit: &str) {
    text.push_str(
        "Medians, and the quartiles in brackets.\n\n\
         | | pages | hugetlb | besides clearing | module | besides clearing | module / hugetlb |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (case, words) in CASES {
        let mut sizes = run.sizes_where(|key| key.case == case && key.pool != Pool::None);
        // The others are a table of their own.
        sizes.truncate(if unit == "ns" { usize::MAX } else { 2 });
        for pages in sizes {
            let of = |pool| run.get(case, pool, pages);
            let besides = |pool, summary: Option<Summary>| {
                let rest = summary
                    .filter(|_| unit != "ns")
                    .and_then(|it| besides_clearing(run, case, pool, instructions(it)));
                rest.map_or("-".to_string(), grouped)
            };
            let (hugetlb, module) = (of(Pool::Hugetlb), of(Pool::Module));
            let median = |summary: Option<Summary>| summary.map(|it| it.median);
            let _ = writeln!(
                text,
                "| {words} | {pages} | {} | {} | {} | {} | {} |",
                spread(hugetlb),
                besides(Pool::Hugetlb, hugetlb),
                spread(module),
                besides(Pool::Module, module),
                ratio(median(module), median(hugetlb))
            );
        }
    }
}

fn size(text: &mut String, runs: &Runs) {
    let run = runs.most_sizes();
    let sizes = run.sizes();
    if sizes.len() < 2 {
        return;
    }
    text.push_str("\n## Against the size of the pool, in instructions\n\n| |");
    for pool in ["hugetlb", "module"] {
        for pages in &sizes {
            let _ = write!(text, " {pool}, {} |", grouped(*pages as f64));
        }
        text.push_str(" more |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(2 * sizes.len() + 2));
    for (case, words) in CASES.into_iter().filter(|(case, _)| FLAT.contains(case)) {
        let _ = write!(text, "| {words} |");
        for pool in [Pool::Hugetlb, Pool::Module] {
            for &pages in &sizes {
                let value = run.get(case, pool, pages).map(instructions);
                let _ = write!(text, " {} |", value.map_or("-".to_string(), grouped));
            }
            let _ = write!(text, " {} |", shown(growth(runs, case, pool)));
        }
        text.push('\n');
    }
}

fn policy(text: &mut String, run: &Run) {
    let sizes = run.sizes_where(|key| key.pool == Pool::Policy);
    if sizes.is_empty() {
        return;
    }
    text.push_str("\n## Policy alone, in instructions\n\n| |");
    for pages in &sizes {
        let _ = write!(text, " {} |", grouped(*pages as f64));
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(sizes.len()));
    for case in run.cases(Pool::Policy) {
        let _ = write!(text, "| {case} |");
        for &pages in &sizes {
            let value = run.get(case, Pool::Policy, pages).map(instructions);
            let _ = write!(text, " {} |", value.map_or("-".to_string(), grouped));
        }
        text.push('\n');
    }
}
