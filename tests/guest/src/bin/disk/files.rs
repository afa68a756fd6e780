// SPDX-License-Identifier: GPL-2.0

//! Files on a disk, opened past the page cache.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use guest::{call, check, Check, HUGE};

const DISK: &str = "/dev/nvme0n1";
const FOLDER: &str = "/disk";

/// Formats the disk and mounts it with the ext4 driver.
pub fn mount() -> Check {
    check!(
        Path::new(DISK).exists(),
        "there is no {DISK}: boot with --disk 64M"
    );
    let made = Command::new("mke2fs").args(["-F", DISK]).output()?;
    check!(made.status.success(), "mke2fs {DISK}: {made:?}");
    fs::create_dir_all(FOLDER)?;
    let (disk, folder) = (c"/dev/nvme0n1", c"/disk");
    // SAFETY: The strings are terminated; there is no data.
    call(unsafe {
        libc::mount(
            disk.as_ptr(),
            folder.as_ptr(),
            c"ext4".as_ptr(),
            0,
            std::ptr::null(),
        )
    })?;
    Ok(())
}

/// An empty file, open for direct reads and writes.
pub fn empty(name: &str) -> Check<File> {
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open(Path::new(FOLDER).join(name))?)
}

/// A file of `pages` huge pages whose words are all `stamp` plus the page's number.
pub fn stamped(name: &str, pages: usize, stamp: u64) -> Check<File> {
    let mut file = File::create(Path::new(FOLDER).join(name))?;
    for page in 0..pages as u64 {
        file.write_all(&(stamp + page).to_ne_bytes().repeat(HUGE / 8))?;
    }
    file.sync_all()?;
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open(Path::new(FOLDER).join(name))?)
}

/// The first and the last word of a page of a file, as anybody reads them.
pub fn words(name: &str, page: usize) -> Check<(u64, u64)> {
    let content = fs::read(Path::new(FOLDER).join(name))?;
    let word = |from: usize| -> Check<u64> {
        check!(
            content.len() >= from + 8,
            "{name} has {} bytes",
            content.len()
        );
        Ok(u64::from_ne_bytes(content[from..from + 8].try_into()?))
    };
    Ok((word(page * HUGE)?, word((page + 1) * HUGE - 8)?))
}
