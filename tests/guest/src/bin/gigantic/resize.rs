// SPDX-License-Identifier: GPL-2.0

//! The pool's size.

use guest::beside::beside_in;
use guest::child::fork;
use guest::parse::{limits_are_alike, texts, Answer};
use guest::policy::Policy;
use guest::pool::{memory_nodes, write_once, Pool, Resized, HUGETLB_1G, OURS_1G};
use guest::{call, check, memory, poll, same, Check, Errno, Fail};

use crate::{PAGE, POOLS};

/// More than there are.
const TOO_MANY: u64 = 64;

pub fn as_many_as_hugetlb_gets_and_all_are_given_back() -> Check {
    let _pools = (Resized::of(HUGETLB_1G, 0)?, Resized::ours_1g(0)?);
    // A range is tried once, and the kernel may have a page of it in hand just then: before and after.
    let hugetlbs = || {
        HUGETLB_1G.set(TOO_MANY)?;
        let got = HUGETLB_1G.nr()?;
        HUGETLB_1G.set(0)?;
        Ok::<_, Fail>(got)
    };
    let first = hugetlbs()?;
    let before = memory::free_kib()?;
    OURS_1G.set(TOO_MANY)?;
    let counts = OURS_1G.counts()?;
    let taken = before.saturating_sub(memory::free_kib()?);
    let on_nodes: u64 = counts.nodes.iter().map(|node| node.free).sum();
    same!(on_nodes, counts.nr, "the nodes' pages");
    let pages_kib = counts.nr * (PAGE as u64 / 1024);
    check!(
        taken.abs_diff(pages_kib) < memory::NOISE_KIB,
        "{} pages took {taken} KiB",
        counts.nr
    );
    OURS_1G.set(0)?;
    same!(OURS_1G.nr()?, 0, "nr_hugepages after writing 0");
    memory::all_is_back(before, memory::free_kib()?)?;
    let theirs = [first, hugetlbs()?];
    let least = theirs[0].min(theirs[1]);
    check!(least >= 4, "hugetlb got {theirs:?} pages");
    check!(
        counts.nr >= least && counts.free == counts.nr,
        "hugetlb got {theirs:?} pages, this pool {counts:?}"
    );
    Ok(())
}

pub fn nodes_and_policies_as_hugetlb() -> Check {
    let nodes = memory_nodes()?;
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    check!(first != last, "the guest has one node");
    beside_in(POOLS, 0, |side| {
        side.rewind()?;
        for count in [2, 3, 1] {
            side.pool().set(count)?;
            side.counts(format!("after writing {count}"), (count, count, 0, 0))?;
        }
        for (node, count) in [(last, 2), (first, 0), (last, 1)] {
            side.pool().set_node(node, count)?;
            side.note_counts(format!("after writing {count} to node {node}"))?;
        }
        for (policy, count) in [
            (Policy::bind(&[first]), 2),
            (Policy::bind(&[last]), 1),
            (Policy::interleave(&nodes), 0),
        ] {
            let _task = policy.set()?;
            side.pool().set_by_policy(count)?;
            side.note_counts(format!("after a task with {policy:?} wrote {count}"))?;
        }
        side.pool().set(0)?;
        side.counts("in the end", (0, 0, 0, 0))
    })
}

pub fn a_signal_stops_it() -> Check {
    extern "C" fn handler(_: libc::c_int) {}
    let _pool = Resized::ours_1g(0)?;
    let child = fork(|link| {
        let handler = handler as extern "C" fn(libc::c_int);
        // SAFETY: The handler does nothing.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        let written = write_once(
            &OURS_1G.file("nr_hugepages"),
            TOO_MANY.to_string().as_bytes(),
        )?;
        link.send(written as u64)
    })?;
    poll::until("nr_hugepages while it grows", || OURS_1G.nr(), |nr| *nr > 0)?;
    check!(!child.link.has_message()?, "nobody saw it grow");
    // SAFETY: kill takes numbers.
    call(unsafe { libc::kill(child.pid(), libc::SIGUSR1) })?;
    // It is pending by now; one page may be on its way.
    let at_signal = OURS_1G.nr()?;
    // A pool that is smaller than asked for is no error.
    same!(child.link.number()?, 2, "bytes written");
    child.finish()?;
    let nr = OURS_1G.nr()?;
    check!(
        nr <= at_signal + 1,
        "{at_signal} pages at the signal, {nr} in the end"
    );
    same!(OURS_1G.free()?, nr, "free_hugepages");
    Ok(())
}

/// The count before each write, which none of the texts means.
const BEFORE: u64 = 0;

pub fn counts_are_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::of(HUGETLB_1G, 0)?, Resized::ours_1g(0)?);
    limits_are_alike(OURS_1G, HUGETLB_1G)?;
    // The other files' texts are those that take no page, and one that takes one.
    let first = memory_nodes()?[0];
    let files: [fn(Pool, usize) -> String; 3] = [
        |pool, _| pool.file("nr_hugepages"),
        |pool, _| pool.file("nr_hugepages_mempolicy"),
        |pool, node| pool.node_file(node, "nr_hugepages"),
    ];
    let (mut taken, mut refused) = (0, 0);
    for file in files {
        for text in texts() {
            if value(&text)?.is_some_and(|value| value > BEFORE) {
                continue;
            }
            let [want, seen] = POOLS.map(|pool| answer(pool, &file(pool, first), &text));
            let want = want?;
            same!(seen?, want, "writing \"{}\"", text.escape_ascii());
            match want.0 {
                Ok(_) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    same!(
        (taken > 5, refused > 20),
        (true, true),
        "texts taken and refused"
    );
    let [want, seen] = POOLS.map(|pool| answer(pool, &pool.file("nr_hugepages"), b"+01\n"));
    same!(seen?, want?, "writing +01");
    Ok(())
}

/// What hugetlb takes a text for.
fn value(text: &[u8]) -> Check<Option<u64>> {
    const OTHER: u64 = 77;
    HUGETLB_1G.set_overcommit(OTHER)?;
    let result = write_once(&HUGETLB_1G.file("nr_overcommit_hugepages"), text);
    let limit = HUGETLB_1G.overcommit()?;
    HUGETLB_1G.set_overcommit(0)?;
    Ok((result.is_ok() && limit != OTHER).then_some(limit))
}

fn answer(pool: Pool, path: &str, text: &[u8]) -> Result<Answer, Fail> {
    pool.set(BEFORE)?;
    let result: Result<usize, Errno> = write_once(path, text);
    let nr = pool.nr()?;
    pool.set(BEFORE)?;
    Ok((result, nr))
}
