// SPDX-License-Identifier: GPL-2.0

//! Both pools in step: each operation on both, and what can be seen of them compared.

use std::fmt;

use crate::arena::Arena;
use crate::backend::{Backend, Knob};
use crate::counters::{Counters, Gauge};
use crate::deviations::{self, By};
use crate::family::{Died, Family};
use crate::history::{Deed, History};
use crate::machine::Machine;
use crate::maps::Maps;
use crate::module;
use crate::op::{End, Op, BRIEF, FILES, PROCESSES};
use crate::outcome::{describe, Event, Outcome};
use crate::policy::Policy;
use crate::sys::{errno_name, run_on_cpu};
use crate::text::Text;
use crate::world::World;

/// How often counters that differ are read again before that is a difference. (Nothing is known to
/// lag: pages of both pools come back before the call that frees them returns.)
const LOOKS: usize = 50;

/// Something that was not the same, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference(pub Vec<String>);

impl Difference {
    fn of(what: &str, errno: i32) -> Self {
        Self(vec![format!("{what}: {}", errno_name(errno))])
    }

    fn died(who: usize, Died(status): Died) -> Self {
        Self(vec![format!("child {who} died: wait status {status:#x}")])
    }
}

impl Difference {
    /// What hugetlb did, where it was not what the module did.
    pub fn of_hugetlb(&self) -> Vec<&str> {
        let of_hugetlb = |line: &&str| line.starts_with("hugetlb ");
        self.0
            .iter()
            .map(String::as_str)
            .filter(of_hugetlb)
            .collect()
    }
}

impl From<Difference> for String {
    /// All on one line, as a test's reason.
    fn from(difference: Difference) -> Self {
        difference.0.join("; ")
    }
}

/// What an operation did in both pools alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub outcome: Outcome,
    pub before: Counters,
    pub after: Counters,
    /// What the process that did it has mapped now.
    pub maps: Maps,
    /// What was special about it.
    pub marks: Vec<&'static str>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = describe(&self.outcome);
        write!(
            f,
            "did: {did}; counters: {}; mapped: {}",
            self.after, self.maps
        )
    }
}

/// What a process has, in both pools.
#[derive(Default, Clone)]
struct Holdings {
    files: [bool; FILES],
    maps: Maps,
}

/// The two pools; or one of them alone, whose runs can be compared.
pub struct Pair {
    worlds: Vec<World>,
    gauges: Vec<Gauge>,
    family: Family,
    nodes: Vec<usize>,
    last: Counters,
    holdings: [Holdings; PROCESSES],
    history: History,
    /// Operations done in this episode.
    step: u64,
    /// How often counters were the same only when looked at again.
    pub lagged: usize,
}

impl Pair {
    /// The pools as they are, for operations that `by` thinks of: call [`Self::reset`] first.
    pub fn new(machine: &Machine, backends: &[Backend], by: By) -> Result<Self, String> {
        let world = |backend: &Backend| World::new(*backend, by).map_err(errno_name);
        let gauge = |backend: &Backend| Gauge::open(*backend, &machine.nodes);
        Ok(Self {
            worlds: backends.iter().map(world).collect::<Result<_, _>>()?,
            gauges: backends.iter().map(gauge).collect::<Result<_, _>>()?,
            family: Family::new().map_err(errno_name)?,
            nodes: machine.nodes.clone(),
            last: Counters::default(),
            holdings: Default::default(),
            history: History::default(),
            step: 0,
            lagged: 0,
        })
    }

    /// The mappings of a process, which both pools have.
    pub fn maps(&self, who: usize) -> &Maps {
        &self.holdings[who].maps
    }

    /// Whether a process has a file in a slot.
    pub fn has_file(&self, who: usize, file: usize) -> bool {
        self.holdings[who].files[file]
    }

    /// Whether there is a process of that number.
    pub fn has(&self, who: usize) -> bool {
        self.family.has(who)
    }

    /// The counters after the last operation.
    pub fn counters(&self) -> &Counters {
        &self.last
    }

    /// Has the pool go first from now on that went second.
    pub fn turn_round(&mut self) {
        self.worlds.reverse();
        self.gauges.reverse();
    }

    /// Whether the pools differ in how many pages, or how many of surplus, some node has: not only in
    /// what they do with them. False where that cannot be read.
    pub fn pages_differ(&self) -> bool {
        let pages = |gauge: &Gauge| -> Option<Vec<(u64, u64)>> {
            let nodes = gauge.read().ok()?.nodes;
            Some(nodes.iter().map(|node| (node.nr, node.surplus)).collect())
        };
        let pages: Option<Vec<_>> = self.gauges.iter().map(pages).collect();
        pages.is_some_and(|pages| pages.iter().any(|other| *other != pages[0]))
    }

    /// Ends everything that is open or mapped, and checks that nothing of it is left.
    pub fn release(&mut self) -> Result<(), Difference> {
        self.end_all()?;
        let done = self.compare("after everything was closed")?;
        if done.resv != 0 || done.in_use() != 0 {
            return Err(Difference(vec![format!(
                "after everything was closed, both: {done}"
            )]));
        }
        Ok(())
    }

    /// Puts both pools into the state every episode begins with: empty, the task without policy on
    /// CPU 0, both rotations at the first node. (A write to a node's file leaves the rotation there
    /// that it used: growing one, shrinking the other.)
    pub fn reset(&mut self) -> Result<(), Difference> {
        self.end_all()?;
        let own = |what: &str, returned: Result<i64, i32>| {
            returned.map_err(|errno| Difference::of(what, errno))
        };
        let first = self.nodes.first().copied().unwrap_or_default();
        own("run on CPU 0", run_on_cpu(0))?;
        own("no policy", Policy::none().set())?;
        self.family
            .execute(&mut self.worlds, 0, &Op::Thp(true), 0)
            .map_err(|died| Difference::died(0, died))?;
        for (world, gauge) in self.worlds.iter().zip(&self.gauges) {
            let now = gauge.read().map_err(|why| Difference(vec![why]))?;
            for (knob, count) in [
                (Knob::Overcommit, 0),
                // Surplus can be left on a node without pages; this makes it persistent.
                (Knob::Nr, now.nr),
                (Knob::Nr, 0),
                (Knob::NodeNr(first), 1),
                (Knob::NodeNr(first), 0),
            ] {
                let text = Text::Count(count).bytes();
                own("reset", world.backend().write(knob, &text))?;
            }
        }
        let empty = self.compare("after the pools were emptied")?;
        if empty.nr != 0 {
            return Err(Difference(vec![format!(
                "the pools are not empty: {empty}"
            )]));
        }
        Ok(())
    }

    fn end_all(&mut self) -> Result<(), Difference> {
        let own = |errno| Difference::of("the end of all processes and mappings", errno);
        self.family.end_all().map_err(own)?;
        for world in &mut self.worlds {
            world.unmap_all().map_err(own)?;
            world.close_all();
        }
        self.holdings = Default::default();
        self.history = History::default();
        self.step = 0;
        Ok(())
    }

    /// Puts the module's pool into a new module's state, for when [`Self::reset`] cannot.
    pub fn renew(&mut self) -> Result<(), String> {
        self.end_all()?;
        for (world, gauge) in self.worlds.iter().zip(&mut self.gauges) {
            if world.backend() == Backend::Ours {
                module::reload()?;
                *gauge = Gauge::open(Backend::Ours, &self.nodes)?;
            }
        }
        Ok(())
    }

    /// Does an operation on both.
    pub fn step(&mut self, op: &Op) -> Result<Step, Difference> {
        let before = self.last.clone();
        let (who, inner) = op.actor();
        let old = self.holdings[who].maps.clone();
        self.step += 1;
        let outcome = self.perform(op)?;
        let after = self.compare("afterwards").and_then(|after| {
            self.look(who)?;
            Ok(after)
        });
        let after = after.map_err(|mut difference| {
            difference
                .0
                .push(format!("both returned: {}", describe(&outcome)));
            difference.0.push(format!("before, both: {before}"));
            difference
        })?;
        let marks = self.history.learn(&Deed {
            who,
            op: inner,
            outcome: &outcome,
            maps: &old,
            before: &before,
            after: &after,
        });
        Ok(Step {
            outcome,
            before,
            after,
            maps: self.holdings[who].maps.clone(),
            marks,
        })
    }

    fn perform(&mut self, op: &Op) -> Result<Outcome, Difference> {
        match op {
            _ if deviations::wraps(op, &self.nodes, &self.last) => Ok(vec![]),
            Op::Fork { ops, end } => self.fork(ops, *end),
            Op::End { who, end } => self.end(*who, *end),
            Op::Spawn { who } => self.spawn(0, *who),
            Op::In { who, op } => match **op {
                Op::Spawn { who: child } => self.spawn(*who, child),
                _ => self.execute(*who, op),
            },
            _ => self.execute(0, op),
        }
    }

    /// An operation in one process.
    fn execute(&mut self, who: usize, op: &Op) -> Result<Outcome, Difference> {
        // This process has mappings, which a cpuset would have migrated.
        let refused = who == 0 && matches!(op, Op::Cpuset(_));
        if refused || !self.family.has(who) {
            return Ok(vec![]);
        }
        let outcomes = self
            .family
            .execute(&mut self.worlds, who, op, self.step)
            .map_err(|died| Difference::died(who, died))?;
        let outcome = self.agreed(&outcomes, "did", |events| describe(events))?;
        if outcome == [Event::Returned(0)] {
            match op {
                Op::Open { file } => self.holdings[who].files[*file] = true,
                Op::Close { file } => self.holdings[who].files[*file] = false,
                _ => {}
            }
        }
        Ok(outcome)
    }

    fn spawn(&mut self, parent: usize, who: usize) -> Result<Outcome, Difference> {
        if self.family.has(who) || !self.family.has(parent) {
            return Ok(vec![]);
        }
        let forked = self
            .family
            .spawn(&mut self.worlds, parent, who)
            .map_err(|died| Difference::died(parent, died))?;
        if self.family.has(who) {
            self.holdings[who] = self.holdings[parent].clone();
            self.history.forked(parent, who);
            self.look(who)?;
        }
        Ok(vec![forked])
    }

    fn end(&mut self, who: usize, end: End) -> Result<Outcome, Difference> {
        if who == 0 || !self.family.has(who) {
            return Ok(vec![]);
        }
        self.holdings[who] = Holdings::default();
        Ok(vec![self.family.end(who, end)])
    }

    /// A child does its operations, and then ends.
    fn fork(&mut self, ops: &[Op], end: End) -> Result<Outcome, Difference> {
        let mut outcome = self.spawn(0, BRIEF)?;
        if self.family.has(BRIEF) {
            for op in ops {
                outcome.extend(self.execute(BRIEF, op)?);
            }
            self.compare("while the child lives")?;
            self.look(BRIEF)?;
            outcome.extend(self.end(BRIEF, end)?);
        }
        Ok(outcome)
    }

    /// Looks at what a process has mapped, and compares that.
    fn look(&mut self, who: usize) -> Result<(), Difference> {
        let Some(pid) = self.family.context(self.step).pids.get(who) else {
            return Ok(());
        };
        let read = |world: &World| Maps::read(Some(pid), Arena::of(world.backend()));
        let maps: Vec<Maps> = self
            .worlds
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|why| Difference(vec![why]))?;
        self.holdings[who].maps = self.agreed(&maps, "has mapped", Maps::to_string)?;
        Ok(())
    }

    /// The first of what the worlds said, if all said the same.
    fn agreed<T: Clone + PartialEq>(
        &self,
        said: &[T],
        what: &str,
        text: impl Fn(&T) -> String,
    ) -> Result<T, Difference> {
        if let [first, rest @ ..] = said {
            if rest.iter().all(|other| other == first) {
                return Ok(first.clone());
            }
        }
        let worlds = self.worlds.iter().map(|world| world.backend().name());
        let mut lines: Vec<_> = worlds
            .zip(said)
            .map(|(name, said)| format!("{name:12} {what} {}", text(said)))
            .collect();
        // Whoever goes first.
        lines.sort();
        Err(Difference(lines))
    }

    /// Compares all counters; they are what all have.
    fn compare(&mut self, when: &str) -> Result<Counters, Difference> {
        let mut looks = 0;
        loop {
            let read: Vec<Counters> = self
                .worlds
                .iter()
                .zip(&self.gauges)
                .map(|(world, gauge)| {
                    let named = |why| format!("{}: {why}", world.backend().name());
                    gauge.read().map_err(named)
                })
                .collect::<Result<_, _>>()
                .map_err(|why| Difference(vec![why]))?;
            match self.agreed(&read, when, Counters::to_string) {
                Ok(counters) => {
                    self.lagged += usize::from(looks > 0);
                    self.last = counters.clone();
                    return match counters.broken() {
                        Some(what) => Err(Difference(vec![format!("{when}, both: {what}")])),
                        None => Ok(counters),
                    };
                }
                Err(difference) if looks == LOOKS => return Err(difference),
                Err(_) => looks += 1,
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // For whoever uses the pools next. The tests have their verdict already.
        let _ = self.reset();
    }
}
