// SPDX-License-Identifier: GPL-2.0

//! Loading the module.

use std::{env, fs};

use guest::kmod::{load, loaded, unload, Reloaded};
use guest::memory::{all_is_back, settled_free_kib};
use guest::pool::OURS;
use guest::{check, same, Check};

use crate::fault::{Fault, NO_MEMORY};

/// How many of its allocations fail, one in each load, unless the environment says so: a load takes
/// seconds on a kernel that is slow to free what it is told to.
const LOADS: usize = 12;

/// Loads it with an allocation failing; whether it had so many.
fn load_without(fault: &Fault, number: usize) -> Check<(bool, bool)> {
    let (result, failed) = fault.during(number, || load("hugepages_2M=4"))?;
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
    Ok((result.is_err(), failed))
}

pub fn insmod() -> Check {
    let loads = match env::var("INJECT_LOADS") {
        Ok(number) => number.parse()?,
        Err(_) => LOADS,
    };
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    let fault = Fault::new()?;
    // The kernel itself warns of some that fail here; with these lines before them they are known.
    for kind in ["failslab", "fail_page_alloc"] {
        fs::write(format!("/sys/kernel/debug/{kind}/verbose"), "1")?;
    }
    let total = fault.count(|| load("hugepages_2M=4"))?;
    unload()?;
    let before = settled_free_kib()?;
    // The kernel's own part comes first, and ours, in which all of them matter, last.
    let last = (total - total / 4..total).step_by((total / 2 / loads).max(1));
    let (mut tried, mut refused) = (0, 0);
    for number in (1..total).step_by((2 * total / loads).max(1)).chain(last) {
        let (was_refused, _) = load_without(&fault, number)?;
        tried += 1;
        refused += usize::from(was_refused);
    }
    println!("# allocations in a load: {total}, failed: {tried}, loads refused: {refused}");
    check!(refused > 0, "nothing was refused");
    all_is_back(before, settled_free_kib()?)
}
