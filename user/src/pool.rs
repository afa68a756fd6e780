// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The counts of the 2 MiB pool, as the module shows them in sysfs.

use std::fs;

use crate::Error;

/// The folder with the files of the 2 MiB pool.
pub const DIRECTORY: &str = "/sys/kernel/rust_hugetlb/hugepages-2048kB";

/// Pages of the pool, surplus included.
pub fn total() -> Result<u64, Error> {
    count("nr_hugepages")
}

/// Pages that nobody uses.
pub fn free() -> Result<u64, Error> {
    count("free_hugepages")
}

/// The number in one of the pool's files, by the file's name.
pub fn count(name: &str) -> Result<u64, Error> {
    let path = format!("{DIRECTORY}/{name}");
    let text = fs::read_to_string(&path)
        .map_err(|error| Error::from_io(format!("read {path}"), &error, remedy))?;
    text.trim_end().parse().map_err(|_| {
        Error::new(
            format!("read {path}: {text:?} is no number"),
            libc::EINVAL,
            "check what is mounted there",
        )
    })
}

fn remedy(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT => "load the module: insmod rust_hugetlb.ko",
        _ => "see errno(3)",
    }
}
