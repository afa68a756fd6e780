// SPDX-License-Identifier: GPL-2.0

//! Memory that breaks while a pool has it.

use std::fs;

use crate::access::Bus;
use crate::map::Map;
use crate::memory::{self, is_compound, is_free, is_poisoned, is_users, BASE_PAGE};
use crate::pool::{Pool, OURS};
use crate::{check, debugfs, same, Check, HUGE};

/// BUS_MCEERR_AR: the hardware would have said the same.
pub const AR: Bus = Bus(4);

/// The kernel learns that the frame is broken, and the pool of that.
pub fn poison(pool: Pool, frame: u64) -> Check {
    memory::poison(frame)?;
    if pool.is_ours() {
        pool.poisoned()?;
    }
    Ok(())
}

/// What a pool has on each node, and what it lost there.
pub struct Counted {
    pool: Pool,
    /// nr_hugepages and poisoned_hugepages.
    nodes: Vec<(u64, u64)>,
    poisoned: u64,
}

impl Counted {
    pub fn of(pool: Pool) -> Check<Self> {
        let nodes = pool.counts()?.nodes;
        let nr = nodes.iter().map(|node| node.nr);
        Ok(Self {
            pool,
            nodes: nr.zip(pool.poisoned_by_node()?).collect(),
            poisoned: pool.poisoned()?,
        })
    }

    /// Fails unless so many pages have broken and left since, each counted on the node where it was.
    pub fn has_lost(&self, pages: u64) -> Check {
        let now = Self::of(self.pool)?;
        for (node, (was, is)) in self.nodes.iter().zip(&now.nodes).enumerate() {
            same!(
                is.1 - was.1,
                was.0 - is.0,
                "pages more in poisoned_hugepages, and less in nr_hugepages, of node {node}"
            );
        }
        let of_nodes: u64 = now.nodes.iter().map(|(_, poisoned)| poisoned).sum();
        same!(
            (now.poisoned, of_nodes),
            (self.poisoned + pages, self.poisoned + pages),
            "poisoned_hugepages, and its sum over all nodes"
        );
        Ok(())
    }
}

/// What reading and writing each page's first word gave.
type Words = Vec<(Result<u64, Bus>, Result<(), Bus>)>;

/// Fails unless the first word of each page but the broken one is `stamp`. Writes 7 there.
pub fn all_but_one(map: &Map, broken: usize, stamp: u64, what: &str) -> Check {
    let touch = |page| {
        let offset = page * map.page_bytes();
        (map.try_read(offset), map.try_write(offset, 7))
    };
    let mut want: Words = vec![(Ok(stamp), Ok(())); map.pages()];
    want[broken] = (Err(AR), Err(AR));
    let seen: Words = (0..map.pages()).map(touch).collect();
    same!(seen, want, "{what}");
    Ok(())
}

/// Base pages of a huge page.
const FRAMES: u64 = HUGE as u64 / BASE_PAGE;

/// Fails unless the base page is broken, and neither free nor in a page that somebody has got.
pub fn is_nobodys(frame: u64) -> Check {
    // Or the kernel would try for long to have it for a larger page.
    let unmovable = unmovable_around(frame)?;
    check!(unmovable > 0, "all around frame {frame:#x} can be had");
    // Another one breaks, too: where the kernel is asked about a free page, nothing stays in the CPUs'
    // lists, in which no page can be seen.
    let rest = frame + 1..(frame | (FRAMES - 1)) + 1;
    let unused = rest
        .clone()
        .find(|frame| matches!(is_users(*frame), Ok(false)));
    check!(unused.is_some(), "users have all of frames {rest:x?}");
    memory::poison(unused.unwrap_or_default())?;
    same!(
        (is_poisoned(frame)?, is_free(frame)?, is_compound(frame)?),
        (true, false, false),
        "frame {frame:#x} is poisoned, free, and of a larger page"
    );
    Ok(())
}

/// How many base pages cannot be moved, of a huge page's range around a frame: by the module's map.
fn unmovable_around(frame: u64) -> Check<u64> {
    debugfs::mount()?;
    let map = fs::read_to_string(debugfs::map_file(OURS))?;
    let first = format!(" {:#x}-", frame & !(FRAMES - 1));
    let line = map.lines().find(|line| line.contains(&first));
    // The verdict may be that word, too.
    let counts = line.and_then(|line| line.rsplit_once(" unmovable "));
    let count = counts.and_then(|(_, counts)| counts.split(' ').next());
    Ok(count.unwrap_or_default().parse()?)
}
