// SPDX-License-Identifier: GPL-2.0

//! hugetlb and rust_hugetlb side by side: the same operations on both, everything that can be seen
//! compared after each.
//!
//! ```text
//! generate ──► op ──► pair ──► family ──► world (hugetlb) ──► outcome ┐
//!                                    └───► world (ours)    ──► outcome ┴─► same? counters the same?
//! ```
//!
//! An [`op::Op`] names files by slot and memory by slot and page, so that a list of them means the
//! same whatever addresses and descriptors the kernel hands out, and so that a list with some of
//! them taken out still means something: what has lost its file or its process does nothing.
//! [`shrink`] relies on that.
//!
//! Each process has one thread, and only one of them does something at a time. A child has what its
//! parent had of both pools: one child, one memory policy and one CPU for both.

pub mod advice;
pub mod arena;
pub mod backend;
pub mod counters;
pub mod cpuset;
pub mod deviations;
pub mod episode;
pub mod family;
pub mod file;
pub mod generate;
pub mod history;
pub mod ktap;
pub mod machine;
pub mod maps;
pub mod miss;
pub mod module;
pub mod op;
pub mod outcome;
pub mod pair;
pub mod parse;
pub mod pids;
pub mod policy;
pub mod print;
pub mod remote;
pub mod scenario;
pub mod shrink;
pub mod size;
pub mod stamp;
pub mod sys;
pub mod tally;
pub mod text;
pub mod touch;
pub mod world;

pub use size::HUGE;
