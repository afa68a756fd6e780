// SPDX-License-Identifier: GPL-2.0

//! Forked processes: they have what their parent had, check it, and write to it.

use fastrand::Rng;
use guest::{fail, same, Check, Errno, Fail};

use crate::area::{Area, Content, Kind};
use crate::arena::{kill, reap, Figure};
use crate::common::Common;

/// A forked process that was not reaped yet.
pub struct Forked(libc::pid_t);

impl Forked {
    /// Forks; none if there was no memory for it. `area` is a private mapping of the caller's, whose
    /// copy the child uses.
    pub fn new(area: Option<&mut Area>, common: &Common, random: &mut Rng) -> Check<Option<Self>> {
        let arena = common.area.arena;
        let owner = arena.next_child();
        let seed = random.u64(..);
        // SAFETY: The child uses the C library's heap, which survives a fork of one of many threads,
        // and no lock of this program, and ends with _exit.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => match Errno::last() {
                Errno(libc::ENOMEM | libc::EAGAIN) => {
                    arena.count(Figure::ForksFailed);
                    Ok(None)
                }
                errno => fail!("fork: {errno}"),
            },
            0 => {
                // SAFETY: prctl takes numbers. The child ends with the thread that made it.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let status = match live(area, common, owner, &mut Rng::with_seed(seed)) {
                    Ok(()) => 0,
                    Err(Fail(why)) => {
                        arena.fail(&why);
                        1
                    }
                };
                // SAFETY: The parent's destructors are not this process's to run.
                unsafe { libc::_exit(status) }
            }
            _ => {
                arena.count(Figure::Forks);
                Ok(Some(Self(pid)))
            }
        }
    }

    /// Waits for its end.
    pub fn finish(self) -> Check {
        same!(reap(self.0)?, 0, "wait status of a forked process");
        Ok(())
    }

    /// Kills it, wherever it is.
    pub fn kill(self) -> Check {
        kill(self.0)
    }
}

/// What the child does.
fn live(area: Option<&mut Area>, common: &Common, owner: u16, random: &mut Rng) -> Check {
    let steps = random.u32(1..30);
    let Some(area) = area else {
        return (0..steps).try_for_each(|_| common.read_any(random));
    };
    area.owner = owner;
    area.kind = Kind::Forked;
    for content in &mut area.content {
        // Promises are the parent's.
        if *content == (Content::Absent { promised: true }) {
            *content = Content::Absent { promised: false };
        }
    }
    area.check_all()?;
    for _ in 0..steps {
        let page = random.usize(..area.pages());
        match random.u32(..4) {
            0 => area.write(page)?,
            1 => common.read_any(random)?,
            _ => area.check(page)?,
        }
    }
    area.check_all()
}
