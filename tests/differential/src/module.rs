// SPDX-License-Identifier: GPL-2.0

//! The module, unloaded and loaded again: what a difference left behind in it is gone.

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::ktap::Check;
use crate::sys::{call, errno_name};

/// Where `qemu/run` puts it.
const PATH: &str = "/lib/modules/rust_hugetlb.ko";

/// Loads the module anew, without parameters. Nobody may use it.
pub fn reload() -> Check {
    let file = File::open(PATH).map_err(|error| format!("{PATH}: {error}"))?;
    // SAFETY: Both strings are C strings.
    let (unloaded, loaded) = unsafe {
        let name = c"rust_hugetlb".as_ptr();
        (
            call(libc::syscall(
                libc::SYS_delete_module,
                name,
                libc::O_NONBLOCK,
            )),
            call(libc::syscall(
                libc::SYS_finit_module,
                file.as_raw_fd(),
                c"".as_ptr(),
                0,
            )),
        )
    };
    unloaded.map_err(|errno| format!("unload the module: {}", errno_name(errno)))?;
    loaded.map_err(|errno| format!("load the module: {}", errno_name(errno)))?;
    Ok(())
}
