// SPDX-License-Identifier: GPL-2.0

//! Making an allocation fail (Documentation/fault-injection/fault-injection.rst in the kernel tree).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use guest::pool::{Counts, OURS, OURS_1G};
use guest::{check, same, Check, Errno};

/// No call allocates so often.
const MOST: usize = 20_000;

/// The number of the allocation of this thread that is to fail.
pub struct Fault(File);

impl Fault {
    /// Lets allocations fail that may sleep, too, and pages of each order.
    pub fn new() -> Check<Self> {
        for (name, value) in [
            ("failslab/ignore-gfp-wait", "N"),
            ("failslab/verbose", "0"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-highmem", "N"),
            ("fail_page_alloc/min-order", "0"),
            ("fail_page_alloc/verbose", "0"),
        ] {
            fs::write(format!("/sys/kernel/debug/{name}"), value)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")?;
        Ok(Self(file))
    }

    fn set(&self, number: usize) -> Check {
        self.0.write_at(number.to_string().as_bytes(), 0)?;
        Ok(())
    }

    /// How many allocations `call` makes, which must succeed.
    pub fn count<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Check<usize> {
        const MANY: usize = 1 << 30;
        self.set(MANY)?;
        let result = call();
        let left = self.left()?;
        self.set(0)?;
        result?;
        Ok(MANY - left)
    }

    fn left(&self) -> Check<usize> {
        let mut text = [0; 16];
        let read = self.0.read_at(&mut text, 0)?;
        Ok(std::str::from_utf8(&text[..read])?.trim_end().parse()?)
    }

    /// Does `call` with its allocation `number` failing. Whether it had so many.
    pub fn during<T>(&self, number: usize, call: impl FnOnce() -> T) -> Check<(T, bool)> {
        self.set(number)?;
        let result = call();
        let left = self.left()?;
        self.set(0)?;
        Ok((result, left == 0))
    }
}

/// What may be answered to somebody when memory is short.
pub const NO_MEMORY: &[i32] = &[libc::ENOMEM];

/// Does `call` with what `prepare` makes, again and again, each time with a later allocation failing,
/// until none is left to fail. Its errno must be one of `refusals`; what it returned is dropped, and
/// both pools' counters must be what they were.
pub fn each<S, T>(
    refusals: &[i32],
    prepare: impl Fn() -> Check<S>,
    call: impl Fn(&mut S) -> Result<T, Errno>,
) -> Check {
    let fault = Fault::new()?;
    let before = counts()?;
    let mut refused = 0;
    for number in 1..MOST {
        let mut state = prepare()?;
        let (result, failed) = fault.during(number, || call(&mut state))?;
        if let Err(errno) = &result {
            refused += 1;
            check!(failed, "refused ({errno}) with no allocation failing");
            check!(refusals.contains(&errno.0), "allocation {number}: {errno}");
        }
        drop(result);
        drop(state);
        settled(&before, number)?;
        if !failed {
            println!(
                "# allocations failed: {}, calls refused: {refused}",
                number - 1
            );
            check!(number > 1, "it allocates nothing");
            return Ok(());
        }
    }
    guest::fail!("more than {MOST} allocations")
}

/// Of both sizes.
fn counts() -> Check<[Counts; 2]> {
    Ok([OURS.counts()?, OURS_1G.counts()?])
}

/// Fails unless the counters are what they were.
fn settled(before: &[Counts; 2], number: usize) -> Check {
    let after = guest::poll::until("the counters", counts, |counts| counts == before);
    same!(&after?, before, "counters after allocation {number} failed");
    Ok(())
}
