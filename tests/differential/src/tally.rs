// SPDX-License-Identifier: GPL-2.0

//! How often what happened: a run that never comes near the end of the pool shows nothing.

use std::collections::BTreeMap;

use crate::op::{Op, Way};
use crate::outcome::Event;
use crate::pair::Step;
use crate::sys::errno_name;

/// The counts of a run.
#[derive(Default)]
pub struct Tally {
    steps: usize,
    seen: BTreeMap<String, usize>,
    /// The most pages that a pool had.
    most: u64,
}

impl Tally {
    /// Counts a step.
    pub fn count(&mut self, op: &Op, step: &Step) {
        self.steps += 1;
        self.most = self.most.max(step.after.nr);
        let mut kinds: Vec<String> = step.outcome.iter().map(|event| kind(op, event)).collect();
        if kinds.is_empty() {
            kinds.push(format!("{}: nothing to do", noun(op)));
        }
        kinds.extend(changes(op, step).into_iter().map(String::from));
        kinds.extend(step.marks.iter().map(|mark| mark.to_string()));
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            *self.seen.entry(kind).or_default() += 1;
        }
    }

    /// One line for each thing that happened: in how many of the steps, and in how many of a
    /// hundred.
    pub fn lines(&self) -> Vec<String> {
        let share = |count: usize| 100.0 * count as f64 / self.steps.max(1) as f64;
        self.seen
            .iter()
            .map(|(kind, count)| format!("{count:6} {:5.1} % {kind}", share(*count)))
            .chain([format!("{:6} pages at most in a pool", self.most)])
            .collect()
    }
}

fn noun(op: &Op) -> String {
    let (who, op) = op.actor();
    let noun = match op {
        Op::Write { .. } => "write",
        Op::Open { .. } => "open",
        Op::Close { .. } => "close",
        Op::SetSize { .. } => "set size",
        Op::Punch(_) => "punch",
        Op::Preallocate(_) => "preallocate",
        Op::Info { .. } => "info",
        Op::Map(new) if new.fixed => "mmap fixed",
        Op::Map(_) => "mmap",
        Op::Touch { .. } => "touch",
        Op::Remote { way, .. } => match way {
            Way::Vm => "process_vm",
            Way::Mem => "/proc/PID/mem",
        },
        Op::Unmap { .. } => "munmap",
        Op::Protect { .. } => "mprotect",
        Op::Populate { .. } => "populate",
        Op::Advise { .. } => "madvise",
        Op::Lock { .. } => "mlock, munlock",
        Op::Mincore { .. } => "mincore",
        Op::Bind { .. } => "mbind",
        Op::Home { .. } => "set_mempolicy_home_node",
        Op::Move(_) => "mremap",
        Op::Policy(_) => "set_mempolicy",
        Op::Cpu(_) => "sched_setaffinity",
        Op::Thp(_) => "PR_SET_THP_DISABLE",
        Op::Cpuset(_) => "cpuset",
        Op::Fork { .. } => "brief child",
        Op::Spawn { .. } => "fork",
        Op::In { .. } => "in a child",
        Op::End { .. } => "end of a child",
    };
    match who {
        0 => noun.to_string(),
        _ => format!("child: {noun}"),
    }
}

fn kind(op: &Op, event: &Event) -> String {
    let noun = noun(op);
    match event {
        Event::Returned(_) | Event::Read(_) | Event::Wrote | Event::Mask(_) => {
            format!("{noun}: ok")
        }
        Event::Errno(errno) => format!("{noun}: {}", errno_name(*errno)),
        Event::Raised {
            signal: libc::SIGBUS,
            ..
        } => format!("{noun}: SIGBUS"),
        Event::Raised { .. } => format!("{noun}: SIGSEGV"),
        Event::Ended(0) => format!("{noun}: exited"),
        Event::Ended(_) => format!("{noun}: killed"),
    }
}

/// What the counters say.
fn changes(op: &Op, step: &Step) -> Vec<&'static str> {
    let (before, after) = (&step.before, &step.after);
    let written = matches!(op, Op::Write { .. });
    let mut changes = vec![];
    if after.surplus > before.surplus {
        changes.push(match written {
            true => "pool: persistent pages made surplus",
            false => "pool: surplus pages made",
        });
    }
    if after.surplus < before.surplus {
        changes.push(match written {
            true => "pool: surplus pages made persistent",
            false => "pool: surplus pages given back",
        });
    }
    if after.free == after.resv {
        changes.push("pool: no page left to reserve");
    }
    if after.resv > 0 {
        changes.push("pool: some pages reserved");
    }
    if after.surplus > after.overcommit {
        changes.push("pool: more surplus than may be made");
    }
    changes
}
