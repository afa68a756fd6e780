// SPDX-License-Identifier: GPL-2.0

//! A sequence of operations from empty pools to empty pools.
//!
//! What an episode does depends on nothing that was before it, so one that fails can be run again,
//! whole or in parts.

use crate::op::Op;
use crate::pair::{Difference, Pair, Step};

/// An episode that found a difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What was done; the difference was seen after the last of it.
    pub ops: Vec<Op>,
    pub difference: Difference,
}

/// Runs an episode of the operations that `next` gives, and shows `watch` what each did.
pub fn run(
    pair: &mut Pair,
    mut next: impl FnMut(&Pair) -> Option<Op>,
    mut watch: impl FnMut(&Op, &Step),
) -> Result<(), Failure> {
    let mut ops = vec![];
    let result = (|| {
        pair.reset()?;
        while let Some(op) = next(pair) {
            ops.push(op.clone());
            watch(&op, &pair.step(&op)?);
        }
        pair.release()
    })();
    result.map_err(|difference| Failure { ops, difference })
}

/// Runs an episode twice, the second time with the operations of the first, and compares the two.
pub fn twice(
    pair: &mut Pair,
    next: impl FnMut(&Pair) -> Option<Op>,
    mut watch: impl FnMut(&Op, &Step),
) -> Result<(), Failure> {
    let mut first: Vec<(Op, Step)> = vec![];
    run(pair, next, |op, step| {
        watch(op, step);
        first.push((op.clone(), step.clone()));
    })?;
    let mut left = first.iter();
    let mut expected = first.iter();
    let mut done = vec![];
    let mut failure = None;
    run(
        pair,
        |_| left.next().map(|(op, _)| op.clone()),
        |op, step| {
            done.push(op.clone());
            let Some((_, before)) = expected.next() else {
                return;
            };
            if failure.is_none() && step != before {
                failure = Some(Failure {
                    ops: done.clone(),
                    difference: Difference(vec![
                        format!("the first time {before}"),
                        format!("the second     {step}"),
                    ]),
                });
            }
        },
    )?;
    failure.map_or(Ok(()), Err)
}
