// SPDX-License-Identifier: GPL-2.0

//! mprotect up and down, and mseal.

use guest::child::fork;
use guest::kind::{beside_both, half_touched, look, stamped, Kind};
use guest::map::{Map, Request, NONE, READ, WRITE};
use guest::{call, same, vmas, word, Check, Errno, HUGE};

/// mprotect and what it leaves; pages that cannot be touched are the kernel's to refuse.
const STEPS: [libc::c_int; 8] = [
    READ,
    NONE,
    READ | WRITE,
    NONE,
    READ,
    READ | WRITE,
    libc::PROT_READ | libc::PROT_EXEC,
    READ | WRITE,
];

/// The signal that a child dies of which touches the first word of `map`; none if it lives.
fn signal_of(map: &Map, write: bool) -> Check<Option<i32>> {
    let mut child = fork(|_| {
        if write {
            map.write(0, 5);
        } else {
            map.read(0);
        }
        Ok(())
    })?;
    let status = child.wait()?;
    Ok(libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)))
}

pub fn down_and_up() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 3)?;
        for (step, to) in STEPS.into_iter().enumerate() {
            side.note(
                format_args!("step {step}, to {to}"),
                map.protect(0, 3 * HUGE, to),
            );
            side.note("read", signal_of(&map, false)?);
            side.note("write", signal_of(&map, true)?);
            look(side, &format!("step {step}"), &map)?;
        }
        Ok(())
    })
}

pub fn parts() -> Check {
    beside_both(8, |side, kind| {
        let (_file, map) = half_touched(side, kind, 4)?;
        for (step, to) in STEPS.into_iter().enumerate() {
            // The first time it splits the mapping, later it is one of the parts.
            side.note(
                format_args!("step {step}, to {to}"),
                map.protect(HUGE, 2 * HUGE, to),
            );
            side.note("borders", vmas::borders(map.base(), map.bytes())?);
            for page in 0..4 {
                side.note(
                    format_args!("step {step}, write to page {page}"),
                    word::store(&map, page * HUGE + 8, step as u64),
                );
            }
            look(side, &format!("step {step}"), &map)?;
        }
        // Over a border, and over a hole.
        side.note("over borders", map.protect(0, 4 * HUGE, READ));
        map.unmap(2 * HUGE, HUGE)?;
        side.note("over a hole", map.protect(0, 4 * HUGE, READ | WRITE));
        side.note("borders", vmas::borders(map.base(), map.bytes())?);
        look(side, "in the end", &map)
    })
}

/// A mapping that could not be written to when it was touched.
pub fn read_only_mappings_are_raised() -> Check {
    beside_both(8, |side, kind| {
        let (file, filled) = stamped(side, Kind::Shared, 3)?;
        let map = Request {
            protection: READ,
            ..kind.pages(3)
        }
        .map(&file)?;
        // Page 0 is mapped before it is writable, page 1 after, page 2 both times by the kernel.
        map.holds(0, 10)?;
        word::load(&map, 2 * HUGE)?;
        side.note("write", word::store(&map, 0, 1));
        side.note_counts("read")?;
        map.protect(0, 3 * HUGE, READ | WRITE)?;
        map.fill(0, 20);
        map.fill(1, 21);
        side.note("write", word::store(&map, 2 * HUGE, 22));
        look(side, "raised", &map)?;
        look(side, "the file", &filled)?;
        map.protect(0, 3 * HUGE, READ)?;
        side.note("write", word::store(&map, 0, 1));
        look(side, "lowered", &map)
    })
}

/// What is tried on a sealed mapping.
const SEALED: [(&str, fn(&Map) -> Result<i64, Errno>); 6] = [
    ("mseal again", seal),
    ("munmap", |map| map.unmap(0, HUGE)),
    ("munmap of a part", |map| map.unmap(4096, 4096)),
    ("mprotect", |map| map.protect(HUGE, HUGE, READ)),
    ("mremap", |map| {
        let flags = libc::MREMAP_MAYMOVE;
        // SAFETY: The range is the mapping's, which the end of the process unmaps.
        let base = unsafe { libc::mremap(map.base().cast(), map.bytes(), HUGE, flags) };
        call(base as i64)
    }),
    ("MAP_FIXED over", |map| {
        let request = Request {
            address: map.base(),
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            ..Request::pages(1)
        };
        request.map_fd(-1).map(|map| {
            std::mem::forget(map);
            0
        })
    }),
];

fn seal(map: &Map) -> Result<i64, Errno> {
    const SYS_MSEAL: libc::c_long = 462;
    // SAFETY: The range is the mapping's.
    call(unsafe { libc::syscall(SYS_MSEAL, map.base(), map.bytes(), 0) })
}

pub fn sealed_mappings_do_not_change() -> Check {
    beside_both(8, |side, kind| {
        // Only the end of a process unmaps a sealed mapping.
        let (file, map) = half_touched(side, kind, 3)?;
        let child = fork(|link| {
            same!(seal(&map), Ok(0), "mseal");
            for (_, act) in SEALED {
                let result = act(&map);
                link.send(result.err().map_or(0, |errno| errno.0 as u64))?;
            }
            map.holds(0, 10)?;
            link.number().map(drop)
        })?;
        for (what, _) in SEALED {
            side.note(what, child.link.number()?);
        }
        side.note_counts("sealed")?;
        let start = map.base() as usize;
        let theirs = vmas::of(child.pid() as u32, start..start + map.bytes())?;
        side.note("its mappings", theirs.len());
        child.link.send(1)?;
        child.finish()?;
        drop((map, file));
        side.note_counts("the child is gone")
    })
}
