// SPDX-License-Identifier: GPL-2.0

//! The targets in the project's README, as results.json has them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::table;
use crate::target::Target;

const BEGIN: &str =
    "<!-- bench: written by make bench, make check compares it with docs/bench -->\n";
const END: &str = "<!-- bench: end -->\n";

/// What is needed of results.json.
#[derive(Debug, Deserialize)]
struct Stored {
    boots: Vec<Boot>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Boot {
    name: String,
    unit: String,
    facts: BTreeMap<String, String>,
}

/// `readme` with the results in it, between the marks.
pub fn put(results: &str, readme: &str) -> Result<String, String> {
    let stored: Stored = serde_json::from_str(results).map_err(|error| error.to_string())?;
    let (before, rest) = readme.split_once(BEGIN).ok_or("no mark to begin at")?;
    let (_, after) = rest.split_once(END).ok_or("no mark to end at")?;
    let (measured, targets) = (measured(&stored.boots), table::targets(&stored.targets));
    Ok(format!(
        "{before}{BEGIN}\n{targets}\n{measured}\n{END}{after}"
    ))
}

/// What was measured, and where: boots of the same state of the source together.
fn measured(boots: &[Boot]) -> String {
    let mut states: BTreeMap<[&str; 2], Vec<String>> = BTreeMap::new();
    for boot in boots {
        let fact = |key: &str| boot.facts.get(key).map_or("unknown", String::as_str);
        // A boot without a kernel measured nothing.
        if boot.facts.contains_key("kernel") {
            let boots = states.entry([fact("source"), fact("kernel")]).or_default();
            // What others do on the machine adds to a time.
            let load = boot.facts.get("load").filter(|_| boot.unit == "ns");
            let load = load.map_or(String::new(), |load| format!(" (load {load})"));
            boots.push(boot.name.clone() + &load);
        }
    }
    let states = states.iter().map(|([source, kernel], boots)| {
        format!(
            "Source tree {source}, kernel {kernel}, boots {}.",
            boots.join(", ")
        )
    });
    states.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"{
        "boots": [
            {"name": "icount", "unit": "instructions", "cases": [],
             "facts": {"kernel": "7.3", "source": "abc", "load": "9"}},
            {"name": "cpus", "unit": "ns",
             "facts": {"kernel": "7.3", "source": "abc", "load": "9"}},
            {"name": "kvm", "unit": "ns", "facts": {}}
        ],
        "targets": [{"case": "grow", "hugetlb": "2", "module": "1", "ratio": "0.500",
                     "target": "≤ 1", "verdict": "met"}]
    }"#;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let readme = format!("above\n{BEGIN}old\n{END}below\n");
        let new = put(RESULTS, &readme).unwrap();
        assert!(
            new.starts_with("above\n") && new.ends_with("below\n"),
            "{new}"
        );
        assert!(
            new.contains("| grow | 2 | 1 | 0.500 | ≤ 1 | met |"),
            "{new}"
        );
        assert!(
            new.contains("Source tree abc, kernel 7.3, boots icount, cpus (load 9)."),
            "{new}"
        );
        assert!(!new.contains("old"), "{new}");
        assert_eq!(put(RESULTS, &new).unwrap(), new);
    }

    #[test]
    fn without_marks_nothing_is_put_anywhere() {
        for readme in ["", BEGIN, END] {
            put(RESULTS, readme).unwrap_err();
        }
    }
}
