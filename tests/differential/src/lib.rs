// SPDX-License-Identifier: GPL-2.0

//! hugetlb and rust_hugetlb side by side: the same operations on both, everything that can be seen
//! compared after each.
//!
//! ```text
//! generate ──► op ──► pair ──► world (hugetlb) ──► outcome ┐
//!                        └───► world (ours)    ──► outcome ┴─► same? counters the same?
//! ```
//!
//! An [`op::Op`] names files and mappings by slot, so that a list of them means the same whatever
//! addresses and descriptors the kernel hands out, and so that a list with some of them taken out
//! still means something: what has lost its slot does nothing. [`shrink`] relies on that.
//!
//! Everything happens in one thread of one process, and in children that it waits for: the task's
//! memory policy and CPU are the same for both pools.

pub mod backend;
pub mod child;
pub mod counters;
pub mod cpuset;
pub mod episode;
pub mod generate;
pub mod ktap;
pub mod machine;
pub mod module;
pub mod op;
pub mod outcome;
pub mod pair;
pub mod parse;
pub mod policy;
pub mod scenario;
pub mod shrink;
pub mod sys;
pub mod tally;
pub mod text;
pub mod touch;
pub mod world;

/// Bytes of one huge page.
pub const HUGE: usize = 2 << 20;
