// SPDX-License-Identifier: GPL-2.0

//! What to do: every decision of the module, and nothing else.
//!
//! Pure: no unsafe, no locks, no allocation, no kernel types. The shell calls in here under its
//! locks, does what it is told through [`mm`](crate::mm), and comes back with the outcome. Because
//! of that the same files compile on a development machine (`host/`), where every interleaving of
//! the steps can be tried without a kernel.
//!
//! May not: import anything from `kernel`, from `crate::mm` or from the shell.

#![forbid(unsafe_code)]

pub mod count;
pub mod coverage;
pub mod demote;
pub mod frame;
pub mod growth;
pub mod node;
pub mod oom;
pub mod patrol;
pub mod placement;
pub mod pool;
pub mod private;
pub mod promote;
pub mod range;
pub mod refusal;
pub mod regions;
pub mod reserve;
pub mod resize;
pub mod scrub;
pub mod size;
pub mod survey;
