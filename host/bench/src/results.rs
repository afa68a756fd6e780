// SPDX-License-Identifier: GPL-2.0

//! All results in one file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sample::Run;
use crate::stats::Summary;
use crate::target::{self, Target};

/// How far a nanosecond may be from an instruction under `--icount`.
const CLOCK_PART: f64 = 0.005;

/// What the boots printed.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    /// Counting instructions; also the module's policy alone. Empty if it was not booted.
    pub icount: &'a Run,
    /// The same with more pages, where a page is cleared in fewer instructions.
    pub sizes: Option<&'a Run>,
    /// With two CPUs, in time, emulated.
    pub cpus: Option<&'a Run>,
    /// The same with KVM.
    pub kvm: Option<&'a Run>,
}

impl<'a> Runs<'a> {
    /// Those that were booted, with the name of each and its unit.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &'a Run)> + use<'a> {
        let is_booted = |run: &&Run| !run.is_empty();
        let all = [
            (
                "icount",
                "instructions",
                Some(self.icount).filter(is_booted),
            ),
            ("sizes", "instructions", self.sizes),
            ("cpus", "ns", self.cpus),
            ("kvm", "ns", self.kvm),
        ];
        all.into_iter()
            .filter_map(|(name, unit, run)| Some((name, unit, run?)))
    }

    /// The boot that has most sizes.
    pub fn most_sizes(&self) -> &'a Run {
        self.sizes.unwrap_or(self.icount)
    }

    /// Says what is wrong if there was no boot, or one that counts instructions does not.
    pub fn check(&self) -> Result<(), String> {
        if self.named().next().is_none() {
            return Err("no boot was measured".to_string());
        }
        for (name, unit, run) in self.named() {
            if unit != "instructions" {
                continue;
            }
            let clock = run
                .machine("instruction")
                .ok_or(format!("{name}: nothing tells what a nanosecond is"))?;
            if (clock.q1 - 1.0).abs() > CLOCK_PART {
                return Err(format!(
                    "{name}: a nanosecond is {} instructions, not one",
                    1.0 / clock.q1
                ));
            }
        }
        Ok(())
    }
}

/// What is written down.
#[derive(Debug, Serialize)]
pub struct Results<'a> {
    pub boots: Vec<Boot<'a>>,
    pub targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
pub struct Boot<'a> {
    pub name: &'a str,
    /// Of all figures of this boot.
    pub unit: &'a str,
    pub facts: &'a BTreeMap<String, String>,
    pub skipped: &'a BTreeMap<String, String>,
    pub cases: Vec<Case<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Case<'a> {
    pub case: &'a str,
    pub pool: &'a str,
    pub pages: u64,
    #[serde(flatten)]
    pub summary: Summary,
}

impl<'a> Results<'a> {
    pub fn new(runs: &Runs<'a>) -> Self {
        let boot = |(name, unit, run): (&'static str, &'static str, &'a Run)| Boot {
            name,
            unit,
            facts: &run.facts,
            skipped: &run.skipped,
            cases: run
                .summaries()
                .map(|(key, summary)| Case {
                    case: &key.case,
                    pool: key.pool.name(),
                    pages: key.pages,
                    summary,
                })
                .collect(),
        };
        Self {
            boots: runs.named().map(boot).collect(),
            targets: target::all(runs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(nanoseconds: u64) -> Result<(), String> {
        let line =
            r#"{"case":"instruction","pool":"none","pages":64,"round":0,"ops":2000,"ns":[N]}"#;
        let line = line.replace('N', &nanoseconds.to_string());
        let run = Run::parse(&line).unwrap();
        let runs = Runs {
            icount: &run,
            sizes: None,
            cpus: None,
            kvm: None,
        };
        runs.check()
    }

    #[test]
    fn a_clock_that_counts_something_else_is_an_error() {
        check(2000).unwrap();
        check(2009).unwrap();
        check(4128).unwrap_err();
        check(1900).unwrap_err();
    }

    #[test]
    fn what_was_not_booted_is_left_out() {
        let (none, some) = (
            Run::default(),
            Run::parse(r#"{"fact":"source","value":"0"}"#).unwrap(),
        );
        let mut runs = Runs {
            icount: &none,
            sizes: None,
            cpus: None,
            kvm: None,
        };
        runs.check().unwrap_err();
        runs.cpus = Some(&some);
        runs.check().unwrap();
        let names: Vec<_> = runs.named().map(|(name, ..)| name).collect();
        assert_eq!(names, ["cpus"]);
    }

    #[test]
    fn all_that_was_measured_is_written_down() {
        let lines = r#"{"fact":"source","value":"0"}
{"case":"grow","pool":"module","pages":64,"round":0,"ops":2,"ns":[20,40]}"#;
        let run = Run::parse(lines).unwrap();
        let runs = Runs {
            icount: &run,
            sizes: None,
            cpus: Some(&run),
            kvm: None,
        };
        let text = serde_json::to_value(Results::new(&runs)).unwrap();
        assert_eq!(text["boots"][0]["facts"]["source"], "0");
        assert_eq!(text["boots"][1]["unit"], "ns");
        let case = &text["boots"][0]["cases"][0];
        assert_eq!(case["median"], 15.0);
        assert_eq!(case["samples"], 2);
    }
}
