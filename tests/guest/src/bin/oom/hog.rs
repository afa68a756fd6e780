// SPDX-License-Identifier: GPL-2.0

//! A process that takes memory, and is the first to be killed for it.

use std::fs;

use guest::child::{fork, Child};
use guest::link::Link;
use guest::map::Map;
use guest::memory::BASE_PAGE;
use guest::policy::Policy;
use guest::{same, Check, HUGE};

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    GotAll,
    Killed,
}

/// Has a process write to so much memory, in units of a huge page.
pub fn takes(pages: usize) -> Check<End> {
    takes_from(pages, &Policy::none())
}

/// The same with a memory policy.
pub fn takes_from(pages: usize, policy: &Policy) -> Check<End> {
    // What is left in large pieces goes fast that way.
    let hog = start(pages, policy, libc::MADV_HUGEPAGE, |_| Ok(false))?;
    end(hog, pages)
}

/// The same without one but with `advice` for the memory; and it has all it wanted once `enough` says so,
/// asked after each huge page.
pub fn takes_until(
    pages: usize,
    advice: libc::c_int,
    mut enough: impl FnMut() -> Check<bool>,
) -> Check<End> {
    end(start(pages, &Policy::none(), advice, |_| enough())?, pages)
}

/// The same, but then it waits until `meanwhile` is over, and goes on.
pub fn takes_on_after<T>(
    pages: usize,
    enough: impl Fn() -> Check<bool>,
    meanwhile: impl FnOnce() -> Check<T>,
) -> Check<(End, T)> {
    let mut waited = false;
    let hog = start(pages, &Policy::none(), libc::MADV_HUGEPAGE, |link| {
        if !waited && enough()? {
            waited = true;
            link.send(0)?;
            link.number()?;
        }
        Ok(false)
    })?;
    hog.link.number()?;
    let seen = meanwhile()?;
    hog.link.send(0)?;
    Ok((end(hog, pages)?, seen))
}

/// Starts one that takes `advice` for its memory and asks after each huge page whether it has all it
/// wanted.
fn start(
    pages: usize,
    policy: &Policy,
    advice: libc::c_int,
    mut enough: impl FnMut(&Link) -> Check<bool>,
) -> Check<Child> {
    fork(|link| {
        let _policy = policy.set()?;
        fs::write("/proc/self/oom_score_adj", "1000")?;
        let map = Map::anonymous(pages)?;
        map.advise(advice)?;
        for page in 0..pages {
            (0..HUGE)
                .step_by(BASE_PAGE as usize)
                .for_each(|offset| map.write(page * HUGE + offset, 1));
            if enough(link)? {
                break;
            }
        }
        link.send(pages as u64)
    })
}

/// Waits for its end.
fn end(mut hog: Child, pages: usize) -> Check<End> {
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
