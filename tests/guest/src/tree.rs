// SPDX-License-Identifier: GPL-2.0

//! All files of a folder, whatever their names: a test that looks at them finds those, too, that are
//! added after it was written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{check, fail, Check};

/// The folder of the module's files in sysfs.
pub const SYSFS: &str = "/sys/kernel/rust_hugetlb";

/// The folder of those in debugfs.
pub const DEBUGFS: &str = "/sys/kernel/debug/rust_hugetlb";

/// A file, and its permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub path: String,
    pub mode: u32,
}

/// The files in a folder and the folders in it.
pub fn files(folder: &str) -> Check<Vec<Leaf>> {
    let mut leaves = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let Ok(path) = entry.path().into_os_string().into_string() else {
            fail!("a name in {folder} is no text");
        };
        if kind.is_dir() {
            leaves.extend(files(&path)?);
        } else {
            check!(kind.is_file(), "{path} is {kind:?}");
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            leaves.push(Leaf { path, mode });
        }
    }
    Ok(leaves)
}
