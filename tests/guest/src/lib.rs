// SPDX-License-Identifier: GPL-2.0

//! What the guest tests share. Each program under `src/bin` is a list of tests around one noun and
//! prints KTAP version 1; see `README.md` for how to run one by hand.
//!
//! A test is a function that returns [`Check`]. It sets the pool to what it needs through
//! [`pool::Resized`], which puts it back, so tests depend on no order. Processes wait for one
//! another through [`link::Link`]s, never by sleeping; what the kernel gives back
//! asynchronously is awaited by [`poll::until`], which ends.

pub mod access;
pub mod beside;
pub mod broken;
pub mod bus;
pub mod cgroup;
pub mod check;
pub mod child;
pub mod debugfs;
pub mod device;
pub mod file;
pub mod former;
pub mod kind;
pub mod kmod;
pub mod ktap;
pub mod link;
pub mod map;
pub mod memory;
pub mod mount;
pub mod numa;
pub mod option;
pub mod parse;
pub mod pipe;
pub mod policy;
pub mod poll;
pub mod pool;
pub mod ptrace;
pub mod ring;
pub mod scrub;
pub mod smaps;
pub mod stamp;
pub mod swap;
pub mod thp;
pub mod tree;
pub mod vmas;
pub mod word;
pub mod worker;

pub use check::{call, Check, Errno, Fail};

/// Bytes of one huge page.
pub const HUGE: usize = 2 << 20;

/// Bytes of one gigantic page, as hugetlb calls pages that the page allocator has no block for.
pub const GIGANTIC: usize = 1 << 30;
