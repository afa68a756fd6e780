// SPDX-License-Identifier: GPL-2.0

//! MAP_POPULATE, MAP_LOCKED, mlock in all its forms, mincore, msync.

use std::fs;

use guest::beside::Side;
use guest::child::in_child;
use guest::kind::{beside_both, half_touched, look, stamped, Kind};
use guest::map::{Map, Request, NONE, READ};
use guest::{call, Check, Errno, Fail, GIGANTIC, HUGE};

/// Which base pages are resident: for each huge page how many of its 512, or the errno.
fn residents(map: &Map) -> Vec<Result<usize, Errno>> {
    (0..map.pages())
        .map(|page| {
            let mut present = [0_u8; 512];
            let at = map.at(page * HUGE).cast();
            // SAFETY: mincore writes a byte for each base page.
            call(unsafe { libc::mincore(at, HUGE, present.as_mut_ptr()) })?;
            Ok(present.iter().filter(|byte| *byte & 1 != 0).count())
        })
        .collect()
}

/// Locked memory of this process, in KiB.
fn locked_kib() -> Check<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let line = line.ok_or_else(|| Fail("no VmLck".to_string()))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn note(side: &mut Side, what: &str, map: &Map) -> Check {
    side.note_counts(what)?;
    side.note(format_args!("{what}, residents"), residents(map));
    side.note(format_args!("{what}, locked"), locked_kib()?);
    Ok(())
}

/// MAP_POPULATE and MAP_LOCKED on `request`, where the file has one page of three.
fn populated(side: &mut Side, kind: Kind, request: Request) -> Check {
    for (name, flag) in [
        ("MAP_POPULATE", libc::MAP_POPULATE),
        ("MAP_LOCKED", libc::MAP_LOCKED),
        (
            "MAP_POPULATE | MAP_NONBLOCK",
            libc::MAP_POPULATE | libc::MAP_NONBLOCK,
        ),
    ] {
        let (file, one) = stamped(side, Kind::Shared, 1)?;
        // A file grows with writable mappings only.
        drop(Request::pages(3).unreserved().map(&file)?);
        let request = Request {
            flags: request.flags | flag,
            ..request
        };
        let map = request.map(&file)?;
        note(side, name, &map)?;
        if kind == Kind::Private && request.protection != READ {
            map.fill(0, 5);
            one.holds(0, 10)?;
        }
        look(side, name, &map)?;
        drop((map, one, file));
        side.settles(format_args!("{name}, unmapped"), (8, 8, 0, 0))?;
    }
    Ok(())
}

pub fn populate_at_mmap() -> Check {
    beside_both(8, |side, kind| populated(side, kind, kind.pages(3)))
}

pub fn populate_without_reservation() -> Check {
    beside_both(8, |side, kind| {
        populated(side, kind, kind.pages(3).unreserved())
    })
}

pub fn populate_to_read() -> Check {
    beside_both(8, |side, kind| {
        let request = Request {
            protection: READ,
            ..kind.pages(3)
        };
        populated(side, kind, request)
    })
}

pub fn populate_without_access() -> Check {
    beside_both(8, |side, kind| {
        let request = Request {
            protection: NONE,
            ..kind.pages(3)
        };
        for flag in [libc::MAP_POPULATE, libc::MAP_LOCKED] {
            let request = Request {
                flags: request.flags | flag,
                ..request
            };
            let map = request.map(&side.open()?)?;
            note(side, "mapped", &map)?;
        }
        Ok(())
    })
}

/// mmap succeeds, and what could not be populated is missing.
pub fn populate_past_the_pool() -> Check {
    beside_both(2, |side, kind| {
        for flag in [libc::MAP_POPULATE, libc::MAP_LOCKED] {
            let request = kind.pages(4).unreserved();
            let request = Request {
                flags: request.flags | flag,
                ..request
            };
            let map = request.map(&side.open()?)?;
            note(side, "mapped", &map)?;
            look(side, "mapped", &map)?;
        }
        Ok(())
    })
}

/// mlock of `bytes` bytes from `offset`, and its relatives.
const LOCKS: [(&str, fn(*mut u8, usize) -> i64); 6] = [
    ("mlock", |base, bytes| {
        // SAFETY: The range is the mapping's, for this and the next ones.
        unsafe { libc::mlock(base.cast(), bytes).into() }
    }),
    ("mlock2, on fault", |base, bytes| {
        // SAFETY: As above.
        unsafe { libc::mlock2(base.cast(), bytes, libc::MLOCK_ONFAULT).into() }
    }),
    ("munlock", |base, bytes| {
        // SAFETY: As above.
        unsafe { libc::munlock(base.cast(), bytes).into() }
    }),
    ("mlockall, now", |_, _| {
        // SAFETY: mlockall takes numbers.
        unsafe { libc::mlockall(libc::MCL_CURRENT).into() }
    }),
    ("mlockall, now, on fault", |_, _| {
        // SAFETY: mlockall takes numbers.
        unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT).into() }
    }),
    ("munlockall", |_, _| {
        // SAFETY: munlockall takes nothing.
        unsafe { libc::munlockall().into() }
    }),
];

pub fn lock_and_unlock() -> Check {
    beside_both(8, |side, kind| {
        for (name, lock) in LOCKS {
            for (offset, bytes) in [(0, 3 * HUGE), (HUGE, HUGE), (4096, 8192), (HUGE, 2 * HUGE)] {
                let (_file, map) = half_touched(side, kind, 3)?;
                let before = locked_kib()?;
                let result = call(lock(map.at(offset), bytes));
                let name = format!("{name}, {bytes} from {offset}");
                side.note(&name, result);
                side.note("residents", residents(&map));
                side.note_counts(&name)?;
                // The rest of the process is not the same size on each side, but locks no less.
                if !name.starts_with("mlockall") {
                    side.note("locked by it", locked_kib()?.wrapping_sub(before));
                }
                side.note("munmap of a locked part", map.unmap(HUGE, HUGE));
                look(side, &name, &map)?;
                // SAFETY: munlockall takes nothing.
                call(unsafe { libc::munlockall() })?;
            }
        }
        Ok(())
    })
}

/// Whatever a process maps after mlockall is populated at once, but for MCL_ONFAULT.
pub fn lock_what_comes() -> Check {
    beside_both(8, |side, kind| {
        for flags in [
            libc::MCL_FUTURE,
            libc::MCL_FUTURE | libc::MCL_ONFAULT,
            libc::MCL_FUTURE | libc::MCL_CURRENT,
        ] {
            // SAFETY: mlockall takes numbers.
            call(unsafe { libc::mlockall(flags) })?;
            let map = kind.pages(2).map(&side.open()?)?;
            let seen = residents(&map);
            // SAFETY: munlockall takes nothing.
            call(unsafe { libc::munlockall() })?;
            side.note(format_args!("residents, {flags:#x}"), seen);
            look(side, "mapped", &map)?;
        }
        Ok(())
    })
}

/// Huge pages are no locked memory: a user who may lock nothing can use them.
pub fn the_lock_limit_is_not_theirs() -> Check {
    beside_both(8, |side, kind| {
        let file = side.open()?;
        let map = kind.pages(3).map(&file)?;
        in_child(|| {
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: The limit is there to be read.
            call(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &none) })?;
            guest::child::become_user(1000)?;
            let refused = |call: i64| guest::call(call).err().map(|errno| errno.0);
            let mut seen = Vec::new();
            for (_, lock) in LOCKS {
                seen.push(refused(lock(map.base(), 3 * HUGE)));
            }
            let request = Request {
                flags: kind.pages(1).flags | libc::MAP_LOCKED,
                ..kind.pages(1)
            };
            seen.push(request.map(&file).err().map(|errno| errno.0));
            let eperm = Some(libc::EPERM);
            let want = [eperm, eperm, None, eperm, eperm, None, eperm];
            guest::same!(seen, want, "mlock, ... without a limit");
            map.fill(0, 1);
            Ok(())
        })?;
        side.note_counts("after the user")
    })
}

/// Addresses for 4 pages, with a page behind them in the same page table: only where there is one does
/// mincore look there, and not for what hugetlb's file has. They are the first map's.
fn beside_a_page() -> Check<(Map, *mut u8)> {
    let (around, base) = Map::reserve_for(Request {
        page_bytes: GIGANTIC,
        ..Request::pages(5)
    })?;
    let page = Request {
        address: base.wrapping_add(4 * HUGE),
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
        ..Request::pages(1)
    };
    let page = page.map_fd(-1)?;
    page.write(0, 1);
    // It goes with the map around it.
    std::mem::forget(page);
    Ok((around, base))
}

pub fn mincore_knows_what_is_mapped() -> Check {
    beside_both(8, |side, kind| {
        let (file, map) = half_touched(side, kind, 4)?;
        side.note("residents", residents(&map));
        let (_around, base) = beside_a_page()?;
        let plain = kind.pages(4).unreserved();
        let fixed = Request {
            address: base,
            flags: plain.flags | libc::MAP_FIXED,
            ..plain
        };
        let again = fixed.map(&file)?;
        side.note("residents of a second mapping", residents(&again));
        again.read(0);
        side.note("residents, one read", residents(&again));
        map.protect(0, HUGE, NONE)?;
        side.note("residents, one without access", residents(&map));
        map.protect(0, HUGE, READ)?;
        map.unmap(2 * HUGE, HUGE)?;
        side.note("residents, one unmapped", residents(&map));
        look(side, "in the end", &map)
    })
}

pub fn msync_has_nothing_to_do() -> Check {
    beside_both(8, |side, kind| {
        let (file, map) = half_touched(side, kind, 4)?;
        map.unmap(3 * HUGE, HUGE)?;
        for flags in [
            libc::MS_ASYNC,
            libc::MS_SYNC,
            libc::MS_ASYNC | libc::MS_INVALIDATE,
            libc::MS_SYNC | libc::MS_INVALIDATE,
        ] {
            for (offset, bytes) in [(0, 2 * HUGE), (4096, 4096), (0, 4 * HUGE)] {
                // SAFETY: The range is the mapping's.
                let result = call(unsafe { libc::msync(map.at(offset).cast(), bytes, flags) });
                side.note(
                    format_args!("msync {flags} of {bytes} from {offset}"),
                    result,
                );
            }
        }
        side.note("fsync", file.sync_all().map_err(Errno::from));
        side.note("fdatasync", file.sync_data().map_err(Errno::from));
        map.holds(0, 10)?;
        look(side, "in the end", &map)
    })
}
