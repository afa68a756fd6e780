// SPDX-License-Identifier: GPL-2.0

//! munmap, mprotect and mremap of parts and wholes.

use guest::device::open;
use guest::map::{Map, Request, READ};
use guest::pool::{Resized, OURS};
use guest::{fail, refused, same, smaps, Check, Errno, HUGE};

/// Parts of a mapping of two pages that cut a huge page.
const CUTS: [(usize, usize); 5] = [
    (0, 4096),
    (4096, HUGE),
    (HUGE - 4096, 4096),
    (HUGE, HUGE - 4096),
    (4096, 2 * HUGE - 4096),
];

/// Both pages stamped.
fn stamped() -> Check<Map> {
    let map = Map::of_new_file(2)?;
    map.fill(0, 10);
    map.fill(1, 11);
    Ok(map)
}

fn untouched(map: &Map) -> Check {
    map.holds(0, 10)?;
    map.holds(1, 11)?;
    smaps::all_huge(map.base(), 2)
}

pub fn unaligned_munmap_is_refused() -> Check {
    let _pool = Resized::ours(2)?;
    let map = stamped()?;
    for (offset, bytes) in CUTS {
        refused!(
            map.unmap(offset, bytes),
            libc::EINVAL,
            "munmap of {bytes} at {offset}"
        );
    }
    untouched(&map)
}

pub fn unaligned_mprotect_is_refused() -> Check {
    let _pool = Resized::ours(2)?;
    let map = stamped()?;
    for (offset, bytes) in CUTS {
        refused!(
            map.protect(offset, bytes, READ),
            libc::EINVAL,
            "mprotect of {bytes} at {offset}"
        );
    }
    untouched(&map)
}

pub fn aligned_parts_are_unmapped() -> Check {
    let _pool = Resized::ours(3)?;
    let file = open()?;
    let map = Request::pages(3).map(&file)?;
    for page in 0..3 {
        map.fill(page, 20 + page as u64);
    }
    map.unmap(HUGE, HUGE)?;
    map.holds(0, 20)?;
    map.holds(2, 22)?;
    // SAFETY: mincore writes one byte per page of 4 KiB where something is mapped.
    let mincore = guest::call(unsafe {
        let mut present = [0_u8; 512];
        libc::mincore(map.at(HUGE).cast(), HUGE, present.as_mut_ptr())
    });
    same!(
        mincore,
        Err(Errno(libc::ENOMEM)),
        "mincore of the part unmapped"
    );
    // The page is the file's still, and comes back with its content.
    same!(OURS.free()?, 0, "free_hugepages with the file open");
    let again = Request::pages(3).map(&file)?;
    again.holds(1, 21)?;
    drop((map, again, file));
    OURS.settles_at_free(3)
}

pub fn mremap_moves_the_pages() -> Check {
    let _pool = Resized::ours(2)?;
    let map = stamped()?;
    let (_range, target) = Map::reserve(2)?;
    let map = match map.move_to(target) {
        Ok(map) => map,
        Err((_, errno)) => fail!("mremap to an aligned address: {errno}"),
    };
    same!(map.base(), target, "the new address");
    untouched(&map)?;
    // Beside the alignment nothing huge could be mapped.
    let (_other, target) = Map::reserve(3)?;
    let map = match map.move_to(target.wrapping_add(4096)) {
        Ok(_) => fail!("mremap to an unaligned address succeeded"),
        Err((map, errno)) => {
            same!(errno, Errno(libc::EINVAL), "mremap to an unaligned address");
            map
        }
    };
    untouched(&map)?;
    drop(map);
    OURS.settles_at_free(2)
}

pub fn mremap_does_not_grow() -> Check {
    let _pool = Resized::ours(3)?;
    let map = stamped()?;
    let map = match map.resize(3 * HUGE) {
        Ok(_) => fail!("growing mremap succeeded"),
        Err((map, errno)) => {
            same!(errno, Errno(libc::EFAULT), "growing mremap");
            map
        }
    };
    untouched(&map)?;
    same!(OURS.free()?, 1, "free_hugepages");
    // Shrinking by whole pages is an unmapping of the tail.
    match map.resize(HUGE) {
        Ok(map) => map.holds(0, 10),
        Err((_, errno)) => fail!("shrinking mremap: {errno}"),
    }
}
