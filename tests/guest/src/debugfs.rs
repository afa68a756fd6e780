// SPDX-License-Identifier: GPL-2.0

//! debugfs, and the module's files there.

use std::ptr;

use crate::pool::Pool;
use crate::{call, check, Check, Errno};

/// Mounts debugfs where it is expected, once.
pub fn mount() -> Check {
    // SAFETY: All three are C strings; debugfs takes no options.
    let mounted = call(unsafe {
        libc::mount(
            c"debugfs".as_ptr(),
            c"/sys/kernel/debug".as_ptr(),
            c"debugfs".as_ptr(),
            0,
            ptr::null(),
        )
    });
    check!(
        matches!(mounted, Ok(_) | Err(Errno(libc::EBUSY))),
        "mounting debugfs: {mounted:?}"
    );
    Ok(())
}

/// The map of all ranges that could be a page of `pool`.
pub fn map_file(pool: Pool) -> String {
    let kib = pool.page_bytes() >> 10;
    format!("/sys/kernel/debug/rust_hugetlb/hugepages-{kib}kB")
}
