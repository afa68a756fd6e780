// SPDX-License-Identifier: GPL-2.0

//! mremap: each form on a mapping of three pages, and what it left.

use guest::beside::Side;
use guest::child::in_child;
use guest::kind::{beside_both, half_touched, stamped};
use guest::map::{Map, Request};
use guest::{call, check, same, vmas, word, Check, Errno, HUGE};

pub const MAYMOVE: libc::c_int = libc::MREMAP_MAYMOVE;
pub const FIXED: libc::c_int = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
const DONTUNMAP: libc::c_int = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;

/// Pages of the mapping, and of the range it may be moved to.
pub const PAGES: usize = 3;

/// What is mapped where the target is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// Another mapping of the same pool.
    Huge,
}

/// One call, in bytes: from `from` bytes into the mapping, to `to` bytes into the target range.
pub struct Form {
    pub name: &'static str,
    from: usize,
    old: usize,
    pub new: usize,
    flags: libc::c_int,
    to: usize,
    there: There,
}

pub const fn form(
    name: &'static str,
    (from, old, new): (usize, usize, usize),
    flags: libc::c_int,
    to: usize,
) -> Form {
    Form {
        name,
        from,
        old,
        new,
        flags,
        to,
        there: There::Nothing,
    }
}

pub const ALL: usize = PAGES * HUGE;

/// Those that leave no part of the mapping where it was.
const WHOLE: [Form; 9] = [
    form("nothing", (0, ALL, ALL), 0, 0),
    form("nothing, might move", (0, ALL, ALL), MAYMOVE, 0),
    form("move", (0, ALL, ALL), FIXED, 0),
    Form {
        there: There::Huge,
        ..form("move over another", (0, ALL, ALL), FIXED, 0)
    },
    Form {
        there: There::Huge,
        ..form("move over half of another", (0, ALL, ALL), FIXED, HUGE)
    },
    form("to no address", (0, ALL, ALL), FIXED, 1),
    form("fixed, may not move", (0, ALL, ALL), libc::MREMAP_FIXED, 0),
    form("leave the mapping behind", (0, ALL, ALL), DONTUNMAP, 0),
    form("to nothing", (0, ALL, 0), MAYMOVE, 0),
];

/// Those that move or shrink a part. Of a private mapping all pages are touched before: hugetlb
/// loses reservations there.
const PARTS: [Form; 8] = [
    form("first page", (0, HUGE, HUGE), FIXED, 0),
    form("middle page", (HUGE, HUGE, HUGE), FIXED, HUGE),
    form("last two pages", (HUGE, 2 * HUGE, 2 * HUGE), FIXED, 0),
    Form {
        there: There::Huge,
        ..form("last page over another", (2 * HUGE, HUGE, HUGE), FIXED, 0)
    },
    form("shrink", (0, ALL, HUGE), 0, 0),
    form("shrink and move", (0, ALL, HUGE), FIXED, 0),
    form("shrink the end", (HUGE, 2 * HUGE, HUGE), MAYMOVE, 0),
    // Not FIXED, which would move what lies behind the mapping, too.
    form("past the end", (HUGE, ALL, ALL), MAYMOVE, 0),
];

/// The call itself.
pub fn remap(map: &Map, form: &Form, target: *mut u8) -> Result<*mut u8, Errno> {
    let from = map.base().wrapping_add(form.from);
    let to = target.wrapping_add(form.to).cast::<libc::c_void>();
    // SAFETY: The source is in the mapping or refused, the target the caller's.
    let base = unsafe { libc::mremap(from.cast(), form.old, form.new, form.flags, to) };
    if base == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    Ok(base.cast())
}

/// Where a call said that the mapping is now.
fn place(result: Result<*mut u8, Errno>, map: &Map, form: &Form, target: *mut u8) -> String {
    match result {
        Err(errno) => format!("{errno}"),
        Ok(base) if base == map.base().wrapping_add(form.from) => "where it was".to_string(),
        Ok(base) if base == target.wrapping_add(form.to) => "at the target".to_string(),
        Ok(_) => "elsewhere".to_string(),
    }
}

/// Notes what is in both ranges.
pub fn look(side: &mut Side, name: &str, ranges: &[(&str, *mut u8)]) -> Check {
    side.note_counts(name)?;
    for &(which, base) in ranges {
        let borders = vmas::borders(base, (PAGES + 1) * HUGE)?;
        // Around the mapping lies what else the process has.
        let inside = borders
            .into_iter()
            .filter(|(at, ..)| which == "target" || *at < PAGES * HUGE);
        side.note(
            format_args!("{name}, {which}, borders"),
            inside.collect::<Vec<_>>(),
        );
        for page in 0..PAGES {
            let at = base.wrapping_add(page * HUGE);
            side.note(
                format_args!("{name}, {which}, page {page}"),
                word::load_at(at),
            );
        }
    }
    side.note_counts(format_args!("{name}, all read"))
}

fn try_form(side: &mut Side, form: &Form, (_file, map): (std::fs::File, Map)) -> Check {
    let (_range, target) = Map::reserve(PAGES + 1)?;
    if form.there == There::Huge {
        let request = Request {
            address: target,
            flags: libc::MAP_SHARED | libc::MAP_FIXED,
            ..Request::pages(2)
        };
        let other = request.map(&side.open()?)?;
        other.fill(0, 90);
        other.fill(1, 91);
        // It is a part of `_range` now.
        std::mem::forget(other);
    }
    side.note_counts(format_args!("{}, before", form.name))?;
    let result = remap(&map, form, target);
    side.note(form.name, place(result, &map, form, target));
    look(
        side,
        form.name,
        &[("source", map.base()), ("target", target)],
    )
}

pub fn whole_mappings() -> Check {
    beside_both(8, |side, kind| {
        for form in &WHOLE {
            let mapped = half_touched(side, kind, PAGES)?;
            try_form(side, form, mapped)?;
            side.settles(format_args!("{}, unmapped", form.name), (8, 8, 0, 0))?;
        }
        Ok(())
    })
}

pub fn parts() -> Check {
    beside_both(8, |side, kind| {
        for form in &PARTS {
            let mapped = stamped(side, kind, PAGES)?;
            try_form(side, form, mapped)?;
            side.settles(format_args!("{}, unmapped", form.name), (8, 8, 0, 0))?;
        }
        Ok(())
    })
}

pub fn onto_itself_is_refused() -> Check {
    beside_both(4, |side, kind| {
        let (_file, map) = stamped(side, kind, PAGES)?;
        for (name, to, old) in [
            ("same place", 0, ALL),
            ("one page on", HUGE, ALL),
            ("a base page on", 4096, HUGE),
        ] {
            let form = form(name, (0, old, old), FIXED, to);
            let result = remap(&map, &form, map.base());
            side.note(name, place(result, &map, &form, map.base()));
        }
        for page in 0..PAGES {
            map.holds(page, 10 + page as u64)?;
        }
        // A page onto another one of the same mapping replaces that.
        let form = form("last page onto the first", (2 * HUGE, HUGE, HUGE), FIXED, 0);
        let result = remap(&map, &form, map.base());
        side.note(form.name, place(result, &map, &form, map.base()));
        let borders = vmas::borders(map.base(), map.bytes())?;
        side.note("borders", borders);
        guest::kind::look(side, "in the end", &map)
    })
}

/// A child moves what it has from its parent, and the other way round.
pub fn after_fork() -> Check {
    beside_both(10, |side, kind| {
        let (_file, map) = stamped(side, kind, PAGES)?;
        let moves = |map: &Map| -> Check<*mut u8> {
            let (range, target) = Map::reserve(PAGES)?;
            std::mem::forget(range);
            let whole = form("move", (0, ALL, ALL), FIXED, 0);
            same!(remap(map, &whole, target), Ok(target), "mremap");
            Ok(target)
        };
        in_child(|| {
            let target = moves(&map)?;
            for page in 0..PAGES {
                let at = target.wrapping_add(page * HUGE);
                same!(word::load_at(at), Ok(10 + page as u64), "moved page");
            }
            same!(word::store_at(target, 50), Ok(()), "write to a moved page");
            check!(word::load(&map, 0).is_err(), "the old place is mapped");
            Ok(())
        })?;
        side.note("what the parent sees", word::load(&map, 0));
        side.note_counts("a child moved and exited")?;
        let child = guest::child::fork(|link| {
            link.number()?;
            for page in 0..PAGES {
                link.send(word::load(&map, page * HUGE)?)?;
            }
            link.number().map(drop)
        })?;
        let target = moves(&map)?;
        word::store_at(target.wrapping_add(HUGE), 60)?;
        child.link.send(1)?;
        for page in 0..PAGES {
            side.note(format_args!("child, page {page}"), child.link.number()?);
        }
        side.note_counts("the parent moved and wrote")?;
        child.link.send(1)?;
        child.finish()?;
        side.note_counts("the child is gone")?;
        // SAFETY: The moved mapping is nobody else's.
        call(unsafe { libc::munmap(target.cast(), ALL) })?;
        side.note_counts("and the parent's mapping")
    })
}
