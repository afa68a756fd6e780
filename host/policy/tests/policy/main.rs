// SPDX-License-Identifier: GPL-2.0

//! Tests of the module's policy.
//!
//! - `count`, `node`, `size`, `range` and `bytes`, `regions`, `placement`, `pool`, `resize`, `reserve`,
//!   `private`, `coverage`, `frame`, `survey`, `growth`, `convert` (demote and promote), `scrub`,
//!   `oom`, `patrol`: the edges of each file, as tables.
//! - `random`: random sequences of operations, against `model`, which follows mm/hugetlb.c; `files`:
//!   the same for files and what they are charged, `private_lives`, against `private_model`, for
//!   private mappings.
//! - `interleave`: every order in which users can get between the steps of a resize; `races`: every
//!   order in which the steps of reservations, their ends, a resize and users can mix; `file_races`:
//!   those of mappings and faults of one file, `private_races`, of private mappings of it, too. All
//!   found by `explore`. `convert_races`: random ones of demotions and promotions.
//!
//! `shell`, `job`, `file` and `private_file` do on this machine what the module's shell does in the
//! kernel, with an empty pool or with one that `forged` made; `world` is what lies outside: the page
//! allocator, signals, and other users of the pool. `machine` and `story` are such worlds.
//!
//! Neither policy nor these tests have unsafe code, so Miri would have little to find; Debian's
//! toolchain, which the kit is made of, does not carry it.

mod bytes;
mod config;
mod convert;
mod convert_races;
mod count;
mod coverage;
mod explore;
mod file;
mod file_races;
mod files;
mod forged;
mod frame;
mod growth;
mod helpers;
mod interleave;
mod job;
mod machine;
mod model;
mod node;
mod oom;
mod patrol;
mod placement;
mod pool;
mod private;
mod private_file;
mod private_lives;
mod private_model;
mod private_op;
mod private_races;
mod private_task;
mod races;
mod random;
mod range;
mod regions;
mod reserve;
mod resize;
mod scrub;
mod shell;
mod size;
mod story;
mod survey;
mod world;
