// SPDX-License-Identifier: GPL-2.0

//! `oom_floor`, and what stays above it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use guest::map::Map;
use guest::policy::Policy;
use guest::pool::{memory_nodes, write_once, Counts, Resized, HUGETLB, OURS};
use guest::{check, refused, same, Check};

use crate::hog::{huge_pages, takes, takes_from, takes_until, End};

/// Pages of the module's pool.
const PAGES: u64 = 100;
/// Huge pages that processes can have beside the pools.
const SPARE: usize = 100;
const PART: usize = 8;

fn path() -> String {
    OURS.file("oom_floor")
}

/// A floor, and none again in the end.
struct Floor;

impl Floor {
    fn of(count: u64) -> Check<Self> {
        write_once(&path(), count.to_string().as_bytes())?;
        Ok(Self)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = write_once(&path(), b"max");
    }
}

pub fn modes() -> Check {
    let mode = fs::metadata(path())?.permissions().mode() & 0o7777;
    same!(mode, 0o644, "mode");
    same!(
        fs::read_to_string(path())?,
        "max\n",
        "oom_floor when the module was just loaded"
    );
    Ok(())
}

pub fn floors_are_parsed() -> Check {
    let _floor = Floor::of(7)?;
    for (text, errno) in [
        ("18446744073709551616", libc::ERANGE),
        ("-1", libc::EINVAL),
        ("1.5", libc::EINVAL),
        ("maximum", libc::EINVAL),
        ("ma", libc::EINVAL),
        ("max max", libc::EINVAL),
        ("\n", libc::EINVAL),
        ("", libc::EINVAL),
    ] {
        if !text.is_empty() {
            refused!(
                write_once(&path(), text.as_bytes()),
                errno,
                "writing {text:?}"
            );
        }
        same!(fs::read_to_string(path())?, "7\n", "after writing {text:?}");
    }
    for (text, read) in [
        ("0", "0\n"),
        ("099\n", "99\n"),
        ("max\n", "max\n"),
        ("18446744073709551614", "18446744073709551614\n"),
        ("18446744073709551615", "max\n"),
        ("1", "1\n"),
        ("max", "max\n"),
    ] {
        same!(
            write_once(&path(), text.as_bytes()),
            Ok(text.len()),
            "writing {text:?}"
        );
        same!(fs::read_to_string(path())?, read, "after writing {text:?}");
    }
    Ok(())
}

/// hugetlb's pool, with all but a little of the memory in it, so that the rest is soon used up; and the
/// module's, of [`PAGES`].
fn scarce() -> Check<[Resized; 2]> {
    let ours = Resized::ours(PAGES)?;
    let hugetlbs = Resized::of(HUGETLB, 0)?;
    HUGETLB.set(huge_pages("MemAvailable")?.saturating_sub(SPARE) as u64)?;
    Ok([ours, hugetlbs])
}

/// The counters of both pools after somebody wanted all memory, also what the pools and the kernel have.
fn after_taking_all() -> Check<[Counts; 2]> {
    same!(
        takes(huge_pages("MemTotal")?)?,
        End::Killed,
        "who takes all there is"
    );
    Ok([OURS.counts()?, HUGETLB.counts()?])
}

pub fn nothing_goes_unless_allowed() -> Check {
    let _pools = scarce()?;
    let before = [OURS.counts()?, HUGETLB.counts()?];
    check!(before[1].nr > 0, "hugetlb has no page");
    same!(after_taking_all()?, before, "both pools");
    Ok(())
}

/// No file says how much memory can be had before the pool is asked (what CPUs keep on lists of their
/// own is not available, it says there), so the process goes on until half of the pool went.
pub fn who_needs_memory_lives_on() -> Check {
    let _pools = scarce()?;
    let _floor = Floor::of(PART as u64)?;
    let half = PAGES / 2;
    same!(
        takes_until(huge_pages("MemTotal")?, &Policy::none(), || Ok(OURS
            .nr()?
            <= half))?,
        End::GotAll,
        "who takes what half of the pool had"
    );
    let left = OURS.counts()?;
    check!(
        (PART as u64..=half).contains(&left.nr) && left.nr == left.free,
        "more went than it needed: {left:?}"
    );
    Ok(())
}

pub fn pages_go_down_to_the_floor() -> Check {
    let _pools = scarce()?;
    let _floor = Floor::of(37)?;
    let [ours, _] = after_taking_all()?;
    same!(ours.row(), (37, 37, 0), "nr, free and surplus");
    let on_nodes: u64 = ours.nodes.iter().map(|node| node.nr).sum();
    same!(on_nodes, 37, "the nodes' nr_hugepages");
    // Nothing keeps it from growing again.
    OURS.reach(PAGES)
}

pub fn promised_and_used_pages_stay() -> Check {
    let _pools = scarce()?;
    let used = Map::of_new_file(PART)?;
    (0..PART).for_each(|page| used.fill(page, 1 + page as u64));
    let promised = Map::of_new_file(PART)?;
    let _floor = Floor::of(0)?;
    let [ours, _] = after_taking_all()?;
    let parts = PART as u64;
    same!(
        (ours.row(), ours.resv),
        ((2 * parts, parts, 0), parts),
        "nr, free and surplus; resv"
    );
    (0..PART).try_for_each(|page| used.holds(page, 1 + page as u64))?;
    for page in 0..PART {
        promised.unmarked(page)?;
        promised.mark(page, 9);
    }
    Ok(())
}

/// Pages of nodes that the process may not use would not help it.
pub fn pages_of_other_nodes_stay() -> Check {
    let _pools = scarce()?;
    let nodes = memory_nodes()?;
    let (last, others) = (nodes[nodes.len() - 1], &nodes[..nodes.len() - 1]);
    for node in &nodes {
        OURS.reach_on(*node, PAGES / 4)?;
    }
    let _floor = Floor::of(0)?;
    let all = huge_pages("MemTotal")?;
    same!(
        takes_from(all, &Policy::bind(&[last]))?,
        End::Killed,
        "who takes all there is on a node"
    );
    same!(
        OURS.read(Some(last), "nr_hugepages")?,
        0,
        "pages of node {last}"
    );
    for node in others {
        same!(
            OURS.read(Some(*node), "nr_hugepages")?,
            PAGES / 4,
            "pages of node {node}"
        );
    }
    Ok(())
}
