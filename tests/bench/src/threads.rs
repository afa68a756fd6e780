// SPDX-License-Identifier: GPL-2.0

//! What two CPUs do against one.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use guest::map::Map;
use guest::policy::run_on_cpu;
use guest::pool::Pool;
use guest::{call, Check, Fail};

use crate::clock::now;
use crate::knob::{resize, Knob};
use crate::machine::second_cpu;
use crate::mapped::Mapped;
use crate::sample::Round;

/// All cases. The pool is empty before and after.
pub fn run(round: &Round, pool: Pool, nr: &Knob) -> Check {
    for (threads, cases) in [
        (1, ["touch-1-thread", "map-1-thread"]),
        (2, ["touch-2-threads", "map-2-threads"]),
    ] {
        resize(pool, nr, round.pages)?;
        let mut mapped = Mapped::new(pool, round.pages)?;
        let share = round.pages / threads;
        for case in cases {
            let shares: Vec<_> = (0..threads)
                .map(|thread| (mapped.map(), thread * share..(thread + 1) * share))
                .collect();
            round.whole(case, touch(&shares)?);
            mapped = mapped.anew(pool)?;
        }
        mapped.end()?;
        resize(pool, nr, 0)?;
    }
    let half = round.pages / 2;
    resize(pool, nr, round.pages)?;
    let files = [Mapped::new(pool, half)?, Mapped::new(pool, half)?];
    let shares = files.each_ref().map(|file| (file.map(), 0..half));
    round.whole("touch-2-files", touch(&shares)?);
    for file in files {
        file.end()?;
    }
    resize(pool, nr, 0)?;
    let alone = grow_alone(round, pool, nr);
    second_cpu(true)?;
    alone?;
    // Bound to one CPU its helpers might be, too.
    run_anywhere()?;
    let span = resize(pool, nr, round.pages)?;
    run_on_cpu(0)?;
    round.whole("grow-2-cpus", span);
    resize(pool, nr, 0)?;
    Ok(())
}

/// Lets this thread run on any CPU.
fn run_anywhere() -> Check {
    // SAFETY: All zeroes is the empty set, which CPU_SET adds to; the call reads the set.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        (0..libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(cpu, &mut all));
        call(libc::sched_setaffinity(0, size_of_val(&all), &all))?;
    }
    Ok(())
}

fn grow_alone(round: &Round, pool: Pool, nr: &Knob) -> Check {
    second_cpu(false)?;
    round.whole("grow-1-cpu", resize(pool, nr, round.pages)?);
    resize(pool, nr, 0)?;
    Ok(())
}

/// Touches all pages, each share by a thread on a CPU of its own; from the first start to the last end.
fn touch(shares: &[(&Map, Range<usize>)]) -> Check<u64> {
    let ready = AtomicUsize::new(0);
    let run = |cpu: usize, map: &Map, pages: Range<usize>| -> Check<(u64, u64)> {
        let pinned = run_on_cpu(cpu);
        ready.fetch_add(1, Ordering::SeqCst);
        while ready.load(Ordering::SeqCst) < shares.len() {
            std::hint::spin_loop();
        }
        pinned?;
        let start = now();
        for page in pages {
            map.write(page * map.page_bytes(), 1);
        }
        Ok((start, now()))
    };
    let spans = thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(cpu, (map, pages))| scope.spawn(move || run(cpu, map, pages.clone())))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<_>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Fail("a thread died".to_string())))
        };
        running.into_iter().map(join).collect::<Check<Vec<_>>>()
    })?;
    let first = spans.iter().map(|(start, _)| *start).min();
    let last = spans.iter().map(|(_, end)| *end).max();
    Ok(last.zip(first).map_or(0, |(last, first)| last - first))
}
