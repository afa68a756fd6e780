// SPDX-License-Identifier: GPL-2.0

//! The one table from policy's refusals to what system calls return.

use kernel::prelude::*;

use crate::policy::refusal::Refusal;

/// The errno for a refusal.
pub(crate) fn errno(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unaligned | Refusal::Empty | Refusal::Private => EINVAL,
        Refusal::TooLarge => EFBIG,
        Refusal::Overflow => EOVERFLOW,
        Refusal::NoPages => ENOMEM,
        Refusal::Busy => EBUSY,
    }
}
