// SPDX-License-Identifier: GPL-2.0

//! The mappings of a process as /proc shows them, without names and addresses, which differ
//! between pools.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

use crate::map::Map;
use crate::Check;

/// One mapping, as far as it lies in the range that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vma {
    /// Where it begins, in bytes from the start of the range.
    pub at: usize,
    pub bytes: usize,
    /// As in `rw-s`.
    pub protection: String,
    /// The offset into the file where it begins; 0 without a file.
    pub offset: u64,
    /// What smaps says beside that: numbers, in KiB where they are sizes.
    pub fields: BTreeMap<String, u64>,
    /// The two-letter names after `VmFlags:`.
    pub flags: Vec<String>,
}

/// What a test that is about mappings' borders compares: at, bytes, protection, offset.
pub type Border = (usize, usize, String, u64);

/// The mappings of process `pid` in a range of addresses, ascending.
pub fn of(pid: u32, range: Range<usize>) -> Check<Vec<Vma>> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in fs::read_to_string(format!("/proc/{pid}/smaps"))?.lines() {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Some(field) = word.strip_suffix(':') else {
            let vma = head(word, rest, &range)?;
            inside = vma.is_some();
            found.extend(vma);
            continue;
        };
        let Some(vma) = found.last_mut().filter(|_| inside) else {
            continue;
        };
        if field == "VmFlags" {
            vma.flags = rest.split_whitespace().map(str::to_string).collect();
        } else {
            let number = rest.trim().trim_end_matches(" kB").parse()?;
            vma.fields.insert(field.to_string(), number);
        }
    }
    Ok(found)
}

/// The first line of a mapping: `start-end rw-s offset device inode name`; none if it is elsewhere.
fn head(addresses: &str, rest: &str, range: &Range<usize>) -> Check<Option<Vma>> {
    let (start, end) = addresses.split_once('-').unwrap_or((addresses, ""));
    let start = usize::from_str_radix(start, 16)?;
    let end = usize::from_str_radix(end, 16)?;
    if end <= range.start || start >= range.end {
        return Ok(None);
    }
    let mut words = rest.split_whitespace();
    let protection = words.next().unwrap_or_default().to_string();
    let offset = u64::from_str_radix(words.next().unwrap_or_default(), 16)?;
    let first = start.max(range.start);
    Ok(Some(Vma {
        at: first - range.start,
        bytes: end.min(range.end) - first,
        protection,
        offset,
        fields: BTreeMap::new(),
        flags: Vec::new(),
    }))
}

/// Those of this process in the range of `map`.
pub fn of_map(map: &Map) -> Check<Vec<Vma>> {
    let start = map.base() as usize;
    of(std::process::id(), start..start + map.bytes())
}

/// The borders of the mappings of this process in `bytes` bytes from `base`.
pub fn borders(base: *const u8, bytes: usize) -> Check<Vec<Border>> {
    let start = base as usize;
    let vmas = of(std::process::id(), start..start + bytes)?;
    Ok(vmas
        .into_iter()
        .map(|vma| (vma.at, vma.bytes, vma.protection, vma.offset))
        .collect())
}
