// SPDX-License-Identifier: GPL-2.0

//! How the kernel does it: safe types over the few C interfaces the module needs.
//!
//! The only unsafe code. Decides nothing: nothing in here knows of pools, counters or reservations,
//! and nothing imports [`policy`](crate::policy) or the shell. Each file names the place upstream
//! where the like of it lives or belongs.

#![allow(
    unsafe_code,
    reason = "the rest of the module is denied unsafe code; this room is where it is kept"
)]

pub(crate) mod chardev;
mod compound;
pub(crate) mod cpu;
pub(crate) mod debugfs;
pub(crate) mod delayed_work;
pub(crate) mod fault;
pub(crate) mod fault_lock;
pub(crate) mod folio;
pub(crate) mod free_list;
pub(crate) mod host;
pub(crate) mod hwpoison;
pub(crate) mod ioctl;
pub(crate) mod list;
pub(crate) mod loan;
pub(crate) mod memory_map;
pub(crate) mod node;
pub(crate) mod oom_notifier;
pub(crate) mod page;
pub(crate) mod page_map;
pub(crate) mod private_page;
pub(crate) mod sysfs;
pub(crate) mod task;
pub(crate) mod version;
pub(crate) mod vm_ops;
pub(crate) mod vma;
pub(crate) mod whole;
mod zap_guard;
pub(crate) mod zone;
