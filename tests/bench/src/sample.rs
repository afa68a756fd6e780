// SPDX-License-Identifier: GPL-2.0

//! What was measured, one line of JSON for a case in a round. `host/bench` reads them.

use std::fmt::Write;

use guest::pool::Pool;

/// Where the samples of one round come from.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// None: of neither pool.
    pub pool: Option<Pool>,
    /// How many pages the pool has, or the mapping.
    pub pages: usize,
    /// None: to warm up, nothing is printed.
    pub number: Option<usize>,
}

impl Round {
    /// Each of `spans` is what `operations` of them took together, in nanoseconds.
    pub fn samples(&self, case: &str, operations: usize, spans: &[u64]) {
        let Some(round) = self.number else { return };
        let pool = self.pool.map_or("none", pool_name);
        println!(
            "{{\"case\":\"{case}\",\"pool\":\"{pool}\",\"pages\":{},\"round\":{round},\
             \"ops\":{operations},\"ns\":{}}}",
            self.pages,
            list(spans)
        );
    }

    /// Each of `spans` is what the operation took once.
    pub fn each(&self, case: &str, spans: &[u64]) {
        self.samples(case, 1, spans);
    }

    /// What the operation took for all pages together.
    pub fn whole(&self, case: &str, span: u64) {
        self.samples(case, self.pages, &[span]);
    }
}

/// What holds for the whole run: `key` is one of its `facts`.
pub fn fact(key: &str, value: &str) {
    println!("{{\"fact\":\"{key}\",\"value\":\"{}\"}}", escaped(value));
}

/// A case that was left out, and why.
pub fn skip(case: &str, why: &str) {
    println!("{{\"skip\":\"{case}\",\"why\":\"{}\"}}", escaped(why));
}

fn pool_name(pool: Pool) -> &'static str {
    if pool.is_ours() {
        "module"
    } else {
        "hugetlb"
    }
}

fn list(spans: &[u64]) -> String {
    let mut text = String::from("[");
    for (index, span) in spans.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{span}");
    }
    text.push(']');
    text
}

/// As it stands in a JSON string.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|letter| match letter {
            '"' | '\\' => vec!['\\', letter],
            letter if letter.is_control() => vec![' '],
            letter => vec![letter],
        })
        .collect()
}
