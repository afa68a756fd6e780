// SPDX-License-Identifier: GPL-2.0

//! What an operator may do, as tests with a known outcome, on both pools.

pub mod files;
pub mod nodes;
pub mod relatives;
pub mod requests;
pub mod reserved;
pub mod script;
pub mod writers;
