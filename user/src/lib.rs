// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Huge pages of the `rust_hugetlb` kernel module, for programs.
//!
//! [`HugeMapping`] is a mapping of 2 MiB pages, shared or private. It is made from a new, empty huge
//! file ([`HugeMapping::new`], [`HugeMapping::new_private`]) or from a descriptor that another process
//! passed ([`HugeMapping::from_fd`]), and it gives everything back when it is dropped. [`HugeFile`] is
//! the file behind it, whose size can be set, and whose pages can be taken and given back.
//!
//! # Why there is no plain `&[u8]`
//!
//! Whoever holds the descriptor, or was forked with the mapping, can change the bytes at any
//! moment. A `&[u8]` promises the compiler that nobody does. The safe ways in are therefore
//!
//! * the mapping as a slice of [`AtomicU64`](std::sync::atomic::AtomicU64), through `Deref`,
//! * [`HugeMapping::read_at`] and [`HugeMapping::write_at`], which copy bytes in and out by way of
//!   the same atomic words, so all safe accesses agree with one another,
//!
//! and the unsafe ones are [`HugeMapping::as_ptr`] and the slices, whose caller promises what the
//! compiler cannot know.
//!
//! # A page that cannot be had
//!
//! Making a mapping reserves its pages, which is an [`Error`] (`ENOMEM`) where the pool has too few;
//! once it is made, the first touch of each page finds one. Only where a memory policy or a cpuset
//! keeps the task from the nodes that have free pages, the touch still is a `SIGBUS`, which no
//! library can turn into an error. [`HugeMapping::populate`] takes all pages at once and returns an
//! error instead.
//!
//! [`HugeMapping::new_unreserved`] reserves nothing: a mapping larger than the pool, for a program
//! that touches few of its pages. Populate it, or expect the `SIGBUS`.

mod error;
mod file;
mod mapping;
pub mod pool;
mod words;

pub use error::Error;
pub use file::{HugeFile, Info};
pub use mapping::HugeMapping;

/// Bytes of one huge page.
pub const HUGE_PAGE_SIZE: usize = 2 << 20;

/// The device node of the default page size, which the module's parameter `default_1G` makes 1 GiB.
pub const DEVICE: &str = "/dev/rust_hugetlb";

/// The device node of 2 MiB pages, whatever the default is: what this crate opens unless told.
pub const DEVICE_2M: &str = "/dev/rust_hugetlb-2M";
