// SPDX-License-Identifier: GPL-2.0

//! What the numbers depend on: the machine, the clock, what a clear costs.

use std::time::{Duration, Instant};
use std::{fs, thread};

use guest::{check, Check, HUGE};

use crate::clock;
use crate::sample::{self, Round};

/// How many turns of a loop of two instructions show what a nanosecond is.
const TURNS: u64 = 1_000_000;
/// How often a page is cleared to know what that takes.
const CLEARS: usize = 5;
/// How long a kernel may take to become quiet, over how long it must be, and what others may run
/// then, in hundredths of a second.
const QUIET_LIMIT: Duration = Duration::from_secs(120);
const QUIET_LOOK: Duration = Duration::from_millis(500);
const QUIET_TICKS: u64 = 2;

/// Prints what holds for the whole run, once the clock is right.
pub fn say() -> Check {
    let source = settled_clock()?;
    sample::fact("kernel", &line("/proc/sys/kernel/osrelease")?);
    sample::fact("cpu", &field("/proc/cpuinfo", "model name")?);
    let cpus = std::thread::available_parallelism()?;
    let online = line("/sys/devices/system/cpu/online")?;
    sample::fact("cpus", &format!("{online} (this program: {cpus})"));
    sample::fact("memory", &field("/proc/meminfo", "MemTotal")?);
    sample::fact("clocksource", &source);
    sample::fact("clock_ns", &clock::own_cost().to_string());
    Ok(())
}

/// The clock source, once the kernel has finished starting.
///
/// It begins with a rough idea of how fast its processor's counter is, called tsc-early, and has a
/// better one a second later. And it tests its ciphers for some seconds beside all else.
fn settled_clock() -> Check<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let end = Instant::now() + QUIET_LIMIT;
    loop {
        let (idle, all) = ticks()?;
        // Nothing tells when it changes. While all sleep, an emulator that counts skips the time.
        thread::sleep(QUIET_LOOK);
        let source = line(path)?;
        let (idle_now, all_now) = ticks()?;
        let busy = (all_now - all) - (idle_now - idle);
        if source != "tsc-early" && busy <= QUIET_TICKS {
            return Ok(source);
        }
        check!(
            Instant::now() < end,
            "others run on the processors ({busy} ticks), or the clock is still {source}"
        );
    }
}

/// How many ticks of all processors were idle, and how many there were.
fn ticks() -> Check<(u64, u64)> {
    let first = line("/proc/stat")?;
    let first = first.lines().next().unwrap_or_default();
    let fields = first.split_whitespace().skip(1).map(str::parse);
    let counts: Vec<u64> = fields.collect::<Result<_, _>>()?;
    // user nice system idle iowait ...
    let idle = counts.iter().skip(3).take(2).sum();
    Ok((idle, counts.iter().sum()))
}

/// Samples of a loop of known length and of clearing a page.
pub fn calibrate(round: &Round) -> Check {
    let round = Round {
        pool: None,
        ..*round
    };
    round.samples(
        "instruction",
        2 * TURNS as usize,
        &[clock::known_loop(TURNS)],
    );
    let mut page = vec![1; HUGE];
    let spans: Vec<u64> = (0..CLEARS).map(|_| clock::clear(&mut page)).collect();
    round.each("clear", &spans);
    Ok(())
}

/// Takes the second CPU away, or brings it back.
pub fn second_cpu(online: bool) -> Check {
    let path = "/sys/devices/system/cpu/cpu1/online";
    fs::write(path, if online { "1" } else { "0" })?;
    Ok(())
}

fn line(path: &str) -> Check<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_string())
}

/// What follows `name` and a colon in a file, the first time.
pub fn field(path: &str, name: &str) -> Check<String> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == name).then(|| value.trim().to_string())
    });
    value.ok_or_else(|| guest::Fail(format!("{path} has no {name}")))
}
