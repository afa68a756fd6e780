// SPDX-License-Identifier: GPL-2.0

//! /proc/PID/maps, smaps, smaps_rollup and status. Where hugetlb has fields of its own, the sums
//! are the same here in those of file pages.

use std::fs;

use guest::beside::Side;
use guest::child::fork;
use guest::kind::{beside_both, half_touched, stamped, Kind};
use guest::map::{Map, Request, READ};
use guest::pool::OURS;
use guest::vmas::{self, Vma};
use guest::{check, same, Check, Fail, HUGE};

/// The sum of the named fields.
fn sum(vma: &Vma, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| vma.fields.get(*name)).sum()
}

/// Notes what smaps says of a mapping's parts.
fn note_smaps(side: &mut Side, what: &str, map: &Map) -> Check {
    let ours = side.pool() == OURS;
    for vma in vmas::of_map(map)? {
        let what = format!("{what}, {} bytes at {}", vma.bytes, vma.at);
        side.note(
            format_args!("{what}, protection and offset"),
            (&vma.protection, vma.offset),
        );
        for name in ["Size", "KernelPageSize", "MMUPageSize", "Locked", "Swap"] {
            check!(vma.fields.contains_key(name), "no {name} in smaps");
            side.note(format_args!("{what}, {name}"), sum(&vma, &[name]));
        }
        let (total, shared, private): (&[_], &[_], &[_]) = if ours {
            (
                &["FilePmdMapped"],
                &["Shared_Clean", "Shared_Dirty"],
                &["Private_Clean", "Private_Dirty"],
            )
        } else {
            (
                &["Shared_Hugetlb", "Private_Hugetlb"],
                &["Shared_Hugetlb"],
                &["Private_Hugetlb"],
            )
        };
        side.note(format_args!("{what}, mapped"), sum(&vma, total));
        side.note(format_args!("{what}, by others too"), sum(&vma, shared));
        side.note(format_args!("{what}, by nobody else"), sum(&vma, private));
        if ours {
            same!(sum(&vma, &["Rss"]), sum(&vma, total), "Rss");
            for name in ["AnonHugePages", "ShmemPmdMapped", "Anonymous"] {
                same!(sum(&vma, &[name]), 0, "{name}");
            }
        }
        // `ht` is hugetlb itself; `ac` is looked at elsewhere.
        let flags = vma
            .flags
            .iter()
            .filter(|flag| *flag != "ht" && *flag != "ac");
        let flags: Vec<_> = flags.collect();
        check!(!flags.is_empty(), "no VmFlags in smaps");
        side.note(format_args!("{what}, VmFlags"), flags);
    }
    Ok(())
}

pub fn of_each_mapping() -> Check {
    beside_both(8, |side, kind| {
        let file = side.open()?;
        let map = kind.pages(3).map(&file)?;
        note_smaps(side, "untouched", &map)?;
        map.write(0, 1);
        note_smaps(side, "one page written", &map)?;
        map.read(HUGE);
        note_smaps(side, "one page read", &map)?;
        let second = Request {
            protection: READ,
            ..kind.pages(2).unreserved()
        }
        .map(&file)?;
        second.read(0);
        note_smaps(side, "a second mapping", &second)?;
        note_smaps(side, "mapped twice", &map)?;
        map.protect(HUGE, HUGE, READ)?;
        note_smaps(side, "in three parts", &map)
    })
}

/// The kernel wants memory for what is private and writable, unless it is hugetlb's.
pub fn private_mappings_count_as_committed() -> Check {
    beside_both(8, |side, kind| {
        let counts = |request: Request| -> Check<bool> {
            let map = request.map(&side.open()?)?;
            let vmas = vmas::of_map(&map)?;
            Ok(vmas.iter().any(|vma| vma.flags.contains(&"ac".to_string())))
        };
        let plain = counts(kind.pages(2))?;
        let read_only = counts(Request {
            protection: READ,
            ..kind.pages(2)
        })?;
        let unreserved = counts(kind.pages(2).unreserved())?;
        side.deviates("writable", plain, false, kind == Kind::Private)?;
        side.note("others", (read_only, unreserved));
        Ok(())
    })
}

/// Reads both pages that were touched: fork takes ours out of the page tables, if they are private.
fn both_read(map: &Map) {
    map.read(0);
    map.read(HUGE);
}

pub fn after_fork_private_pages_show_when_they_are_touched() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        let pages = |map: &Map| -> Check<u64> {
            let names = ["FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb"];
            let vmas = vmas::of_map(map)?;
            Ok(vmas.iter().map(|vma| sum(vma, &names) / 2048).sum())
        };
        let child = fork(|link| {
            link.send(pages(&map)?)?;
            both_read(&map);
            link.send(pages(&map)?)?;
            link.number().map(drop)
        })?;
        let (child_at_first, child_then) = (child.link.number()?, child.link.number()?);
        let parent = pages(&map)?;
        both_read(&map);
        side.note("touched", (child_then, pages(&map)?));
        match kind {
            // Either may come back empty, if the kernel does not copy what can fault again.
            Kind::Shared => side.deviates("the parent's", parent, 2, 2)?,
            Kind::Private => {
                side.deviates("the parent's", parent, 2, 0)?;
                side.deviates("the child's", child_at_first, 2, 0)?;
            }
        }
        child.link.send(1)?;
        child.finish()
    })
}

pub fn with_a_child() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        let child = fork(|link| {
            both_read(&map);
            link.send(1)?;
            link.number()?;
            map.write(0, 2);
            link.send(1)?;
            link.number().map(drop)
        })?;
        child.link.number()?;
        both_read(&map);
        note_smaps(side, "read by both", &map)?;
        child.link.send(1)?;
        child.link.number()?;
        both_read(&map);
        note_smaps(side, "written by the child", &map)?;
        child.link.send(1)?;
        child.finish()?;
        note_smaps(side, "without the child", &map)
    })
}

pub fn maps_names_the_device() -> Check {
    beside_both(4, |side, kind| {
        let (_file, map) = stamped(side, kind, 2)?;
        let text = fs::read_to_string("/proc/self/maps")?;
        let start = format!("{:x}-", map.base() as usize);
        let line = text.lines().find(|line| line.starts_with(&start));
        let line = line.ok_or_else(|| Fail("no line in maps".to_string()))?;
        let name = line
            .split_whitespace()
            .skip(5)
            .collect::<Vec<_>>()
            .join(" ");
        side.deviates(
            "name",
            name.as_str(),
            "/memfd:pages (deleted)",
            rust_hugetlb::DEVICE,
        )
    })
}

/// The number in KiB after `name:` of a file in /proc/self; 0 if it has no such line.
fn kib(file: &str, name: &str) -> Check<u64> {
    let text = fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match line {
        Some(number) => Ok(number.trim().trim_end_matches(" kB").parse()?),
        None => Ok(0),
    }
}

/// The numbers that grow with the pages, for hugetlb's and for ours: all must be there.
const TOTALS: [(&str, [&[&str]; 2]); 2] = [
    (
        "smaps_rollup",
        [&["Shared_Hugetlb", "Private_Hugetlb"], &["FilePmdMapped"]],
    ),
    ("status", [&["HugetlbPages"], &["RssFile"]]),
];

pub fn of_the_process() -> Check {
    beside_both(8, |side, kind| {
        let ours = usize::from(side.pool() == OURS);
        let seen = || -> Check<Vec<u64>> {
            TOTALS
                .iter()
                .map(|(file, names)| names[ours].iter().map(|name| kib(file, name)).sum())
                .collect()
        };
        // Pages of this program's own file may come and go with what it runs: they do not while it
        // does the same again.
        let mut steps = Vec::new();
        for _ in 0..2 {
            steps.clear();
            let file = side.open()?;
            let map = kind.pages(3).map(&file)?;
            steps.push(seen()?);
            map.write(0, 1);
            steps.push(seen()?);
            map.read(HUGE);
            steps.push(seen()?);
            map.unmap(0, 2 * HUGE)?;
            steps.push(seen()?);
        }
        for (which, (file, _)) in TOTALS.iter().enumerate() {
            let grown: Vec<u64> = steps
                .iter()
                .map(|step| step[which].wrapping_sub(steps[0][which]))
                .collect();
            same!(grown[2], 4096, "{file} with two pages");
            side.note(file, grown);
        }
        Ok(())
    })
}

pub fn of_a_private_mapping_of_a_file_with_pages() -> Check {
    beside_both(8, |side, _| {
        let (file, shared) = stamped(side, Kind::Shared, 2)?;
        let own = Kind::Private.pages(2).map(&file)?;
        own.read(0);
        own.read(HUGE);
        note_smaps(side, "read", &own)?;
        own.write(0, 3);
        note_smaps(side, "one page copied", &own)?;
        note_smaps(side, "the file", &shared)
    })
}
