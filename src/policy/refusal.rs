// SPDX-License-Identifier: GPL-2.0

//! Why policy says no.
//!
//! One small enum; the shell turns it into an errno in one table (`src/errno.rs`).

/// A reason to refuse a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An address, a length or an offset is no multiple of the huge page size.
    Unaligned,
    /// The mapping is private (`MAP_PRIVATE`), which pages of this size cannot be.
    Private,
    /// A range has no length.
    Empty,
    /// A file cannot be that large.
    TooLarge,
    /// The pool has too few pages for a reservation, and may or can not make more.
    NoPages,
    /// A page that was to change its size cannot: it is poisoned, or somebody looks at it.
    Busy,
    /// A sum of addresses, lengths or offsets wraps, or is past the end of any file.
    Overflow,
}
