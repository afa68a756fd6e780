// SPDX-License-Identifier: GPL-2.0

//! Runs a sequence in processes of its own, and looks at what they left.

use std::{fs, ptr};

use guest::child::fork;
use guest::link::{Link, Message};
use guest::memory::{all_is_back, meminfo, settled_free_kib};
use guest::pool::{write_once, Pool, Resized, OURS, OURS_1G};
use guest::{access, call, check, fail, poll, same, Check, Fail};

use crate::calls::{open_for, CALLS};
use crate::coverage::{Coverage, Reached};
use crate::sequence::Sequence;
use crate::state::State;
use crate::sysfs;
use crate::user::{has_namespaces, User, REFUSED};

const MEMINFO: &str = "/proc/meminfo";
/// Pages in the pool when a sequence begins.
const PAGES: u64 = 12;
/// Seconds after which a process hangs.
const LIMIT: u32 = 300;
/// What a process says before its first call.
const BEGUN: u64 = 1;

pub struct Judge {
    coverage: Option<Coverage>,
    _pools: [Resized; 2],
    /// With no page in the pool: how much was free, and /proc/meminfo.
    weighed: Option<(u64, String)>,
    /// What the kernel said of its own state when it began.
    tainted: String,
    sequences: u64,
    calls: u64,
    died: u64,
    /// Sequences of a user, and the user's writes to files of the pool that were refused.
    by_user: u64,
    refused: u64,
}

impl Judge {
    pub fn new(coverage: Option<Coverage>) -> Check<Self> {
        // Those whose parents are gone come to this process.
        // SAFETY: Numbers.
        call(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
        sysfs::all_there()?;
        Ok(Self {
            coverage,
            weighed: None,
            _pools: [Resized::ours(PAGES)?, Resized::ours_1g(0)?],
            tainted: tainted()?,
            sequences: 0,
            calls: 0,
            died: 0,
            by_user: 0,
            refused: 0,
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
            let user = match sequence.by_user {
                true => Some(User::new(open_for(sequence), link)?),
                false => None,
            };
            link.send(BEGUN)?;
            let mut state = State::new(user);
            for call in &sequence.calls {
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
        self.hear(&first.link)?;
        check!(!is_alarm(status), "a process hung");
        self.sequences += 1;
        self.by_user += u64::from(sequence.by_user);
        self.calls += sequence.calls.len() as u64;
        self.died += u64::from(status != 0);
        same!(tainted()?, self.tainted, "/proc/sys/kernel/tainted");
        self.restore()?;
        Ok(self.coverage.as_ref().map(Coverage::reached))
    }

    /// What processes that are gone had to say.
    fn hear(&mut self, link: &Link) -> Check {
        loop {
            match link.receive()? {
                Message::Number(REFUSED) => self.refused += 1,
                Message::End => return Ok(()),
                Message::Failed(why) => return Err(Fail(why)),
                other => fail!("a process says {other:?}"),
            }
        }
    }

    /// Waits until nobody has a page, and gives the pools the pages and limits that they had.
    fn restore(&self) -> Check {
        poll::until(
            "used and resv pages of 2 MiB and of 1 GiB with nobody there",
            || {
                let (ours, large) = (OURS.counts()?, OURS_1G.counts()?);
                let used = |nr: u64, free| nr - free;
                Ok([
                    used(ours.nr, ours.free),
                    ours.resv,
                    used(large.nr, large.free),
                    large.resv,
                ])
            },
            |seen| *seen == [0; 4],
        )?;
        // The large ones first, as they may have left no room for the others.
        put_back(OURS_1G, 0)?;
        put_back(OURS, PAGES)?;
        write_once(&OURS.file("oom_floor"), b"max")?;
        Ok(())
    }

    pub fn tell(&self) {
        println!(
            "# sequences: {}, calls: {}, first processes that died: {}",
            self.sequences, self.calls, self.died
        );
        let place = match has_namespaces() {
            true => "root of a user namespace",
            false => "without a user namespace",
        };
        println!(
            "# by an unprivileged user, {place}: {} sequences, {} writes to the pool's files, all refused",
            self.by_user, self.refused
        );
    }

    /// Fails unless all memory is back.
    pub fn finish(self) -> Check {
        OURS.set(0)?;
        let Some((before, lines)) = &self.weighed else {
            return Ok(());
        };
        check!(
            self.refused > 0,
            "no user tried to write to the pool's files"
        );
        // What the kernel frees a while later counts, too.
        let back = poll::until("free KiB", free_kib, |now| {
            all_is_back(*before, *now).is_ok()
        });
        if back.is_err() {
            // What the kernel has it for.
            let now = fs::read_to_string(MEMINFO)?;
            for (was, is) in lines.lines().zip(now.lines()).filter(|(was, is)| was != is) {
                println!("# {was}, then {is}");
            }
        }
        back.map(drop)
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

/// Gives a pool that nobody uses exactly so many pages, and no overcommit.
fn put_back(pool: Pool, pages: u64) -> Check {
    if pool.overcommit()? != 0 {
        pool.set_overcommit(0)?;
    }
    if pool.surplus()? != 0 {
        // One node's free pages can be left as another one's surplus: they become persistent.
        pool.reach(pool.nr()?)?;
    }
    if pool.nr()? != pages {
        pool.reach(pages)?;
    }
    same!(pool.surplus()?, 0, "surplus_hugepages with nobody there");
    Ok(())
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
