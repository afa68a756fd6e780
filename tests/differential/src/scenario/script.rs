// SPDX-License-Identifier: GPL-2.0

//! A list of operations with what each is to do and what the counters are to be afterwards.

use crate::episode;
use crate::ktap::Check;
use crate::op::Op;
use crate::outcome::describe;
use crate::pair::Pair;

/// One operation.
pub struct Line {
    /// As [`crate::parse`] reads it.
    pub op: &'static str,
    /// What it does, as [`describe`] says it; empty where it does not matter.
    pub does: &'static str,
    /// How the counters' line begins afterwards; empty where equal to hugetlb's is enough.
    pub counters: &'static str,
}

/// Runs a list on both pools, from empty to empty, and prints the counters after each operation.
pub fn run(pair: &mut Pair, lines: &[Line]) -> Check {
    let ops: Vec<Op> = lines
        .iter()
        .map(|line| line.op.parse())
        .collect::<Result<_, String>>()?;
    let mut next = ops.into_iter();
    let mut expected = lines.iter();
    let mut wrong = vec![];
    let result = episode::run(
        pair,
        |_| next.next(),
        |op, step| {
            println!("# {op:24} {}", step.after);
            let Some(line) = expected.next() else { return };
            let did = describe(&step.outcome);
            if !line.does.is_empty() && did != line.does {
                wrong.push(format!("{op}: both did {did}, not {}", line.does));
            }
            if !step.after.to_string().starts_with(line.counters) {
                wrong.push(format!("{op}: both {}, not {}", step.after, line.counters));
            }
        },
    );
    if let Err(failure) = result {
        let last = failure.ops.last().map(Op::to_string).unwrap_or_default();
        return Err(format!("{last}: {}", String::from(failure.difference)));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("; ")),
    }
}
