// SPDX-License-Identifier: GPL-2.0

//! Tests of the module's policy.
//!
//! - `count`, `node`, `size`, `range`, `pool`, `resize`: the edges of each file, as tables.
//! - `random`: random sequences of operations, against `model`, which follows mm/hugetlb.c.
//! - `interleave`: every order in which users can get between the steps of a resize, found by
//!   `explore`.
//!
//! `shell` does on this machine what the module's shell does in the kernel, from an empty pool or
//! from one that `forged` made; `world` is what lies outside: the page allocator, signals, and other
//! users of the pool.

mod config;
mod count;
mod explore;
mod forged;
mod interleave;
mod model;
mod node;
mod pool;
mod random;
mod range;
mod resize;
mod shell;
mod size;
mod story;
mod world;
