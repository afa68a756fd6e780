// SPDX-License-Identifier: GPL-2.0

//! Calls that walk page tables and know no 1 GiB entries: they split them. The page must be there
//! still, in one entry again, and counted once.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use guest::map::Map;
use guest::policy::Policy;
use guest::pool::OURS_1G;
use guest::{call, check, fail, same, Check, Fail};

use crate::balance::{balanced, marked_in_one_entry, warm, Resident};
use crate::PAGE;

type Walk = (&'static str, fn(&Map) -> Check);

const WALKS: [Walk; 13] = [
    ("smaps", |map| {
        reads("smaps", &format!("{:x}-", map.base() as usize))
    }),
    ("smaps_rollup", |_| reads("smaps_rollup", "[rollup]")),
    ("numa_maps", |map| {
        reads("numa_maps", &format!("{:x} ", map.base() as usize))
    }),
    ("pagemap", pagemap),
    ("PAGEMAP_SCAN", scan),
    ("clear_refs of referenced bits", |_| clear_refs("3")),
    ("clear_refs of soft-dirty bits", |_| clear_refs("4")),
    ("mincore", mincore),
    ("mlock", mlock),
    ("mbind", |map| Policy::local().set_on(map)),
    ("mbind that moves", mbind_that_moves),
    ("MADV_COLD", |map| advise(map, libc::MADV_COLD)),
    ("MADV_PAGEOUT", |map| advise(map, libc::MADV_PAGEOUT)),
];

fn reads(name: &str, part: &str) -> Check {
    let text = fs::read_to_string(format!("/proc/self/{name}"))?;
    check!(text.contains(part), "no {part} in {name}");
    Ok(())
}

fn pagemap(map: &Map) -> Check {
    let mut entries = vec![0; PAGE / 4096 * 8];
    let file = fs::File::open("/proc/self/pagemap")?;
    file.read_exact_at(&mut entries, map.base() as u64 / 4096 * 8)?;
    Ok(())
}

/// include/uapi/linux/fs.h
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

fn scan(map: &Map) -> Check {
    const PAGEMAP_SCAN: libc::c_ulong = libc::_IOWR::<Scan>(b'f' as u32, 16);
    const PAGE_IS_PRESENT: u64 = 1 << 3;
    let mut regions = [0_u64; 3 * 16];
    let start = map.base() as u64;
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: 0,
        start,
        end: start + PAGE as u64,
        walk_end: 0,
        vec: regions.as_mut_ptr() as u64,
        vec_len: 16,
        max_pages: 0,
        category_inverted: 0,
        category_mask: PAGE_IS_PRESENT,
        category_anyof_mask: 0,
        return_mask: PAGE_IS_PRESENT,
    };
    let file = fs::File::open("/proc/self/pagemap")?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // It ends early where there are more regions than there is room for.
    while scan.start < scan.end {
        // SAFETY: There is room for what the kernel writes, to `scan` and to as many regions.
        call(unsafe { libc::ioctl(fd, PAGEMAP_SCAN, &raw mut scan) })?;
        check!(
            scan.walk_end > scan.start && scan.walk_end <= scan.end,
            "it got from {:#x} to {:#x}",
            scan.start,
            scan.walk_end
        );
        scan.start = scan.walk_end;
    }
    Ok(())
}

fn clear_refs(what: &str) -> Check {
    Ok(fs::write("/proc/self/clear_refs", what)?)
}

fn mincore(map: &Map) -> Check {
    let mut present = vec![0_u8; PAGE / 4096];
    // SAFETY: There is a byte for each base page.
    call(unsafe { libc::mincore(map.base().cast(), PAGE, present.as_mut_ptr()) })?;
    Ok(())
}

fn mlock(map: &Map) -> Check {
    // SAFETY: The range is the mapping.
    unsafe {
        call(libc::mlock(map.base().cast(), PAGE))?;
        call(libc::munlock(map.base().cast(), PAGE))?;
    }
    Ok(())
}

fn mbind_that_moves(map: &Map) -> Check {
    const MPOL_MF_MOVE: libc::c_ulong = 1 << 1;
    let nodes = 0b11_u64;
    // SAFETY: There are as many bits as it says.
    call(unsafe {
        libc::syscall(
            libc::SYS_mbind,
            map.base(),
            PAGE,
            libc::MPOL_INTERLEAVE,
            &nodes,
            64,
            MPOL_MF_MOVE,
        )
    })?;
    Ok(())
}

fn advise(map: &Map, advice: libc::c_int) -> Check {
    map.advise(advice)?;
    Ok(())
}

fn marked_map() -> Check<Map> {
    let map = Map::of(OURS_1G, 1)?;
    map.mark(0, 1);
    Ok(map)
}

pub fn each_leaves_the_page() -> Check {
    balanced(1, || {
        warm()?;
        let resident = Resident::now()?;
        let map = marked_map()?;
        for (what, walk) in WALKS {
            let named = |Fail(why)| Fail(format!("{what}: {why}"));
            resident.grew_by(PAGE).map_err(named)?;
            walk(&map).map_err(named)?;
            marked_in_one_entry(&map, 0, 1).map_err(named)?;
        }
        resident.grew_by(PAGE)?;
        drop(map);
        resident.grew_by(0)
    })
}

/// Touches all over the page while `act` is done so often.
fn while_touched(map: &Map, rounds: usize, act: impl Fn() -> Check) -> Check {
    const THREADS: usize = 2;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads = [0; THREADS].map(|_| {
            scope.spawn(|| {
                let mut number = 0;
                while !done.load(Relaxed) {
                    number = (number + 7919) % (PAGE / 4096);
                    let offset = number * 4096 + number % 512 * 8;
                    let word = map.read(offset);
                    if word != ((1 << 32) | number as u64) {
                        return Some((offset, word));
                    }
                    map.write(offset, word);
                }
                None
            })
        });
        let acted = (0..rounds).try_for_each(|_| act());
        done.store(true, Relaxed);
        for thread in threads {
            match thread.join() {
                Ok(wrong) => same!(wrong, None, "words that were wrong"),
                Err(_) => fail!("a thread panicked"),
            }
        }
        acted
    })
}

pub fn under_threads_that_touch() -> Check {
    balanced(1, || {
        let resident = Resident::now()?;
        let map = marked_map()?;
        while_touched(&map, 12, || {
            WALKS.iter().try_for_each(|(what, walk)| {
                walk(&map).map_err(|Fail(why)| Fail(format!("{what}: {why}")))
            })
        })?;
        // Perhaps in base pages by now (DEVIATIONS.md).
        map.marked(0, 1)?;
        resident.grew_by(PAGE)?;
        drop(map);
        resident.grew_by(0)
    })
}

/// The kernel takes entries out under the same locks under which they come.
pub fn dropped_under_threads_that_touch() -> Check {
    balanced(1, || {
        let resident = Resident::now()?;
        let map = marked_map()?;
        while_touched(&map, 4000, || advise(&map, libc::MADV_DONTNEED))?;
        // Perhaps in base pages by now (DEVIATIONS.md).
        map.marked(0, 1)?;
        resident.grew_by(PAGE)?;
        drop(map);
        resident.grew_by(0)
    })
}
