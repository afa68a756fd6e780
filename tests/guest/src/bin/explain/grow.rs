// SPDX-License-Identifier: GPL-2.0

//! What `can_grow` foretells beside what a resize gets, and what is said of one that falls short.

use std::time::Instant;

use guest::kmod::Log;
use guest::pool::memory_nodes;
use guest::{check, memory, same, Check, HUGE};

use crate::text::{drain, Emptied, Prospect, Size, LARGE};

/// More pages than there are.
pub fn too_many(size: Size) -> Check<u64> {
    Ok(2 * memory::meminfo("MemTotal")? / size.kib() + 16)
}

/// Fails unless the pool got what was foretold; says what that was.
fn is_as_foretold(prospect: Prospect, got: u64, of: &str) -> Check {
    println!("# {of}: {prospect:?}, got {got}");
    check!(
        prospect.now <= got && got <= prospect.at_most,
        "{of}: {prospect:?}, got {got}"
    );
    Ok(())
}

/// Grows the pool, or its part on a node, as far as it goes: what was foretold, and how many pages
/// there are then. All over again if that was not it: the kernel itself may have got a part of what was
/// free, had it in hand just then, or given up some of its own, but not each time.
pub fn grown(size: Size, node: Option<usize>) -> Check<(Prospect, u64)> {
    const TRIES: usize = 5;
    let set = |count| match node {
        Some(node) => size.pool.set_node(node, count),
        None => size.pool.set(count),
    };
    let mut tries = 0;
    loop {
        drain()?;
        let prospect = match node {
            Some(node) => size.can_grow_of(node)?,
            None => size.can_grow()?.0,
        };
        set(too_many(size)?)?;
        let got = size.pool.nr()?;
        tries += 1;
        if (prospect.now..=prospect.at_most).contains(&got) || tries == TRIES {
            return Ok((prospect, got));
        }
        println!("# {got} pages, and {prospect:?} was foretold: once more");
        set(0)?;
    }
}

/// The whole pool grows as far as it goes.
pub fn whole(size: Size) -> Check {
    let _pool = Emptied::now(size)?;
    let (prospect, got) = grown(size, None)?;
    is_as_foretold(prospect, got, "all nodes")?;
    // And there is no more to be had.
    same!(
        size.explain()?.sum("pool", None),
        size.pool.nr()?,
        "ranges taken"
    );
    Ok(())
}

/// Each node by itself, by its own file.
pub fn by_node(size: Size) -> Check {
    let _pool = Emptied::now(size)?;
    for node in memory_nodes()? {
        let (prospect, got) = grown(size, Some(node))?;
        is_as_foretold(prospect, got, &format!("node {node}"))?;
        let told = size.explain_of(node)?;
        same!(
            (told.asked, told.got, &*told.on),
            (too_many(size)?, got, &*format!("node{node}")),
            "asked, got and on"
        );
        same!(told.sum("pool", None), got, "ranges taken");
        size.pool.set_node(node, 0)?;
    }
    Ok(())
}

pub fn pool_gets_what_was_foretold() -> Check {
    whole(LARGE)
}

pub fn nodes_get_what_was_foretold() -> Check {
    by_node(LARGE)
}

/// One line for each resize that fell short, which says where to look; none for others.
pub fn too_little_is_said_once() -> Check {
    let _pool = Emptied::now(LARGE)?;
    let mut log = Log::from_now()?;
    LARGE.pool.set(3)?;
    LARGE.pool.set(1)?;
    same!(
        log.lines()?,
        Vec::<String>::new(),
        "lines of resizes that went well"
    );
    let told = LARGE.explain()?;
    same!(
        (told.asked, told.got, &*told.on),
        (1, 1, "all"),
        "asked, got and on"
    );

    let asked = too_many(LARGE)?;
    LARGE.pool.set(asked)?;
    let got = LARGE.pool.nr()?;
    let line = format!(
        "5 rust_hugetlb: {asked} pages of 2048 kB asked for, {got} in the pool: see {}",
        LARGE.pool.file("explain")
    );
    same!(
        log.lines()?,
        vec![line],
        "lines of a resize that fell short"
    );
    let told = LARGE.explain()?;
    same!(
        (told.asked, told.got, &*told.on),
        (asked, got, "all"),
        "asked, got and on"
    );

    let node = memory_nodes()?[0];
    LARGE.pool.set_node(node, asked)?;
    let told = LARGE.explain()?;
    let here = told.got;
    let line = format!(
        "5 rust_hugetlb: {asked} pages of 2048 kB asked for on node {node}, {here} in the pool: see {}",
        LARGE.pool.node_file(node, "explain")
    );
    same!(log.lines()?, vec![line], "lines of a node's resize");
    same!(told.on, format!("node{node}"), "on");

    LARGE.pool.set(2)?;
    same!(log.lines()?, Vec::<String>::new(), "lines of a shrink");
    same!(LARGE.explain()?.got, 2, "got");
    check!(
        asked * LARGE.pages > 2 * HUGE as u64 / 4096,
        "asked for too little"
    );
    Ok(())
}

/// At most ten lines in five seconds.
pub fn the_log_is_not_flooded() -> Check {
    const WRITES: usize = 40;
    let size = crate::text::GIGANTIC;
    let _pool = Emptied::now(size)?;
    // As many as there are: from here on each write falls short at once.
    let asked = too_many(size)?;
    size.pool.set(asked)?;
    let mut log = Log::from_now()?;
    let begin = Instant::now();
    for _ in 0..WRITES {
        size.pool.set(asked)?;
    }
    let windows = begin.elapsed().as_secs() as usize / 5 + 2;
    let lines = log.lines()?.len();
    check!(lines > 0, "no line at all");
    check!(
        lines <= 10 * windows && (windows > 2 || lines < WRITES),
        "{lines} lines of {WRITES} writes in {windows} times 5 s"
    );
    Ok(())
}
