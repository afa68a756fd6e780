// SPDX-License-Identifier: GPL-2.0

//! What insmod is told about 1 GiB pages.

use guest::device::{open_with, NODES, NODE_1G};
use guest::file::Huge;
use guest::kmod::{load, unload, users, Reloaded};
use guest::map::Request;
use guest::pool::{Pool, OURS, OURS_1G};
use guest::{check, memory, poll, refused, same, Check, HUGE};
use rust_hugetlb::HugeFile;

use crate::PAGE;

fn open(pool: Pool, node: &str) -> Check<Huge> {
    Ok(Huge::from_file(pool, open_with(node, libc::O_RDWR)?))
}

pub fn parameters() -> Check {
    let _reloaded = Reloaded::after_test()?;
    unload()?;
    let before = memory::free_kib()?;
    load("hugepages_1G=1 overcommit_1G=3 default_1G=1")?;
    let counts = OURS_1G.counts()?;
    same!(
        (counts.nr, counts.free, counts.surplus, counts.overcommit),
        (1, 1, 0, 3),
        "nr, free, surplus and overcommit"
    );
    same!(OURS.nr()?, 0, "2 MiB pages");
    let [default, small] = NODES;
    for (node, page) in [(default, PAGE), (NODE_1G, PAGE), (small, HUGE)] {
        let state = open(OURS_1G, node)?.state()?;
        same!(state.page_size, page as u64, "page size of {node}");
    }
    let library = HugeFile::new()?.info()?;
    same!(library.page_size, HUGE as u64, "page size of the library");
    let file = open(OURS_1G, default)?;
    refused!(
        file.map(Request::pages(1)),
        libc::EINVAL,
        "mmap of 2 MiB of {default}"
    );
    let map = file.map(Request::of(OURS_1G, 1))?;
    map.write(PAGE - 8, 1);
    same!(OURS_1G.free()?, 0, "free_hugepages");
    drop((map, file));
    OURS_1G.settles_at_free(1)?;
    poll::until("users of the module", users, |count| *count == 0)?;
    unload()?;
    let after = memory::free_kib()?;
    check!(
        after.abs_diff(before) < PAGE as u64 / 1024 / 2,
        "{before} KiB were free before, {after} KiB after"
    );
    load("")?;
    same!(
        (OURS_1G.nr()?, OURS_1G.overcommit()?),
        (0, 0),
        "nr and overcommit by default"
    );
    same!(
        open(OURS, default)?.state()?.page_size,
        HUGE as u64,
        "page size by default"
    );
    Ok(())
}
