// SPDX-License-Identifier: GPL-2.0

//! insmod: its parameter, and what the kernel log says.

use std::fs;

use guest::kmod::{load, unload, users, Log, Reloaded};
use guest::map::Map;
use guest::pool::OURS;
use guest::{check, memory, poll, refused, same, Check, Fail};

pub fn parameter_sets_the_pool() -> Check {
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    load("hugepages_2M=8")?;
    let counts = OURS.counts()?;
    same!(
        (counts.nr, counts.free, counts.surplus),
        (8, 8, 0),
        "nr, free and surplus"
    );
    let on_nodes: u64 = counts.nodes.iter().map(|node| node.nr).sum();
    same!(on_nodes, 8, "pages on the nodes");
    unload()?;
    for wrong in ["hugepages_2M=-1", "hugepages_2M=many", "hugepages_2M="] {
        refused!(load(wrong), libc::EINVAL, "insmod with {wrong}");
    }
    Ok(())
}

pub fn parameter_sets_the_overcommit_limit() -> Check {
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    load("overcommit_2M=3")?;
    same!(OURS.overcommit()?, 3, "nr_overcommit_hugepages");
    let map = Map::of_new_file(3)?;
    let counts = OURS.counts()?;
    same!(
        (counts.nr, counts.resv, counts.surplus),
        (3, 3, 3),
        "nr, resv and surplus with 3 pages mapped"
    );
    drop(map);
    OURS.settles_at_nr(0)?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    load("hugepages_2M=1")?;
    same!(OURS.overcommit()?, 0, "nr_overcommit_hugepages by default");
    unload()?;
    for wrong in ["overcommit_2M=-1", "overcommit_2M=many", "overcommit_2M="] {
        refused!(load(wrong), libc::EINVAL, "insmod with {wrong}");
    }
    Ok(())
}

pub fn too_many_pages_load_with_a_warning() -> Check {
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    let asked = memory::meminfo("MemTotal")? / 2048 * 2;
    let mut log = Log::from_now()?;
    load(&format!("hugepages_2M={asked}"))?;
    let got = OURS.nr()?;
    // Nothing else gets a page meanwhile: give them back before looking.
    OURS.set(0)?;
    check!(got > 0 && got < asked, "{asked} pages asked for, {got} got");
    let lines = log.lines()?;
    let says = |line: &&String, number: u64| {
        line.split(|c: char| !c.is_ascii_digit())
            .any(|word| word == number.to_string())
    };
    let warning = lines
        .iter()
        .find(|line| says(line, got) && says(line, asked))
        .ok_or_else(|| Fail(format!("no line names {got} and {asked}: {lines:?}")))?;
    check!(
        warning.starts_with("4 "),
        "the level is not that of a warning: {warning}"
    );
    Ok(())
}

pub fn log_names_the_one_gib_support() -> Check {
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    let mut log = Log::from_now()?;
    load("")?;
    let lines = log.lines()?;
    let line = lines
        .iter()
        .find(|line| line.contains("1 GiB"))
        .ok_or_else(|| Fail(format!("no line about 1 GiB: {lines:?}")))?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let has = cpuinfo.split_whitespace().any(|flag| flag == "pdpe1gb");
    same!(
        !line.contains("no pdpe1gb"),
        has,
        "the CPU has pdpe1gb, by {line:?}"
    );
    Ok(())
}
