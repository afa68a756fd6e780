// SPDX-License-Identifier: GPL-2.0

//! What `make bench` measured: samples read, summed up, compared with the targets of DESIGN.md, and
//! shown as a table and as charts. The programs are in `src/bin`.

pub mod chart;
pub mod facts;
pub mod growth;
pub mod number;
pub mod option;
pub mod results;
pub mod sample;
pub mod stats;
pub mod summary;
pub mod table;
pub mod target;
