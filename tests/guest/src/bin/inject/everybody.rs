// SPDX-License-Identifier: GPL-2.0

//! Huge pages that fail for everybody: the kernel's own threads have no number of an allocation that is
//! to fail, as [`Fault`] has one for the thread that asks for it.

use std::fs;

use guest::{Check, Fail};

use crate::fault::{setting, Fault, HUGE_ORDER};

/// What fails.
const KIND: &str = "fail_page_alloc";

/// While it lives, each page of 2 MiB or more may fail, whoever asks for it; but not for a thread that
/// has a number to come ([`Fault::count`]). Nothing smaller fails, so that the guest lives on.
#[must_use]
pub struct Everybody {
    times: u64,
}

impl Everybody {
    /// So many of a hundred fail, until `times` have. `fault` counts nothing else from now on.
    pub fn fails(fault: &Fault, percent: u32, times: u64) -> Check<Self> {
        fault.pages_alone(HUGE_ORDER)?;
        // What is put back even where a setting is refused.
        let this = Self { times };
        set("probability", percent)?;
        set("task-filter", "N")?;
        set("times", times)?;
        Ok(this)
    }

    /// How many have failed.
    pub fn failed(&self) -> Check<u64> {
        let left = fs::read_to_string(setting(KIND, "times"))?;
        Ok(self.times - left.trim_end().parse::<u64>()?)
    }
}

impl Drop for Everybody {
    fn drop(&mut self) {
        // As [`Fault::new`] has them.
        for (name, value) in [("times", "0"), ("task-filter", "Y"), ("probability", "100")] {
            if let Err(Fail(why)) = set(name, value) {
                println!("# {name} of {KIND} stays: {why}");
            }
        }
    }
}

fn set(name: &str, value: impl ToString) -> Check {
    Ok(fs::write(setting(KIND, name), value.to_string())?)
}
