// SPDX-License-Identifier: GPL-2.0

//! Why a pool does not grow: what the files `explain` and `can_grow` say, the map in debugfs, and
//! the line in the log that points there.
//!
//! All of it is seen without locks and may be outdated when it is read. hugetlb has nothing of the
//! kind; the counterpart in the kernel is the tracepoint `test_pages_isolated`, after the fact.

use core::fmt::{self, Write};

use kernel::{
    c_str,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{new_mutex, Arc, Mutex},
    time::{Instant, Monotonic},
};

use crate::{
    hstate::Hstate,
    mm::{
        debugfs::{Directory, File, Records},
        memory_map::{Look, MemoryMap, Type},
        node,
        sysfs::Output,
        zone::{self, Zone},
    },
    policy::{
        frame::{Frame, Kind, Verdict},
        growth::{Growth, Limit},
        node::NodeId,
        size::HugeSize,
        survey::{self, Estimate, Prospect, Room, Survey, Tally},
    },
};

/// More than what is said of one zone.
const ZONE_TEXT: usize = 1024;
/// More than what is said of one node's prospect.
const PROSPECT_TEXT: usize = 128;

/// What can be said of one page size.
pub(crate) struct Explain {
    size: HugeSize,
    map: Arc<MemoryMap>,
    last: Pin<KBox<Mutex<Last>>>,
    born: Instant<Monotonic>,
}

#[derive(Default)]
struct Last {
    growth: Growth,
    limit: Limit,
}

impl Explain {
    /// Sleeps.
    pub(crate) fn new(size: HugeSize, map: Arc<MemoryMap>) -> Result<Arc<Self>> {
        let last = KBox::pin_init(
            new_mutex!(Last::default(), "rust_hugetlb::Explain"),
            GFP_KERNEL,
        )?;
        let born = Instant::now();
        let this = Self {
            size,
            map,
            last,
            born,
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Remembers how a resize went.
    pub(crate) fn note(&self, growth: Growth) {
        self.last.lock().growth = growth;
    }

    /// Says in the log that a resize fell short, unless it did so too often just now.
    pub(crate) fn complain(&self, growth: &Growth) {
        let now_ms = self.born.elapsed().as_millis().unsigned_abs();
        if !growth.is_short() || !self.last.lock().limit.allows(now_ms) {
            return;
        }
        let kib = self.size.kib();
        let (asked, got) = (growth.asked.get(), growth.got.get());
        match growth.node {
            None => pr_notice!("{asked} pages of {kib} kB asked for, {got} in the pool: see /sys/kernel/rust_hugetlb/hugepages-{kib}kB/explain\n"),
            Some(node) => {
                let node = node.index();
                pr_notice!("{asked} pages of {kib} kB asked for on node {node}, {got} in the pool: see /sys/kernel/rust_hugetlb/node{node}/hugepages-{kib}kB/explain\n");
            }
        }
    }

    /// The text of `explain`: of one node, or of all. Sleeps.
    pub(crate) fn explain(&self, node: Option<NodeId>, out: &mut Output<'_>) -> fmt::Result {
        let last = self.last.lock().growth;
        writeln!(out, "asked {}", last.asked.get())?;
        writeln!(out, "got {}", last.got.get())?;
        match last.node {
            None => writeln!(out, "on all")?,
            Some(node) => writeln!(out, "on node{}", node.index())?,
        }
        for zone in zones(node) {
            if out.room() < ZONE_TEXT {
                return writeln!(out, "more node{}", zone.nid);
            }
            let survey = self.survey(&zone).map_err(|_| fmt::Error)?;
            ZoneText { zone: &zone }.write(&survey, out)?;
        }
        Ok(())
    }

    /// The text of `can_grow`: of one node, or of all. Sleeps.
    pub(crate) fn can_grow(&self, node: Option<NodeId>, out: &mut Output<'_>) -> fmt::Result {
        let mut nodes: KVec<(usize, Estimate)> = KVec::new();
        let mut sum = Estimate::default();
        for zone in zones(node) {
            let survey = self.survey(&zone).map_err(|_| fmt::Error)?;
            let room = self.room(&zone);
            sum.add(&survey, room, self.size);
            if nodes.last().is_none_or(|(nid, _)| *nid != zone.nid) {
                nodes
                    .push((zone.nid, Estimate::default()), GFP_KERNEL)
                    .map_err(|_| fmt::Error)?;
            }
            if let Some((_, estimate)) = nodes.last_mut() {
                estimate.add(&survey, room, self.size);
            }
        }
        let everywhere = self.refuge();
        // Compaction stays on its node, and is asked for a node's page; a range's pages go anywhere.
        let prospect = |estimate: &Estimate| match self.size.is_contiguous() {
            true => estimate.prospect(&everywhere, self.size),
            false => estimate.prospect(estimate, self.size),
        };
        if node.is_none() {
            write_prospect(out, format_args!("all"), prospect(&sum))?;
        }
        for (nid, estimate) in &nodes {
            if out.room() < PROSPECT_TEXT {
                return writeln!(out, "more node{nid}");
            }
            write_prospect(out, format_args!("node{nid}"), prospect(estimate))?;
        }
        Ok(())
    }

    /// Where pages that are moved may go: the free memory of all nodes.
    fn refuge(&self) -> Estimate {
        let mut refuge = Estimate::default();
        for zone in zones(None) {
            refuge.add(&Survey::default(), self.room(&zone), self.size);
        }
        refuge
    }

    fn room(&self, zone: &Zone) -> Room {
        let blocks = zone.free_blocks.iter().enumerate();
        let in_blocks: usize = blocks
            .filter(|(order, _)| *order >= self.size.order() as usize)
            .map(|(order, count)| count << order)
            .sum();
        // Above the high watermark nobody reclaims.
        let [_, _, high] = zone.watermarks;
        Room {
            free: zone.free,
            in_blocks: in_blocks.saturating_sub(zone.set_aside),
            kept: zone.set_aside + high + zone.lowmem_reserve,
        }
    }

    fn survey(&self, zone: &Zone) -> Result<Survey> {
        let mut survey = Survey::default();
        let mut index = 0;
        while let Some(first) = survey::range(zone.start, zone.spanned, self.size, index) {
            survey.add(self.tally(zone, first)?);
            index += 1;
        }
        Ok(survey)
    }

    /// What the range that begins with page frame `first` is made of.
    fn tally(&self, zone: &Zone, first: usize) -> Result<Tally> {
        let mut tally = Tally::default();
        self.map
            .walk(first, self.size.base_pages(), |look, pages| {
                let verdict = match look {
                    None => Verdict::Hole,
                    Some(look) => frame(&look, zone).verdict(self.size),
                };
                tally.add(verdict, pages);
            })?;
        Ok(tally)
    }
}

/// A zone's lines.
struct ZoneText<'a> {
    zone: &'a Zone,
}

impl ZoneText<'_> {
    fn write(&self, survey: &Survey, out: &mut Output<'_>) -> fmt::Result {
        self.fact(out, "ranges", survey.total())?;
        if survey.total() != 0 {
            for verdict in Verdict::ALL {
                self.fact(out, verdict.name(), survey.ranges(verdict))?;
            }
        }
        if let Some(nearest) = survey.nearest() {
            for verdict in Verdict::ALL {
                let pages = nearest.pages(verdict);
                if verdict.blocks() && pages != 0 {
                    self.begin(out)?;
                    writeln!(out, "nearest_miss_{} {pages}", verdict.name())?;
                }
            }
        }
        self.begin(out)?;
        write!(out, "free_blocks")?;
        for count in self.zone.free_blocks {
            write!(out, " {count}")?;
        }
        writeln!(out)?;
        self.fact(out, "free_pages", self.zone.free)?;
        let [min, low, high] = self.zone.watermarks;
        self.fact(out, "watermark_min", min)?;
        self.fact(out, "watermark_low", low)?;
        self.fact(out, "watermark_high", high)
    }

    fn begin(&self, out: &mut Output<'_>) -> fmt::Result {
        write!(out, "node{} {} ", self.zone.nid, self.zone.name)
    }

    fn fact(&self, out: &mut Output<'_>, name: &str, number: usize) -> fmt::Result {
        self.begin(out)?;
        writeln!(out, "{name} {number}")
    }
}

fn write_prospect(out: &mut Output<'_>, of: fmt::Arguments<'_>, prospect: Prospect) -> fmt::Result {
    writeln!(out, "{of} now {}", prospect.now.get())?;
    writeln!(out, "{of} likely {}", prospect.likely.get())?;
    writeln!(out, "{of} at_most {}", prospect.at_most.get())
}

/// The zones that pages come from: of one node, or of all.
fn zones(node: Option<NodeId>) -> impl Iterator<Item = Zone> {
    node::with_memory()
        .filter(move |nid| node.is_none_or(|node| node.index() == *nid))
        .flat_map(zone::usable)
}

/// What was seen, in policy's words.
fn frame(look: &Look, zone: &Zone) -> Frame {
    Frame {
        in_zone: look.nid == zone.nid && look.zone == zone.index,
        order: look.order,
        kind: match look.kind {
            Type::Buddy => Kind::Buddy,
            Type::Hugetlb => Kind::Hugetlb,
            Type::MovableOps => Kind::MovableOps,
            Type::Other => Kind::Typed,
            Type::None => Kind::Untyped,
        },
        reserved: look.reserved,
        lru: look.lru,
        has_mapping: look.has_mapping,
        ours: look.ours,
        references: look.references,
        accounted: look.accounted,
    }
}

/// The records of a map: a line for each range.
struct Map(Arc<Explain>);

impl Map {
    fn ranges(&self, zone: &Zone) -> usize {
        survey::ranges(zone.start, zone.spanned, self.0.size)
    }
}

impl Records for Map {
    fn count(&self) -> usize {
        let mut count = 0;
        for zone in zones(None) {
            count += self.ranges(&zone);
        }
        count
    }

    fn show(&self, index: usize, out: &SeqFile) -> Result {
        let mut index = index;
        for zone in zones(None) {
            let ranges = self.ranges(&zone);
            if index >= ranges {
                index -= ranges;
                continue;
            }
            let size = self.0.size;
            let first = survey::range(zone.start, zone.spanned, size, index).ok_or(EINVAL)?;
            let tally = self.0.tally(&zone, first)?;
            let last = first + size.base_pages() - 1;
            let what = tally.verdict().name();
            seq_print!(
                out,
                "node{} {} {first:#x}-{last:#x} {what}",
                zone.nid,
                zone.name
            );
            for verdict in Verdict::ALL {
                seq_print!(out, " {} {}", verdict.name(), tally.pages(verdict));
            }
            seq_print!(out, "\n");
            break;
        }
        Ok(())
    }
}

/// The maps in /sys/kernel/debug/rust_hugetlb, for as long as this lives.
pub(crate) struct Maps {
    _files: KVec<Pin<KBox<File<Map>>>>,
}

impl Maps {
    /// Makes a map for each of `hstates`. Sleeps.
    pub(crate) fn create(hstates: &[Arc<Hstate>], module: &'static ThisModule) -> Result<Self> {
        let directory = Directory::create(c_str!("rust_hugetlb"))?;
        let mut files = KVec::new();
        for hstate in hstates {
            let map = Map(hstate.explain().clone());
            files.push(
                File::create(directory.clone(), &hstate.folder()?, module, map)?,
                GFP_KERNEL,
            )?;
        }
        Ok(Self { _files: files })
    }
}
