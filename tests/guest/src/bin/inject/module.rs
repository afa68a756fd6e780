// SPDX-License-Identifier: GPL-2.0

//! Loading the module, and unloading it.

use std::env::args;

use guest::kmod::{load, loaded, unload, users, Reloaded};
use guest::ktap::goes_on;
use guest::memory::{all_is_back, meminfo, settled_free_kib};
use guest::pool::OURS;
use guest::{check, poll, same, Check};

use crate::fault::{Fault, NO_MEMORY};

/// How many of its allocations fail, one in each load, unless all are asked for: a load
/// takes seconds on a kernel that is slow to free what it is told to.
const LOADS: usize = 12;
/// The same of those of an unload.
const UNLOADS: usize = 5;

/// The numbers of those that fail, of so many: the argument `2/5` asks for the second of each five, so
/// that all have failed when five guests each did a part. Else `some` of them.
fn to_fail(total: usize, some: impl FnOnce() -> Vec<usize>) -> Check<Vec<usize>> {
    match args().nth(2).as_deref().and_then(|arg| arg.split_once('/')) {
        Some((part, parts)) => Ok((part.parse()?..=total).step_by(parts.parse()?).collect()),
        None => Ok(some()),
    }
}

fn some_of_a_load(total: usize) -> Vec<usize> {
    // The kernel's own part comes first, and ours, in which all of them matter, last.
    let all = (1..total).step_by((2 * total / LOADS).max(1));
    let last = (total - total / 4..total).step_by((total / 2 / LOADS).max(1));
    all.chain(last).collect()
}

/// Free KiB, and those that are mapped anew: of the memory for a module's text the kernel keeps 2 MiB
/// for the next one (mm/execmem.c). What the module itself lost there kmemleak would find.
fn free_or_mapped_kib() -> Check<u64> {
    Ok(settled_free_kib()? + meminfo("VmallocUsed")?)
}

/// Loads it with an allocation failing. Whether that was refused.
///
/// No page may be missing when it is gone. That is asked after each load, as the kernel keeps some KiB of
/// each: page tables where the direct map was split for the module's text, and what it needs to debug.
fn load_without(fault: &Fault, number: usize) -> Check<bool> {
    let before = free_or_mapped_kib()?;
    let (result, failed) = fault.during(number, 1, || load("hugepages_2M=4"))?;
    match result {
        Ok(()) => {
            let nr = OURS.nr()?;
            check!(nr <= 4, "{nr} pages of 4");
            unload()?;
        }
        Err(errno) => {
            check!(failed, "refused ({errno}) with no allocation failing");
            check!(
                NO_MEMORY.contains(&errno.0),
                "allocation {number}: insmod: {errno}"
            );
            same!(loaded(), false, "whether it is there, refused");
        }
    }
    is_back(before, number)?;
    Ok(result.is_err())
}

/// Waits for the kernel to free a module's memory, a while later.
fn is_back(before: u64, number: usize) -> Check {
    poll::until(
        &format!("KiB free, {before} before allocation {number} failed"),
        free_or_mapped_kib,
        |now| all_is_back(before, *now).is_ok(),
    )
    .map(drop)
}

pub fn insmod() -> Check {
    let _reloaded = Reloaded::after_test()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    let fault = Fault::new()?;
    // The kernel itself warns of some that fail here; with these lines before them they are known.
    fault.tell()?;
    let total = fault.count(|| load("hugepages_2M=4"))?;
    unload()?;
    let (mut tried, mut refused) = (0, 0);
    for number in to_fail(total, || some_of_a_load(total))? {
        refused += usize::from(load_without(&fault, number)?);
        tried += 1;
        goes_on();
    }
    println!("# allocations in a load: {total}, failed: {tried}, loads refused: {refused}");
    check!(refused > 0, "nothing was refused");
    Ok(())
}

/// Unloads it with an allocation failing. Whether one did, and whether the unload was refused; then it
/// goes when asked again.
fn unload_without(fault: &Fault, number: usize) -> Check<(bool, bool)> {
    let before = free_or_mapped_kib()?;
    load("hugepages_2M=4")?;
    let (result, failed) = fault.during(number, 1, unload)?;
    if let Err(errno) = &result {
        check!(failed, "refused ({errno}) with no allocation failing");
        check!(
            NO_MEMORY.contains(&errno.0),
            "allocation {number}: rmmod: {errno}"
        );
        same!(loaded(), true, "whether it is there, refused");
        unload()?;
    }
    same!(loaded(), false, "whether it is there, unloaded");
    is_back(before, number)?;
    Ok((failed, result.is_err()))
}

/// It can be loaded again after each, with all its files.
pub fn rmmod() -> Check {
    let _reloaded = Reloaded::after_test()?;
    let fault = Fault::new()?;
    fault.tell()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    let total = fault.count(unload)?;
    let some = || (1..=total).step_by(total.div_ceil(UNLOADS)).collect();
    let (mut failed, mut refused) = (0, 0);
    for number in to_fail(total, some)? {
        let (has_failed, is_refused) = unload_without(&fault, number)?;
        failed += usize::from(has_failed);
        refused += usize::from(is_refused);
        goes_on();
    }
    println!("# allocations in an unload: {total}, failed: {failed}, unloads refused: {refused}");
    check!(failed > 0, "no allocation failed");
    Ok(())
}
