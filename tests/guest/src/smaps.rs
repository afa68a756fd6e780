// SPDX-License-Identifier: GPL-2.0

//! The lines of a range of addresses in /proc/self/smaps.

use std::fs;

use crate::{check, same, Check, GIGANTIC, HUGE};

/// The numbers of KiB in field `name`, one for each mapping that starts in the `bytes` bytes from
/// `base`. There may be several where one was made: the kernel splits before it looks further.
fn kib(base: *const u8, bytes: usize, name: &str) -> Check<Vec<u64>> {
    let range = base as usize..base as usize + bytes;
    let mut inside = false;
    let mut numbers = Vec::new();
    for line in fs::read_to_string("/proc/self/smaps")?.lines() {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // Only the first line of a mapping has no colon after its first word.
        match (word.strip_suffix(':'), word.split_once('-')) {
            (Some(field), _) if inside && field == name => {
                numbers.push(rest.trim().trim_end_matches(" kB").parse()?);
            }
            (None, Some((start, _))) => {
                inside = range.contains(&usize::from_str_radix(start, 16)?);
            }
            _ => {}
        }
    }
    check!(!numbers.is_empty(), "no {name} of {range:x?} in smaps");
    Ok(numbers)
}

/// Fails unless the first `mapped` of `pages` pages from `base` are there, mapped huge.
pub fn huge(base: *const u8, pages: usize, mapped: usize) -> Check {
    let bytes = pages * HUGE;
    for name in ["FilePmdMapped", "Rss"] {
        let total: u64 = kib(base, bytes, name)?.iter().sum();
        same!(total, (mapped * HUGE / 1024) as u64, "{name}");
    }
    for name in ["KernelPageSize", "MMUPageSize"] {
        let sizes = kib(base, bytes, name)?;
        check!(sizes.iter().all(|&size| size == 2048), "{name}: {sizes:?}");
    }
    Ok(())
}

/// Fails unless all `pages` pages from `base` are there, mapped huge.
pub fn all_huge(base: *const u8, pages: usize) -> Check {
    huge(base, pages, pages)
}

/// Fails unless the mapping at `base` says that its pages are of 1 GiB. The look takes them out of
/// the page tables.
pub fn gigantic(base: *const u8) -> Check {
    for name in ["KernelPageSize", "MMUPageSize"] {
        same!(
            kib(base, GIGANTIC, name)?,
            [GIGANTIC as u64 / 1024],
            "{name}"
        );
    }
    Ok(())
}
