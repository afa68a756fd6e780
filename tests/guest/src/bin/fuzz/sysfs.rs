// SPDX-License-Identifier: GPL-2.0

//! The calls that write and read the pool's files.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use guest::pool::{OURS, OURS_1G};
use guest::{check, Check, GIGANTIC};

use crate::state::State;
use crate::values::{self, pick};

/// A name that begins with a slash is a path of its own. Where there is one node, its files stand for
/// those of the second.
fn path(name: &str) -> PathBuf {
    let all = Path::new("/sys/kernel/rust_hugetlb");
    match name.strip_prefix("node1/") {
        Some(rest) if !all.join("node1").exists() => all.join("node0").join(rest),
        _ => all.join(name),
    }
}

/// Fails unless every file that is written or read here exists: what cannot be opened tests nothing.
pub fn all_there() -> Check {
    for name in values::FILES.iter().chain(&values::COUNTERS) {
        let path = path(name);
        check!(path.exists(), "there is no {}", path.display());
    }
    Ok(())
}

fn open(name: &str, flags: i32) -> i32 {
    let Ok(path) = CString::new(path(name).into_os_string().into_encoded_bytes()) else {
        return -1;
    };
    // SAFETY: A C string.
    unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) }
}

pub fn write(state: &mut State, [file, text, ..]: [u8; 4]) -> i64 {
    let name = pick(&values::FILES, file);
    let fd = open(name, libc::O_WRONLY);
    if let Some(user) = &state.user {
        user.wrote(name, guest::call(fd));
    }
    let text = match name {
        name if !values::is_few(name) => pick(&values::TEXTS, text),
        _ if holds_gigantic() => "0",
        _ => pick(&values::FEW, text),
    };
    // SAFETY: The text is there.
    unsafe {
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        libc::close(fd);
        written as i64
    }
}

/// Whether the pools have 1 GiB already. They are not given a second one: demoted pages and new ones
/// could take all memory of a guest, however large it is.
fn holds_gigantic() -> bool {
    let bytes = || -> Check<u64> {
        let small = OURS.nr()? * OURS.page_bytes() as u64;
        Ok(small + OURS_1G.nr()? * OURS_1G.page_bytes() as u64)
    };
    bytes().map_or(true, |bytes| bytes >= GIGANTIC as u64)
}

/// Reads a file, of a long one the beginning: a map of all memory takes longer than a sequence.
pub fn read(_: &mut State, [file, ..]: [u8; 4]) -> i64 {
    const PARTS: i64 = 3;
    let fd = open(pick(&values::COUNTERS, file), libc::O_RDONLY);
    let mut text = [0u8; 4096];
    let parts = (0..PARTS).map(|_| {
        // SAFETY: There is room.
        unsafe { libc::read(fd, text.as_mut_ptr().cast(), text.len()) as i64 }
    });
    let total = parts.take_while(|read| *read > 0).sum();
    // SAFETY: A number.
    unsafe { libc::close(fd) };
    total
}
