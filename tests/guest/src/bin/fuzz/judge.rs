// SPDX-License-Identifier: GPL-2.0

//! Runs a sequence in processes of its own, and looks at what they left.

use std::{fs, ptr};

use guest::child::fork;
use guest::memory::{all_is_back, meminfo, settled_free_kib};
use guest::pool::{write_once, Resized, OURS, OURS_1G};
use guest::{access, call, check, poll, same, Check, Fail};

use crate::calls::CALLS;
use crate::coverage::{Coverage, Reached};
use crate::sequence::Sequence;
use crate::state::State;

const MEMINFO: &str = "/proc/meminfo";
/// Pages in the pool when a sequence begins.
const PAGES: u64 = 12;
/// Seconds after which a process hangs.
const LIMIT: u32 = 300;
/// What a process says before its first call.
const BEGUN: u64 = 1;

pub struct Judge {
    coverage: Option<Coverage>,
    _pool: Resized,
    /// With no page in the pool: how much was free, and /proc/meminfo.
    weighed: Option<(u64, String)>,
    /// What the kernel said of its own state when it began.
    tainted: String,
    sequences: u64,
    calls: u64,
    died: u64,
}

impl Judge {
    pub fn new(coverage: Option<Coverage>) -> Check<Self> {
        // Those whose parents are gone come to this process.
        // SAFETY: Numbers.
        call(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
        Ok(Self {
            coverage,
            weighed: None,
            _pool: Resized::ours(PAGES)?,
            tainted: tainted()?,
            sequences: 0,
            calls: 0,
            died: 0,
        })
    }

    /// From now on all memory is to come back.
    pub fn weigh(&mut self) -> Check {
        OURS.set(0)?;
        self.weighed = Some((free_kib()?, fs::read_to_string(MEMINFO)?));
        OURS.reach(PAGES)
    }

    /// Runs it: what it reached, if that is known.
    pub fn run(&mut self, sequence: &Sequence) -> Check<Option<Reached>> {
        self.verdict(sequence)
            .map_err(|Fail(why)| Fail(format!("{why}; after {sequence}")))
    }

    fn verdict(&mut self, sequence: &Sequence) -> Check<Option<Reached>> {
        let mut first = fork(|link| {
            // SAFETY: Numbers.
            unsafe {
                libc::setpgid(0, 0);
                libc::alarm(LIMIT);
            }
            // Whoever takes all memory is to be the one that dies for it.
            fs::write("/proc/self/oom_score_adj", "1000")?;
            access::catch()?;
            access::catch_unmapped()?;
            if let Some(coverage) = &self.coverage {
                coverage.begin()?;
            }
            link.send(BEGUN)?;
            let mut state = State::new();
            for call in &sequence.0 {
                CALLS[call.number].1(&mut state, call.arguments);
            }
            Ok(())
        })?;
        let status = first.wait()?;
        // SAFETY: The group has its number from the first process, which nobody else can have got: it
        // was this one's child until now.
        unsafe { libc::kill(-first.pid(), libc::SIGKILL) };
        reap();
        same!(first.link.number()?, BEGUN, "what the first process says");
        check!(!is_alarm(status), "a process hung");
        self.sequences += 1;
        self.calls += sequence.0.len() as u64;
        self.died += u64::from(status != 0);
        same!(tainted()?, self.tainted, "/proc/sys/kernel/tainted");
        self.restore()?;
        Ok(self.coverage.as_ref().map(Coverage::reached))
    }

    /// Waits until nobody has a page, and gives the pools the pages and limits that they had.
    fn restore(&self) -> Check {
        poll::until(
            "resv and used pages of 2 MiB and of 1 GiB with nobody there",
            || {
                let (ours, large) = (OURS.counts()?, OURS_1G.counts()?);
                let used = ours.nr - ours.free;
                Ok([used, ours.resv, large.nr, large.resv])
            },
            |seen| *seen == [0; 4],
        )?;
        if OURS.overcommit()? != 0 {
            OURS.set_overcommit(0)?;
        }
        if OURS_1G.overcommit()? != 0 {
            OURS_1G.set_overcommit(0)?;
        }
        let surplus = OURS.surplus()?;
        if surplus != 0 || OURS.nr()? != PAGES {
            // One node's free pages can be left as another one's surplus: they become persistent.
            OURS.reach(PAGES + surplus)?;
            OURS.reach(PAGES)?;
            same!(OURS.surplus()?, 0, "surplus_hugepages with nobody there");
        }
        write_once(&OURS.file("oom_floor"), b"max")?;
        Ok(())
    }

    pub fn tell(&self) {
        println!(
            "# sequences: {}, calls: {}, first processes that died: {}",
            self.sequences, self.calls, self.died
        );
    }

    /// Fails unless all memory is back.
    pub fn finish(self) -> Check {
        OURS.set(0)?;
        let Some((before, lines)) = &self.weighed else {
            return Ok(());
        };
        let back = all_is_back(*before, free_kib()?);
        if back.is_err() {
            // What the kernel has it for.
            let now = fs::read_to_string(MEMINFO)?;
            for (was, is) in lines.lines().zip(now.lines()).filter(|(was, is)| was != is) {
                println!("# {was}, then {is}");
            }
        }
        back
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // Whatever a sequence left, the next program is not to find it.
        let _ = write_once(&OURS.file("oom_floor"), b"max");
        let _ = write_once(&OURS.file("scrub_percent"), b"10");
        let _ = OURS_1G.set_overcommit(0);
    }
}

/// Free memory and, as the corpus grows, that of programs; without what the kernel keeps to be fast:
/// caches, and its huge page of zeros.
fn free_kib() -> Check<u64> {
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    Ok(settled_free_kib()? + meminfo("AnonPages")?)
}

/// Waits for all processes that are left.
fn reap() {
    // SAFETY: Nobody wants the status.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), 0) } > 0 {}
}

fn is_alarm(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM
}

fn tainted() -> Check<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/tainted")?)
}
