// SPDX-License-Identifier: GPL-2.0

//! Making a failing list of operations short: whatever can go without the difference going is
//! taken out. First all operations of a kind, then pieces of the list, ever smaller ones (delta
//! debugging), then what children do.

use std::mem::{discriminant, Discriminant};
use std::time::{Duration, Instant};

use crate::op::Op;

/// After so long the list is short enough.
const PATIENCE: Duration = Duration::from_secs(120);

/// The shortest list found for which `fails` still says so. It does for `ops`.
pub fn shrink(ops: Vec<Op>, mut fails: impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let deadline = Instant::now() + PATIENCE;
    let mut fails = |ops: &[Op]| Instant::now() < deadline && fails(ops);
    let mut best = ops;
    best = without_kinds(best, &mut fails);
    loop {
        let before = best.len();
        best = without_pieces(best, &mut fails);
        best = without_inner(best, &mut fails);
        if best.len() == before {
            return best;
        }
    }
}

fn without_kinds(mut best: Vec<Op>, fails: &mut impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let mut kinds: Vec<(usize, Discriminant<Op>)> = vec![];
    for op in &best {
        if !kinds.contains(&kind(op)) {
            kinds.push(kind(op));
        }
    }
    for gone in kinds {
        let mut candidate = best.clone();
        candidate.retain(|op| kind(op) != gone);
        if fails(&candidate) {
            best = candidate;
        }
    }
    best
}

/// Who does what.
fn kind(op: &Op) -> (usize, Discriminant<Op>) {
    let (who, inner) = op.actor();
    (who, discriminant(inner))
}

fn without_pieces(mut best: Vec<Op>, fails: &mut impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let mut size = (best.len() / 8).max(1);
    while size > 0 {
        // From the end: what came late is least likely to be what later operations rest on.
        let mut end = best.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut candidate = best.clone();
            candidate.drain(start..end);
            if fails(&candidate) {
                best = candidate;
            }
            end = start.min(best.len());
        }
        size /= 2;
    }
    best
}

fn without_inner(mut best: Vec<Op>, fails: &mut impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    for index in 0..best.len() {
        let mut inner = 0;
        while let Op::Fork { ops, .. } = &best[index] {
            if inner >= ops.len() {
                break;
            }
            let mut candidate = best.clone();
            if let Op::Fork { ops, .. } = &mut candidate[index] {
                ops.remove(inner);
            }
            if fails(&candidate) {
                best = candidate;
            } else {
                inner += 1;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::End;

    fn files(ops: &[Op]) -> Vec<usize> {
        ops.iter()
            .filter_map(|op| match op {
                Op::Open { file } => Some(*file),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn only_what_matters_stays() {
        let ops = (0..300)
            .map(|n| match n % 3 {
                0 => Op::Open { file: n },
                1 => Op::Close { file: n },
                _ => Op::Cpu(n),
            })
            .collect();
        let short = shrink(ops, |ops| {
            let files = files(ops);
            files.contains(&27) && files.contains(&270)
        });
        assert_eq!(short, [Op::Open { file: 27 }, Op::Open { file: 270 }]);
    }

    #[test]
    fn children_shrink_too() {
        let ops = (0..5).map(|file| Op::Open { file }).collect();
        let end = End::Exit;
        let short = shrink(vec![Op::Fork { ops, end }], |ops| match ops {
            [Op::Fork { ops, .. }] => files(ops).contains(&3),
            _ => false,
        });
        let ops = vec![Op::Open { file: 3 }];
        assert_eq!(short, [Op::Fork { ops, end }]);
    }
}
