// SPDX-License-Identifier: GPL-2.0

//! Three processes with one mapping, and every order in which they let go of it: by munmap, exit,
//! exec or SIGKILL.
//!
//! The test is the parent of all three, so that it can wait until each is gone; the second is a copy
//! of the first, which made the mapping, and the third of the second.

use std::ptr;

use guest::beside::Side;
use guest::kind::{beside_both, half_touched, Kind};
use guest::link::Link;
use guest::map::Map;
use guest::{call, fail, same, word, Check, HUGE};

const PAGES: usize = 3;

/// What a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Unmap,
    Exit,
    Exec,
    Kill,
    /// Say what the pages' first words are.
    Look,
    /// Write to all pages.
    Write,
    /// Copy yourself.
    Fork,
}

impl Order {
    const ALL: [Self; 7] = [
        Self::Unmap,
        Self::Exit,
        Self::Exec,
        Self::Kill,
        Self::Look,
        Self::Write,
        Self::Fork,
    ];
    /// Those that end the mapping in a process.
    const ENDS: [Self; 4] = [Self::Unmap, Self::Exit, Self::Exec, Self::Kill];
}

/// One of the three.
struct Process {
    pid: libc::pid_t,
    link: Link,
}

/// A copy of this process whose parent is this one's parent; 0 in the copy. It ends with its parent.
fn copy(parent: libc::c_int) -> Check<libc::pid_t> {
    let null = ptr::null_mut::<libc::c_void>();
    // SAFETY: There is one thread, so no lock is held by another one; the stack is copied.
    let pid = call(unsafe {
        libc::syscall(
            libc::SYS_clone,
            parent | libc::SIGCHLD,
            null,
            null,
            null,
            null,
        )
    })?;
    if pid == 0 {
        // SAFETY: prctl takes numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    }
    Ok(pid as libc::pid_t)
}

/// Does what it is told, as process `number` on its line of `links`.
fn obey(map: &Map, number: usize, links: &[Link]) -> Check {
    let link = &links[number];
    loop {
        let order = link.number()? as usize;
        match Order::ALL[order] {
            Order::Unmap => {
                map.unmap(0, PAGES * HUGE)?;
                link.send(0)?;
            }
            Order::Exit => return Ok(()),
            Order::Exec => {
                let arguments = [c"/bin/true".as_ptr(), ptr::null()];
                // SAFETY: The list ends with a null pointer.
                unsafe { libc::execv(arguments[0], arguments.as_ptr()) };
                fail!("exec of /bin/true");
            }
            Order::Kill => {
                // SAFETY: kill takes numbers.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            }
            Order::Look => {
                for page in 0..PAGES {
                    link.send(word::load(map, page * HUGE).unwrap_or(u64::MAX))?;
                }
            }
            Order::Write => {
                for page in 0..PAGES {
                    let written = word::store(map, page * HUGE, 10 * number as u64 + page as u64);
                    link.send(u64::from(written.is_ok()))?;
                }
            }
            Order::Fork => match copy(libc::CLONE_PARENT)? {
                0 => become_process(map, number + 1, links),
                pid => link.send(pid as u64)?,
            },
        }
    }
}

/// Obeys until the end of this process.
fn become_process(map: &Map, number: usize, links: &[Link]) -> ! {
    let status = i32::from(obey(map, number, links).is_err());
    // SAFETY: The test's destructors and buffers are not this process's to run.
    unsafe { libc::_exit(status) }
}

impl Process {
    fn tell(&self, order: Order) -> Check {
        let number = Order::ALL.iter().position(|other| *other == order);
        self.link.send(number.unwrap_or_default() as u64)
    }

    /// Tells it to let go, and waits until it has. Whether it lives on.
    fn end(&self, how: Order) -> Check<bool> {
        self.tell(how)?;
        if how == Order::Unmap {
            self.link.number()?;
            return Ok(true);
        }
        let want = if how == Order::Kill { libc::SIGKILL } else { 0 };
        same!(self.wait()?, want, "wait status after {how:?}");
        Ok(false)
    }

    fn wait(&self) -> Check<i32> {
        let mut status = -1;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(self.pid, &mut status, 0) })?;
        Ok(status)
    }

    /// Notes what it sees of the pages, or whether it can write to them.
    fn note(&self, side: &mut Side, what: &str, order: Order) -> Check {
        self.tell(order)?;
        for page in 0..PAGES {
            let seen = self.link.number()?;
            side.note(format_args!("{what}, {order:?}, page {page}"), seen);
        }
        Ok(())
    }
}

/// The three, with a new mapping of which two pages are touched.
fn three(side: &Side, kind: Kind) -> Check<Vec<Process>> {
    let mut here = Vec::new();
    let mut there = Vec::new();
    for _ in 0..3 {
        let (near, far) = Link::pair()?;
        here.push(near);
        there.push(far);
    }
    let pool = side.pool();
    let first = match copy(0)? {
        0 => {
            drop(here);
            let made = guest::device::open_of(pool).map(|file| kind.pages(PAGES).map(&file));
            if let Ok(Ok(map)) = made {
                map.write(0, 10);
                map.read(HUGE);
                become_process(&map, 0, &there);
            }
            // SAFETY: As in `become_process`.
            unsafe { libc::_exit(2) }
        }
        pid => pid,
    };
    drop(there);
    let mut processes: Vec<Process> = Vec::new();
    for link in here {
        let pid = match processes.last() {
            None => first,
            Some(parent) => {
                parent.tell(Order::Fork)?;
                parent.link.number()? as libc::pid_t
            }
        };
        processes.push(Process { pid, link });
    }
    Ok(processes)
}

pub fn every_order_and_every_end() -> Check {
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    beside_both(8, |side, kind| {
        for (round, order) in ORDERS.into_iter().enumerate() {
            for first_end in 0..Order::ENDS.len() {
                let processes = three(side, kind)?;
                let mut alive = vec![];
                processes[1].note(side, "second", Order::Write)?;
                for (step, number) in order.into_iter().enumerate() {
                    let how = Order::ENDS[(first_end + step + round) % Order::ENDS.len()];
                    let what = format!("{order:?}, step {step}, {how:?}");
                    if processes[number].end(how)? {
                        alive.push(number);
                    }
                    side.note_counts(&what)?;
                    for left in &order[step + 1..] {
                        processes[*left].note(side, &what, Order::Look)?;
                        processes[*left].note(side, &what, Order::Write)?;
                    }
                    side.note_counts(format_args!("{what}, all written"))?;
                }
                for number in alive {
                    processes[number].end(Order::Exit)?;
                }
                side.settles(format_args!("{order:?} is over"), (8, 8, 0, 0))?;
            }
        }
        Ok(())
    })
}

/// The creator is gone before its children write: what was promised to it is not theirs.
pub fn children_of_a_creator_that_is_gone() -> Check {
    beside_both(4, |side, kind| {
        let processes = three(side, kind)?;
        side.note_counts("three processes")?;
        processes[0].end(Order::Exit)?;
        side.note_counts("the creator is gone")?;
        for number in [1, 2] {
            processes[number].note(side, "a child", Order::Write)?;
            side.note_counts(format_args!("child {number} wrote"))?;
        }
        for number in [2, 1] {
            processes[number].end(Order::Kill)?;
            side.note_counts(format_args!("child {number} is gone"))?;
        }
        let (_file, map) = half_touched(side, kind, 4)?;
        map.holds(3, 0)
    })
}
