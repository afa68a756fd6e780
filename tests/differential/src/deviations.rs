// SPDX-License-Identifier: GPL-2.0

//! The one place that knows of differences which are allowed (DEVIATIONS.md), and of slips of
//! hugetlb's that would ruin what comes after: what is not tried, and what counts as the same.

use std::fs;
use std::ops::Range;
use std::sync::LazyLock;

use crate::advice::Advice;
use crate::arena::Arena;
use crate::backend::Knob;
use crate::counters::Counters;
use crate::maps::{Area, Maps};
use crate::op::{Move, Op, Sharing, Skew, Way};
use crate::outcome::Event;
use crate::pids::Pids;
use crate::touch::Access;

/// Whether an operation is not tried on a pool with these counters, whose nodes have these numbers.
///
/// hugetlb's sum for a node's file wraps: the size of all nodes becomes `count + persistent - (nr -
/// surplus)` of the node, in unsigned numbers (the difference even in 32 bits). It does where this
/// node, or the others together, have more surplus than pages; hugetlb may then take all the memory
/// of the node. The module counts on.
pub fn wraps(op: &Op, nodes: &[usize], counters: &Counters) -> bool {
    let Op::Write {
        knob: Knob::NodeNr(node),
        ..
    } = op
    else {
        return false;
    };
    let on = nodes.iter().position(|number| number == node);
    on.and_then(|index| counters.nodes.get(index))
        .is_some_and(|on| on.surplus > on.nr || counters.persistent() < on.nr - on.surplus)
}

/// The process that an operation is about.
pub struct Subject<'a> {
    pub maps: &'a Maps,
    /// Whether a page is in a private mapping that was made with reservations, here or by a parent.
    pub reserved: &'a [bool],
    /// All processes, and where they have their mappings.
    pub pids: &'a Pids,
    pub arena: Arena,
    pub by: By,
}

/// Who thought of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Chance, which comes upon every slip.
    Chance,
    /// Somebody who knows that no page will be taken from anybody where hugetlb has a slip in that.
    Script,
}

impl Subject<'_> {
    fn is_alone(&self) -> bool {
        self.pids.all().count() == 1
    }

    /// Whether hugetlb could take a page from the wrong mapping: [`robs_at_the_owners_address`].
    fn could_rob_the_wrong(&self) -> bool {
        self.by == By::Chance && robs_at_the_owners_address()
    }

    /// Whether somebody has a private mapping that begins elsewhere in its file than one would whose
    /// page `page` were the file's page `in_file`.
    fn has_askew(&self, page: usize, in_file: u64) -> Result<bool, String> {
        let start = |page: usize, in_file: u64| (page as u64).wrapping_sub(in_file);
        let askew = |area: &Area| {
            area.is_private() && start(area.pages.start, area.first()) != start(page, in_file)
        };
        for pid in self.pids.all() {
            if Maps::read(Some(pid), self.arena)?.areas().iter().any(askew) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether this kernel's hugetlb may take a page from the wrong mapping: before 7.3, when a page is
/// taken from the other private mappings of a file, it is looked for in all of them at the address
/// that it has in the owner's. If that is another mapping's, that one loses it, and no SIGBUS tells.
fn robs_at_the_owners_address() -> bool {
    static ANSWER: LazyLock<bool> = LazyLock::new(|| {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
        matches!((numbers.next(), numbers.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) < (7, 3))
    });
    *ANSWER
}

/// Whether an operation is not tried. Fails where the mappings of a process cannot be read.
pub fn left_out(op: &Op, on: &Subject<'_>) -> Result<bool, String> {
    Ok(match op {
        // Data of private pages survive it in the module, which is not asked. Shared pages only
        // leave the page table.
        Op::Advise { at, advice } => {
            *advice == Advice::dontneed() && on.maps.over(at.span()).any(Area::is_private)
        }
        // hugetlb copies a page that relatives share before it is pinned, even to be read only; the
        // kernel has that for anonymous pages alone.
        Op::Remote {
            way: Way::Vm,
            access: Access::Read,
            at,
            ..
        } => on.maps.over(at.span()).any(Area::is_private),
        // It tells what is in the page tables. The module empties entries where hugetlb does not: all
        // of a private mapping at fork, all of a page of the file where a private copy changes; and the
        // kernel one of a 1 GiB page when it walks the page tables, before 7.3 for mincore itself. The
        // next touch enters them again.
        Op::Mincore { .. } => {
            cfg!(feature = "gigantic")
                || !on.is_alone()
                || on.maps.areas().iter().any(Area::is_private)
        }
        Op::Map(new) => {
            new.sharing == Sharing::Private
                && on.could_rob_the_wrong()
                && on.has_askew(new.place.number(), new.first)?
        }
        Op::Move(made) => move_left_out(made, on),
        _ => false,
    })
}

fn move_left_out(made: &Move, on: &Subject<'_>) -> bool {
    // hugetlb rounds a length up, the module refuses it.
    if made.skew == Skew::Length {
        return true;
    }
    let Some(to) = made.to else {
        // Addresses and lengths of hugetlb's mappings are looked at before all else, a driver is
        // asked when it comes to that: never if there is nothing to do,
        return made.skew == Skew::Start && made.count == made.from.count;
    };
    // and not before what is to be cut off, and what is under the target, are gone.
    let cuts = made.count != made.from.count;
    let covers = on.maps.over(to.pages(made.count).span()).next().is_some();
    if made.skew != Skew::None && (cuts || covers) {
        return true;
    }
    // Several mappings, or a mapping and a gap: hugetlb moves them, the module says EFAULT.
    let from = made.from.span();
    let Some(area) = on.maps.around(from.clone()) else {
        return true;
    };
    if area.is_private() && on.could_rob_the_wrong() && to.number() != from.start {
        return true;
    }
    // What is under the target goes first. Should it be the rest of the same mapping, that is then
    // no part of what is moved.
    let target = to.pages(made.count).span();
    let left = |pages: &Range<usize>| pages.clone().any(|page| !target.contains(&page));
    let before = area.pages.start..from.start;
    let behind = from.end..area.pages.end;
    // A part of a private mapping with reservations: hugetlb forgets those of the whole, and they
    // stay in resv_hugepages for ever. Of a child's mapping it forgets that pages were taken away.
    area.is_private()
        && on.reserved[from.clone()].contains(&true)
        && (left(&before) || left(&behind))
}

/// What an event counts as.
pub fn normalise(op: &Op, event: Event) -> Event {
    match (op, event) {
        // mremap that would grow: hugetlb says EINVAL, VM_DONTEXPAND EFAULT. From an address that
        // is no multiple of the page size, over the mapping's end: EINVAL and EFAULT as well.
        (Op::Move(made), Event::Errno(libc::EFAULT))
            if made.count > made.from.count || made.skew == Skew::Start =>
        {
            Event::Errno(libc::EINVAL)
        }
        _ => event,
    }
}
