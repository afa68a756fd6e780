// SPDX-License-Identifier: GPL-2.0

//! Both pools in step: each operation on both, and what can be seen of them compared.

use crate::backend::{Backend, Knob};
use crate::child::{self, Child};
use crate::counters::{Counters, Gauge};
use crate::machine::Machine;
use crate::module;
use crate::op::{End, Op};
use crate::outcome::{describe, Event, Outcome};
use crate::policy::Policy;
use crate::sys::{errno_name, run_on_cpu};
use crate::text::Text;
use crate::world::World;

/// How often counters that differ are read again before that is a difference. (Nothing is known to
/// lag: pages of both pools come back before the call that frees them returns.)
const LOOKS: usize = 50;

/// Something that was not the same, in words.
#[derive(Debug, Clone)]
pub struct Difference(pub Vec<String>);

impl From<Difference> for String {
    /// All on one line, as a test's reason.
    fn from(difference: Difference) -> Self {
        difference.0.join("; ")
    }
}

/// What an operation did in both pools alike.
pub struct Step {
    pub outcome: Outcome,
    pub before: Counters,
    pub after: Counters,
}

/// The two pools.
pub struct Pair {
    hugetlb: World,
    ours: World,
    gauges: [Gauge; 2],
    nodes: Vec<usize>,
    last: Counters,
    /// How often counters were the same only when looked at again.
    pub lagged: usize,
}

impl Pair {
    /// Both pools as they are: call [`Self::reset`] first.
    pub fn new(machine: &Machine) -> Result<Self, String> {
        Ok(Self {
            hugetlb: World::new(Backend::Hugetlb),
            ours: World::new(Backend::Ours),
            gauges: [
                Gauge::open(Backend::Hugetlb, &machine.nodes)?,
                Gauge::open(Backend::Ours, &machine.nodes)?,
            ],
            nodes: machine.nodes.clone(),
            last: Counters::default(),
            lagged: 0,
        })
    }

    /// What there is, as far as both are the same.
    pub fn world(&self) -> &World {
        &self.hugetlb
    }

    /// The counters after the last operation.
    pub fn counters(&self) -> &Counters {
        &self.last
    }

    /// Ends everything that is open or mapped, and checks that nothing of it is left.
    pub fn release(&mut self) -> Result<(), Difference> {
        self.end_all();
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
        self.end_all();
        self.hugetlb = World::new(Backend::Hugetlb);
        self.ours = World::new(Backend::Ours);
        let own = |what: &str, returned: Result<i64, i32>| {
            returned.map_err(|errno| Difference(vec![format!("{what}: {}", errno_name(errno))]))
        };
        let first = self.nodes.first().copied().unwrap_or_default();
        own("run on CPU 0", run_on_cpu(0))?;
        own("no policy", Policy::none().set())?;
        for (backend, gauge) in Backend::BOTH.iter().zip(&self.gauges) {
            let now = gauge.read().map_err(|why| Difference(vec![why]))?;
            for (knob, count) in [
                (Knob::Overcommit, 0),
                // Surplus can be left on a node without pages; this makes it persistent.
                (Knob::Nr, now.nr),
                (Knob::Nr, 0),
                (Knob::NodeNr(first), 1),
                (Knob::NodeNr(first), 0),
            ] {
                own("reset", backend.write(knob, &Text::Count(count).bytes()))?;
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

    fn end_all(&mut self) {
        for world in [&mut self.hugetlb, &mut self.ours] {
            world.unmap_all();
            world.close_all();
        }
    }

    /// Puts the module's pool into a new module's state, for when [`Self::reset`] cannot.
    pub fn renew(&mut self) -> Result<(), String> {
        self.end_all();
        module::reload()?;
        self.gauges[1] = Gauge::open(Backend::Ours, &self.nodes)?;
        Ok(())
    }

    /// Whether hugetlb's sum for a node's file wraps: the size of all nodes becomes `count +
    /// persistent - (nr - surplus)` of the node, in unsigned numbers (the difference even in 32
    /// bits). It does where this node, or the others together, have more surplus than pages;
    /// hugetlb may then take all the memory of the node. The module counts on (DEVIATIONS.md), and
    /// nobody tries that here.
    fn wraps(&self, op: &Op) -> bool {
        let Op::Write {
            knob: Knob::NodeNr(node),
            ..
        } = op
        else {
            return false;
        };
        let on = self.nodes.iter().position(|number| number == node);
        on.and_then(|index| self.last.nodes.get(index))
            .is_some_and(|on| on.surplus > on.nr || self.last.persistent() < on.nr - on.surplus)
    }

    /// Does an operation on both.
    pub fn step(&mut self, op: &Op) -> Result<Step, Difference> {
        let before = self.last.clone();
        let outcome = match op {
            _ if self.wraps(op) => vec![],
            Op::Fork { ops, end } => self.fork(ops, *end)?,
            _ if op.is_of_the_task() => self.hugetlb.execute(op),
            _ => {
                let expected = self.hugetlb.execute(op);
                same(expected, self.ours.execute(op))?
            }
        };
        let after = self.compare("afterwards").map_err(|mut difference| {
            difference
                .0
                .push(format!("both returned: {}", describe(&outcome)));
            difference.0.push(format!("before, both: {before}"));
            difference
        })?;
        Ok(Step {
            outcome,
            before,
            after,
        })
    }

    /// Both children do their operations, one after the other, and then end likewise.
    fn fork(&mut self, ops: &[Op], end: End) -> Result<Outcome, Difference> {
        let failed = |errno| Difference(vec![format!("fork: {}", errno_name(errno))]);
        let (hugetlb, ours) = (&mut self.hugetlb, &mut self.ours);
        let mut first = child::start(hugetlb, ours, ops, end).map_err(failed)?;
        let expected = first.watch();
        let mut second = match child::start(ours, hugetlb, ops, end) {
            Ok(second) => second,
            Err(errno) => {
                first.finish();
                return Err(failed(errno));
            }
        };
        let seen = second.watch();
        let alive = self.compare("while the children live");
        let ended = [first, second].map(Child::finish);
        let mut outcome = same(expected, seen)?;
        alive?;
        outcome.extend(same::<Vec<Event>>(vec![ended[0]], vec![ended[1]])?);
        Ok(outcome)
    }

    /// Compares all counters; they are what both have.
    fn compare(&mut self, when: &str) -> Result<Counters, Difference> {
        let mut looks = 0;
        loop {
            let [expected, seen] = [0, 1].map(|which| self.gauges[which].read());
            let (expected, seen) = match (expected, seen) {
                (Ok(expected), Ok(seen)) => (expected, seen),
                (Err(why), _) => return Err(Difference(vec![format!("hugetlb: {why}")])),
                (_, Err(why)) => return Err(Difference(vec![format!("rust_hugetlb: {why}")])),
            };
            if expected == seen {
                self.lagged += usize::from(looks > 0);
                self.last = expected.clone();
                return match expected.broken() {
                    Some(what) => Err(Difference(vec![format!("{when}, both: {what}")])),
                    None => Ok(expected),
                };
            }
            looks += 1;
            if looks == LOOKS {
                return Err(Difference(vec![
                    format!("{when} hugetlb      {expected}"),
                    format!("{when} rust_hugetlb {seen}"),
                ]));
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

/// The outcome that both had.
fn same<T: AsRef<[Event]> + PartialEq>(expected: T, seen: T) -> Result<T, Difference> {
    if expected == seen {
        return Ok(expected);
    }
    Err(Difference(vec![
        format!("hugetlb      did: {}", describe(expected.as_ref())),
        format!("rust_hugetlb did: {}", describe(seen.as_ref())),
    ]))
}
