// SPDX-License-Identifier: GPL-2.0

//! Demotions of both systems, with what was seen compared.

use guest::map::Map;
use guest::policy::run_on_cpu;
use guest::pool::{memory_nodes, Counts};
use guest::{check, same, Check, Fail};

use crate::sizes::{Emptied, Size, System, PIECES, SYSTEMS};

/// What a system did: a line for each thing seen.
struct Diary {
    system: System,
    lines: Vec<String>,
}

impl Diary {
    fn note(&mut self, what: &str, seen: impl std::fmt::Debug) {
        self.lines.push(format!("{what}: {seen:?}"));
    }

    /// Demotes, and notes the answer and all counters.
    fn demote(&mut self, node: Option<usize>, count: u64) -> Check<[Counts; 2]> {
        let answer = self.system.demote(node, count);
        let both = self.system.both()?;
        let what = format!("{count} of {node:?}");
        self.note(&what, (answer, &both));
        Ok(both)
    }
}

/// Does the same to both systems, each with so many large pages on its nodes, and compares.
fn compared(on_nodes: &[u64], act: impl Fn(&mut Diary) -> Check) -> Check {
    // A page for whoever touches it comes from where that runs.
    run_on_cpu(0)?;
    let [hugetlbs, ours] = SYSTEMS.map(|system| {
        let mut diary = Diary {
            system,
            lines: Vec::new(),
        };
        let done = Emptied::with(system, on_nodes).and_then(|_pools| act(&mut diary));
        match done {
            Ok(()) => Ok(diary.lines),
            Err(Fail(why)) => Err(Fail(format!("{system:?}: {why}"))),
        }
    });
    let (hugetlbs, ours) = (hugetlbs?, ours?);
    check!(!ours.is_empty(), "nothing was seen");
    same!(ours.len(), hugetlbs.len(), "things seen");
    for (ours, hugetlbs) in ours.into_iter().zip(hugetlbs) {
        same!(ours, hugetlbs, "beside hugetlb");
    }
    Ok(())
}

pub fn each_write() -> Check {
    compared(&[1, 2], |diary| {
        let nodes = memory_nodes()?;
        let (first, second) = (Some(nodes[0]), Some(nodes[1]));
        let system = diary.system;
        diary.demote(None, 0)?;
        let both = diary.demote(None, 1)?;
        same!(
            (both[0].row(), both[1].row()),
            ((2, 2, 0), (PIECES, PIECES, 0)),
            "nr, free, surplus after the first one"
        );
        diary.demote(first, 0)?;
        diary.demote(second, 1)?;
        // More than there are.
        diary.demote(first, 5)?;
        diary.demote(second, u64::MAX)?;
        let both = diary.demote(None, u64::MAX)?;
        same!(both[0].row(), (0, 0, 0), "large pages after asking for all");
        diary.demote(None, 1)?;
        // The small pool is one like any other then.
        for (size, count) in [(Size::Small, 700), (Size::Small, 0), (Size::Large, 2)] {
            system.set(size, None, count)?;
            diary.note("resized", system.both()?);
        }
        // Where does the next one go?
        for count in [1, 1] {
            diary.demote(None, count)?;
            system.set(Size::Small, None, 0)?;
            system.set(Size::Large, None, 1)?;
            diary.note("grown again", system.both()?);
        }
        Ok(())
    })
}

pub fn pages_in_use() -> Check {
    compared(&[0, 2], |diary| {
        let map = diary.system.map(Size::Large, 1)?;
        map.write(0, 1);
        let both = diary.demote(None, 2)?;
        same!(both[0].row(), (1, 0, 0), "large pages, one in use");
        diary.demote(None, 1)?;
        diary.demote(Some(memory_nodes()?[1]), 1)?;
        same!(map.read(0), 1, "its first word");
        drop(map);
        diary.note("given up", diary.system.both()?);
        let both = diary.demote(None, 1)?;
        same!(both[0].row(), (0, 0, 0), "large pages, none in use");
        Ok(())
    })
}

pub fn surplus() -> Check {
    compared(&[0, 2], |diary| {
        let system = diary.system;
        // A small page beyond the persistent ones, in use.
        system.write(Size::Small, None, "nr_overcommit_hugepages", 1)?;
        let map = system.map(Size::Small, 1)?;
        map.write(0, 1);
        diary.note("surplus", system.both()?);
        let both = diary.demote(None, 1)?;
        same!(
            both[1].row(),
            (PIECES + 1, PIECES, 1),
            "small pages, one of them surplus"
        );
        // Both sizes: used pages become surplus, and go with their users.
        let large = system.map(Size::Large, 1)?;
        large.write(0, 1);
        system.write(Size::Large, None, "nr_hugepages", 0)?;
        diary.note("a large page is surplus", system.both()?);
        diary.demote(None, 1)?;
        drop((map, large));
        diary.note("both given up", system.both()?);
        diary.demote(None, 1)?;
        Ok(())
    })
}

/// As far as hugetlb's arithmetic goes: promises count, wherever the pages are.
pub fn reserved_pages() -> Check {
    compared(&[1, 1], |diary| {
        let nodes = memory_nodes()?;
        let map = diary.system.map(Size::Large, 1)?;
        diary.note("reserved", diary.system.both()?);
        // As many free pages as promises there.
        diary.demote(Some(nodes[0]), 1)?;
        let both = diary.demote(None, 1)?;
        same!(both[0].row(), (1, 1, 0), "large pages, one of two reserved");
        diary.demote(None, 1)?;
        map.write(0, 1);
        diary.note("touched", diary.system.both()?);
        Ok(())
    })
}

/// hugetlb passes reserved pages on when more are asked for than nobody was promised; ours does not.
pub fn reserved_pages_are_there() -> Check {
    let seen = SYSTEMS.map(|system| -> Check<_> {
        let _pools = Emptied::with(system, &[0, 2])?;
        let map: Map = system.map(Size::Large, 1)?;
        system.demote(None, 2)?;
        let [large, small] = system.both()?;
        let all = (large.row(), large.resv, small.row());
        let _pools = {
            drop(map);
            Emptied::with(system, &[1, 1])?
        };
        let map = system.map(Size::Large, 2)?;
        system.demote(Some(memory_nodes()?[1]), 1)?;
        let [large, small] = system.both()?;
        let node = (large.row(), large.resv, small.row());
        drop(map);
        Ok((all, node))
    });
    let [hugetlbs, ours] = seen;
    same!(
        hugetlbs?,
        (
            ((0, 0, 0), 1, (2 * PIECES, 2 * PIECES, 0)),
            ((1, 1, 0), 2, (PIECES, PIECES, 0)),
        ),
        "of hugetlb, as DEVIATIONS.md has it: pages nobody was promised, and others"
    );
    same!(
        ours?,
        (
            ((1, 1, 0), 1, (PIECES, PIECES, 0)),
            ((2, 2, 0), 2, (0, 0, 0)),
        ),
        "of the module: pages nobody was promised"
    );
    Ok(())
}
