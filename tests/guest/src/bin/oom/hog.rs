// SPDX-License-Identifier: GPL-2.0

//! A process that takes memory, and is the first to be killed for it.

use std::fs;

use guest::child::fork;
use guest::map::Map;
use guest::memory::{meminfo, BASE_PAGE};
use guest::policy::Policy;
use guest::{same, Check, HUGE};

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    GotAll,
    Killed,
}

/// A line of /proc/meminfo, in units of a huge page.
pub fn huge_pages(name: &str) -> Check<usize> {
    Ok(meminfo(name)? as usize * 1024 / HUGE)
}

/// Has a process write to so much memory, in units of a huge page.
pub fn takes(pages: usize) -> Check<End> {
    takes_until(pages, &Policy::none(), || Ok(false))
}

/// The same with a memory policy.
pub fn takes_from(pages: usize, policy: &Policy) -> Check<End> {
    takes_until(pages, policy, || Ok(false))
}

/// The same, but it has all it wanted once `enough` says so, asked after each huge page.
pub fn takes_until(pages: usize, policy: &Policy, enough: impl Fn() -> Check<bool>) -> Check<End> {
    let mut hog = fork(|link| {
        let _policy = policy.set()?;
        fs::write("/proc/self/oom_score_adj", "1000")?;
        let map = Map::anonymous(pages)?;
        // What is left in large pieces goes fast that way.
        map.advise(libc::MADV_HUGEPAGE)?;
        for page in 0..pages {
            (0..HUGE)
                .step_by(BASE_PAGE as usize)
                .for_each(|offset| map.write(page * HUGE + offset, 1));
            if enough()? {
                break;
            }
        }
        link.send(pages as u64)
    })?;
    match hog.wait()? {
        0 => {
            same!(hog.link.number()?, pages as u64, "pages it got");
            Ok(End::GotAll)
        }
        status => {
            same!(
                status,
                libc::SIGKILL,
                "wait status of one that takes memory"
            );
            Ok(End::Killed)
        }
    }
}
