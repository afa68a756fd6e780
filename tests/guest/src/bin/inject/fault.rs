// SPDX-License-Identifier: GPL-2.0

//! Making an allocation fail (Documentation/fault-injection/fault-injection.rst in the kernel tree).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use guest::pool::{Counts, OURS, OURS_1G};
use guest::{check, same, Check, Errno, Fail};

/// No call allocates so often.
const MOST: usize = 20_000;
/// A number of an allocation that never comes.
const NEVER: usize = 1 << 30;
/// How many fail in a row: one, and as many as it takes where the kernel asks once more in another way,
/// as it does for tables that can be of any size, and for the nodes of an xarray.
pub const RUNS: [usize; 2] = [1, 2];

/// The order of a page of 2 MiB.
pub const HUGE_ORDER: u32 = 9;

/// What can fail.
const KINDS: [&str; 2] = ["failslab", "fail_page_alloc"];

/// The file of a setting.
pub fn setting(kind: &str, name: &str) -> String {
    format!("/sys/kernel/debug/{kind}/{name}")
}

/// The number of the allocation of this thread that is to fail, and how many fail from there on.
pub struct Fault {
    number: File,
    many: [File; KINDS.len()],
}

impl Fault {
    /// Lets allocations fail that may sleep, too, and pages of each order.
    pub fn new() -> Check<Self> {
        fs::write(setting("fail_page_alloc", "ignore-gfp-highmem"), "N")?;
        fs::write(setting("fail_page_alloc", "min-order"), "0")?;
        fs::write(setting("failslab", "cache-filter"), "N")?;
        for kind in KINDS {
            for (name, value) in [
                ("times", "0"),
                ("task-filter", "Y"),
                ("probability", "100"),
                ("ignore-gfp-wait", "N"),
                ("verbose", "0"),
            ] {
                fs::write(setting(kind, name), value)?;
            }
        }
        fs::write("/proc/thread-self/make-it-fail", "1")?;
        let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
        let fault = Self {
            number: open("/proc/thread-self/fail-nth")?,
            many: [
                open(&setting(KINDS[0], "times"))?,
                open(&setting(KINDS[1], "times"))?,
            ],
        };
        fault.set_many(0)?;
        Ok(fault)
    }

    /// The kernel has a line in its log for each that fails.
    pub fn tell(&self) -> Check {
        KINDS
            .iter()
            .try_for_each(|kind| Ok(fs::write(setting(kind, "verbose"), "1")?))
    }

    /// Only pages of that order or more count and fail from now on, no objects: how many of those a call
    /// asks for is the same each time.
    pub fn pages_alone(&self, order: u32) -> Check {
        // Of caches that are marked for it, of which there are none.
        fs::write(setting("failslab", "cache-filter"), "Y")?;
        fs::write(setting("fail_page_alloc", "min-order"), order.to_string())?;
        Ok(())
    }

    fn set(&self, number: usize) -> Check {
        write(&self.number, number)
    }

    fn set_many(&self, many: usize) -> Check {
        self.many.iter().try_for_each(|file| write(file, many))
    }

    /// How many allocations `call` makes, which must succeed.
    pub fn count<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Check<usize> {
        self.set(NEVER)?;
        let result = call();
        let left = self.left()?;
        self.set(0)?;
        result?;
        Ok(NEVER - left)
    }

    fn left(&self) -> Check<usize> {
        let mut text = [0; 16];
        let read = self.number.read_at(&mut text, 0)?;
        Ok(std::str::from_utf8(&text[..read])?.trim_end().parse()?)
    }

    /// Does `call` with its allocation `number` failing, and those after it until `many` of a kind have.
    /// Whether it had so many.
    pub fn during<T>(
        &self,
        number: usize,
        many: usize,
        call: impl FnOnce() -> T,
    ) -> Check<(T, bool)> {
        // Nothing fails while there is a number to come; that one does in any case.
        self.set(NEVER)?;
        self.set_many(if many > 1 { many } else { 0 })?;
        self.set(number)?;
        let result = call();
        let left = self.left()?;
        self.set_many(0)?;
        self.set(0)?;
        Ok((result, left == 0))
    }
}

/// Not all of these files can seek; all take what is written as a whole.
fn write(mut file: &File, number: usize) -> Check {
    file.write_all(number.to_string().as_bytes())?;
    Ok(())
}

/// What may be answered to somebody when memory is short.
pub const NO_MEMORY: &[i32] = &[libc::ENOMEM];

/// Does `call` with what `prepare` makes, again and again, each time with a later allocation failing,
/// until none is left to fail. Its errno must be one of `refusals`; made once more with what it was
/// refused on, it must succeed. What it returned is dropped, and both pools' counters must be what
/// they were.
pub fn each<S, T>(
    refusals: &[i32],
    prepare: impl Fn() -> Check<S>,
    call: impl Fn(&mut S) -> Result<T, Errno>,
) -> Check {
    each_seen(refusals, prepare, call, |_, _| Ok(())).map(drop)
}

/// The same, where `seen` looks at what the call has done, at once or when made once more, and drops
/// what it returned. How many calls were refused.
pub fn each_seen<S, T>(
    refusals: &[i32],
    prepare: impl Fn() -> Check<S>,
    call: impl Fn(&mut S) -> Result<T, Errno>,
    seen: impl Fn(&mut S, T) -> Check,
) -> Check<usize> {
    let fault = Fault::new()?;
    RUNS.iter().try_fold(0, |refused, many| {
        Ok(refused + each_run(&fault, *many, refusals, &prepare, &call, &seen)?)
    })
}

/// The same for one of [`RUNS`].
pub fn each_run<S, T>(
    fault: &Fault,
    many: usize,
    refusals: &[i32],
    prepare: impl Fn() -> Check<S>,
    call: impl Fn(&mut S) -> Result<T, Errno>,
    seen: impl Fn(&mut S, T) -> Check,
) -> Check<usize> {
    let before = counts()?;
    let mut refused = 0;
    for number in 1..MOST {
        let failing = format!("{many} in a row from allocation {number} on");
        let mut state = prepare()?;
        let (result, failed) = fault.during(number, many, || call(&mut state))?;
        let result = result.or_else(|errno| {
            refused += 1;
            check!(failed, "refused ({errno}) with no allocation failing");
            check!(refusals.contains(&errno.0), "{failing}: {errno}");
            call(&mut state)
                .map_err(|again| Fail(format!("{failing}: {errno}; once more: {again}")))
        })?;
        seen(&mut state, result).map_err(|Fail(why)| Fail(format!("{failing}: {why}")))?;
        drop(state);
        settled(&before, &failing)?;
        if !failed {
            println!(
                "# allocations failed: {}, {many} in a row; calls refused: {refused}",
                number - 1
            );
            check!(number > 1, "it allocates nothing");
            return Ok(refused);
        }
    }
    guest::fail!("more than {MOST} allocations")
}

/// Fails unless `call` allocates nothing, so that it cannot be refused for that. Now and then the kernel
/// does something else on the way back to the program, so that is asked some times.
pub fn none<T>(call: impl Fn() -> Result<T, Errno>) -> Check {
    const TIMES: usize = 16;
    let fault = Fault::new()?;
    let mut least = usize::MAX;
    for _ in 0..TIMES {
        least = least.min(fault.count(&call)?);
    }
    same!(least, 0, "allocations of a call that needs none");
    Ok(())
}

/// Of both sizes.
fn counts() -> Check<[Counts; 2]> {
    Ok([OURS.counts()?, OURS_1G.counts()?])
}

/// Fails unless the counters are what they were.
fn settled(before: &[Counts; 2], failing: &str) -> Check {
    let after = guest::poll::until("the counters", counts, |counts| counts == before);
    same!(&after?, before, "counters, failing: {failing}");
    Ok(())
}
