// SPDX-License-Identifier: GPL-2.0

//! The lines that tests/bench and `policy-cost` print, one JSON object each.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::stats::Summary;

/// Whose cost a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    Hugetlb,
    Module,
    /// The module's policy alone.
    Policy,
    /// Of no pool: the machine's.
    None,
}

impl Pool {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hugetlb => "hugetlb",
            Self::Module => "module",
            Self::Policy => "policy",
            Self::None => "none",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Sample {
        case: String,
        pool: Pool,
        pages: u64,
        #[serde(rename = "round")]
        _round: u64,
        ops: u64,
        ns: Vec<u64>,
    },
    Fact {
        fact: String,
        value: String,
    },
    Skip {
        skip: String,
        why: String,
    },
}

/// Which samples belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub case: String,
    pub pages: u64,
    pub pool: Pool,
}

/// What one boot printed.
#[derive(Debug, Default)]
pub struct Run {
    /// Nanoseconds, or instructions, of one operation.
    samples: BTreeMap<Key, Vec<f64>>,
    pub facts: BTreeMap<String, String>,
    /// Cases that were left out, and why.
    pub skipped: BTreeMap<String, String>,
}

impl Run {
    /// Reads the lines; the first that is none of ours is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut run = Self::default();
        for (number, line) in text.lines().enumerate() {
            if !line.trim().is_empty() {
                run.line(line)
                    .map_err(|why| format!("line {}: {why}: {line}", number + 1))?;
            }
        }
        Ok(run)
    }

    /// Whether nothing was printed, as by a boot that there was not.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.facts.is_empty() && self.skipped.is_empty()
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        match serde_json::from_str(line).map_err(|error| error.to_string())? {
            Line::Sample { ops: 0, .. } => return Err("no operations".to_string()),
            Line::Sample {
                case,
                pool,
                pages,
                ops,
                ns,
                ..
            } => {
                let each = ns.iter().map(|&span| span as f64 / ops as f64);
                let key = Key { case, pages, pool };
                self.samples.entry(key).or_default().extend(each);
            }
            Line::Fact { fact, value } => drop(self.facts.insert(fact, value)),
            Line::Skip { skip, why } => drop(self.skipped.insert(skip, why)),
        }
        Ok(())
    }

    /// All cases that have samples.
    pub fn summaries(&self) -> impl Iterator<Item = (&Key, Summary)> {
        self.samples
            .iter()
            .filter_map(|(key, samples)| Some((key, Summary::of(samples)?)))
    }

    /// The summary of one case.
    pub fn get(&self, case: &str, pool: Pool, pages: u64) -> Option<Summary> {
        let case = case.to_string();
        let key = Key { case, pages, pool };
        Summary::of(self.samples.get(&key)?)
    }

    /// The summary of a case of the machine, whichever round it is from.
    pub fn machine(&self, case: &str) -> Option<Summary> {
        let of_case = self.samples.iter().filter(|(key, _)| key.case == case);
        let all: Vec<f64> = of_case.flat_map(|(_, samples)| samples.clone()).collect();
        Summary::of(&all)
    }

    /// The sizes that the pools had, ascending.
    pub fn sizes(&self) -> Vec<u64> {
        let kernel = [Pool::Hugetlb, Pool::Module];
        self.sizes_where(|key| kernel.contains(&key.pool) && !key.case.starts_with("1G-"))
    }

    /// The sizes of the samples that `wanted` is true of, ascending.
    pub fn sizes_where(&self, wanted: impl Fn(&Key) -> bool) -> Vec<u64> {
        let keys = self.samples.keys().filter(|key| wanted(key));
        let mut sizes: Vec<u64> = keys.map(|key| key.pages).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The cases of `pool`, in alphabetical order.
    pub fn cases(&self, pool: Pool) -> Vec<&str> {
        let keys = self.samples.keys().filter(|key| key.pool == pool);
        let mut cases: Vec<&str> = keys.map(|key| key.case.as_str()).collect();
        cases.dedup();
        cases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"fact":"kernel","value":"7.3"}
{"case":"grow","pool":"module","pages":64,"round":0,"ops":64,"ns":[640]}
{"case":"grow","pool":"module","pages":64,"round":1,"ops":64,"ns":[1280]}

{"case":"clear","pool":"none","pages":64,"round":0,"ops":1,"ns":[5,7,6]}
{"skip":"1G","why":"no room"}
"#;

    #[test]
    fn samples_of_all_rounds_come_together() {
        let run = Run::parse(LINES).unwrap();
        let grow = run.get("grow", Pool::Module, 64).unwrap();
        assert_eq!((grow.samples, grow.min, grow.max), (2, 10.0, 20.0));
        assert_eq!(run.machine("clear").unwrap().median, 6.0);
        assert_eq!(run.facts["kernel"], "7.3");
        assert_eq!(run.skipped["1G"], "no room");
    }

    #[test]
    fn what_was_not_measured_is_none() {
        let run = Run::parse(LINES).unwrap();
        assert_eq!(run.get("grow", Pool::Hugetlb, 64), None);
        assert_eq!(run.get("grow", Pool::Module, 512), None);
        assert_eq!(run.machine("grown"), None);
    }

    #[test]
    fn sizes_are_those_of_the_pools() {
        let more = r#"{"case":"grow","pool":"hugetlb","pages":8,"round":0,"ops":8,"ns":[1]}
{"case":"1G-grow","pool":"hugetlb","pages":1,"round":0,"ops":1,"ns":[1]}"#;
        let run = Run::parse(&format!("{LINES}{more}")).unwrap();
        assert_eq!(run.sizes(), [8, 64]);
    }

    #[test]
    fn another_line_is_an_error() {
        for wrong in [
            "Killed",
            r#"{"case":"grow","pool":"module","pages":64,"round":0,"ops":0,"ns":[1]}"#,
            r#"{"case":"grow","pool":"ours","pages":64,"round":0,"ops":1,"ns":[1]}"#,
            r#"{"case":"grow","pool":"module","pages":64,"round":0,"ops":1}"#,
            r#"{"case":"grow","pool":"module","pages":64,"round":0,"ops":1,"ns":[-1]}"#,
        ] {
            let text = format!("{LINES}{wrong}");
            let error = Run::parse(&text).unwrap_err();
            assert!(error.starts_with("line 7: "), "{error}");
        }
    }
}
