// SPDX-License-Identifier: GPL-2.0

//! debugfs, and the module's files there.

use crate::pool::Pool;
use crate::{check, mount, Check, Errno};

/// Mounts debugfs where it is expected, once.
pub fn mount() -> Check {
    let mounted = mount::mount(c"debugfs", c"/sys/kernel/debug");
    check!(
        matches!(mounted, Ok(()) | Err(Errno(libc::EBUSY))),
        "mounting debugfs: {mounted:?}"
    );
    Ok(())
}

/// The map of all ranges that could be a page of `pool`.
pub fn map_file(pool: Pool) -> String {
    let kib = pool.page_bytes() >> 10;
    format!("/sys/kernel/debug/rust_hugetlb/hugepages-{kib}kB")
}
