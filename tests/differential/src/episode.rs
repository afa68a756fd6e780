// SPDX-License-Identifier: GPL-2.0

//! A sequence of operations from empty pools to empty pools.
//!
//! What an episode does depends on nothing that was before it, so one that fails can be run again,
//! whole or in parts.

use crate::op::Op;
use crate::pair::{Difference, Pair, Step};

/// An episode that found a difference.
#[derive(Debug, Clone)]
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

/// Runs an episode of these operations.
pub fn replay(pair: &mut Pair, ops: &[Op]) -> Result<(), Failure> {
    let mut left = ops.iter();
    run(pair, |_| left.next().cloned(), |_, _| {})
}
