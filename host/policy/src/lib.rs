// SPDX-License-Identifier: GPL-2.0

//! The files of the module's `src/policy`, and nothing else: what the tests in `tests/` run is what
//! the kernel runs. Without std, as there.

#![no_std]

#[path = "../../../src/policy/mod.rs"]
pub mod policy;
