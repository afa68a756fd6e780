// SPDX-License-Identifier: GPL-2.0

//! Cpusets: control groups that let a task use some nodes' memory only.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::op::NodeList;
use crate::sys::{call, write, Returned};

const ROOT: &str = "/sys/fs/cgroup";

/// Mounts the control groups, if nobody has, and turns cpusets on.
pub fn prepare() -> Result<(), String> {
    let control = format!("{ROOT}/cgroup.subtree_control");
    if !Path::new(&control).exists() {
        let target = CString::new(ROOT).map_err(|error| error.to_string())?;
        // SAFETY: The strings are C strings; there is no data.
        let mounted = unsafe {
            libc::mount(
                c"none".as_ptr(),
                target.as_ptr(),
                c"cgroup2".as_ptr(),
                0,
                std::ptr::null(),
            )
        };
        call(mounted).map_err(|errno| format!("mount cgroup2 at {ROOT}: errno {errno}"))?;
    }
    fs::write(&control, "+cpuset").map_err(|error| format!("+cpuset to {control}: {error}"))
}

/// Moves this process into the cpuset of `nodes`.
pub fn join(nodes: NodeList) -> Returned {
    let group = format!("{ROOT}/differential-{:x}", nodes.mask());
    let put = |file: &str, text: String| {
        let file = OpenOptions::new()
            .write(true)
            .open(format!("{group}/{file}"))
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))?;
        write(&file, text.as_bytes()).map(|_| 0)
    };
    if !Path::new(&group).exists() {
        fs::create_dir(&group).map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))?;
        put("cpuset.mems", nodes.to_string())?;
    }
    put("cgroup.procs", "0".to_string())
}
