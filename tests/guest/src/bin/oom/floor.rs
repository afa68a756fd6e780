// SPDX-License-Identifier: GPL-2.0

//! `oom_floor`, and what stays above it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use guest::map::Map;
use guest::memory::huge_pages;
use guest::policy::Policy;
use guest::pool::{memory_nodes, write_once, Resized, HUGETLB, OURS};
use guest::{check, refused, same, Check};

use crate::hog::{takes_from, takes_on_after, takes_until, End};
use crate::scarcity::{after_taking_all, path, scarce, Floor};

/// Pages of the module's pool.
const PAGES: u64 = 100;
const PART: usize = 8;
/// Pages that go at once.
const AT_ONCE: u64 = 16;

pub fn modes() -> Check {
    let mode = fs::metadata(path(OURS))?.permissions().mode() & 0o7777;
    same!(mode, 0o644, "mode");
    same!(
        fs::read_to_string(path(OURS))?,
        "max\n",
        "oom_floor when the module was just loaded"
    );
    Ok(())
}

pub fn floors_are_parsed() -> Check {
    let _floor = Floor::of(OURS, 7)?;
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
                write_once(&path(OURS), text.as_bytes()),
                errno,
                "writing {text:?}"
            );
        }
        same!(
            fs::read_to_string(path(OURS))?,
            "7\n",
            "after writing {text:?}"
        );
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
            write_once(&path(OURS), text.as_bytes()),
            Ok(text.len()),
            "writing {text:?}"
        );
        same!(
            fs::read_to_string(path(OURS))?,
            read,
            "after writing {text:?}"
        );
    }
    Ok(())
}

pub fn nothing_goes_unless_allowed() -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let before = [OURS.counts()?, HUGETLB.counts()?];
    check!(before[1].nr > 0, "hugetlb has no page");
    let after = [after_taking_all(OURS)?, HUGETLB.counts()?];
    same!(after, before, "both pools");
    Ok(())
}

/// No file says how much memory can be had before the pool is asked (what CPUs keep on lists of their
/// own is not available, it says there), so the process goes on until half of the pool went.
pub fn who_needs_memory_lives_on() -> Check {
    lives_on(libc::MADV_HUGEPAGE)
}

/// A page of 2 MiB that a CPU keeps aside is of no use then.
pub fn who_needs_base_pages_lives_on() -> Check {
    lives_on(libc::MADV_NOHUGEPAGE)
}

fn lives_on(advice: libc::c_int) -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let _floor = Floor::of(OURS, PART as u64)?;
    let mut before = PAGES;
    let half_went = || -> Check<bool> {
        let left = OURS.nr()?;
        let went = before - left;
        before = left;
        // What goes at once is enough for a huge page; another task may have wanted some, too.
        check!(went <= 2 * AT_ONCE, "{went} pages went for one");
        Ok(left <= PAGES / 2)
    };
    same!(
        takes_until(huge_pages("MemTotal")?, advice, half_went)?,
        End::GotAll,
        "who takes what half of the pool had"
    );
    let left = OURS.counts()?;
    check!(
        (PART as u64..=PAGES / 2).contains(&left.nr) && left.nr == left.free,
        "more went than it needed: {left:?}"
    );
    Ok(())
}

pub fn pages_go_down_to_the_floor() -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let _floor = Floor::of(OURS, 37)?;
    let ours = after_taking_all(OURS)?;
    same!(ours.row(), (37, 37, 0), "nr, free and surplus");
    let on_nodes: u64 = ours.nodes.iter().map(|node| node.nr).sum();
    same!(on_nodes, 37, "the nodes' nr_hugepages");
    // Nothing keeps it from growing again.
    OURS.reach(PAGES)
}

pub fn promised_and_used_pages_stay() -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let used = Map::of_new_file(PART)?;
    (0..PART).for_each(|page| used.fill(page, 1 + page as u64));
    let promised = Map::of_new_file(PART)?;
    let _floor = Floor::of(OURS, 0)?;
    let ours = after_taking_all(OURS)?;
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

/// The same of pages that were promised or taken when others had gone already.
pub fn promises_made_meanwhile_are_kept() -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let _floor = Floor::of(OURS, 0)?;
    let (end, (used, promised)) = takes_on_after(
        huge_pages("MemTotal")?,
        || Ok(OURS.nr()? <= PAGES / 2),
        || {
            let used = Map::of_new_file(PART)?;
            (0..PART).for_each(|page| used.mark(page, 1 + page as u64));
            Ok((used, Map::of_new_file(PART)?))
        },
    )?;
    same!(end, End::Killed, "who takes all there is, with a rest");
    let (ours, parts) = (OURS.counts()?, PART as u64);
    same!(
        (ours.row(), ours.resv),
        ((2 * parts, parts, 0), parts),
        "nr, free and surplus; resv"
    );
    for page in 0..PART {
        used.marked(page, 1 + page as u64)?;
        promised.unmarked(page)?;
        promised.mark(page, 9);
    }
    Ok(())
}

/// Pages of nodes that the process may not use would not help it.
pub fn pages_of_other_nodes_stay() -> Check {
    let _pools = (Resized::ours(PAGES)?, scarce()?);
    let nodes = memory_nodes()?;
    let (last, others) = (nodes[nodes.len() - 1], &nodes[..nodes.len() - 1]);
    for node in &nodes {
        OURS.reach_on(*node, PAGES / 4)?;
    }
    let _floor = Floor::of(OURS, 0)?;
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
