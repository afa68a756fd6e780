// SPDX-License-Identifier: GPL-2.0

//! One advice on one mapping.

use guest::beside::beside;
use guest::child::fork;
use guest::device::open_of;
use guest::map::{Map, Request};
use guest::pool::{Pool, Resized, HUGETLB, OURS};
use guest::{call, word, Check, Errno, HUGE};

/// A pool, and whether the mapping is shared: in the order of the table's columns.
pub type Kind = (Pool, bool);

pub const KINDS: [Kind; 4] = [
    (HUGETLB, true),
    (OURS, true),
    (HUGETLB, false),
    (OURS, false),
];

const STAMP: u64 = 0x5ca1_ab1e;

fn request(shared: bool) -> Request {
    Request {
        flags: if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        },
        ..Request::pages(2)
    }
}

/// Has a child of its own try `advice`: it may poison, guard or unmap what it likes.
fn try_out(
    (pool, shared): Kind,
    advice: i32,
    touched: bool,
    look: impl Fn(&Map) -> u64,
) -> Check<(Result<i64, Errno>, u64)> {
    let _pool = Resized::of(pool, 4)?;
    let child = fork(|link| {
        let map = request(shared).map(&open_of(pool)?)?;
        if touched {
            map.fill(0, STAMP);
            map.fill(1, STAMP);
        }
        let errno = map.advise(advice).err().map_or(0, |Errno(errno)| errno);
        link.send(errno as u64)?;
        link.send(look(&map))
    })?;
    let errno = child.link.number()? as i32;
    let seen = child.link.number()?;
    child.finish()?;
    let result = if errno == 0 { Ok(0) } else { Err(Errno(errno)) };
    Ok((result, seen))
}

/// What it returns.
pub fn result(kind: Kind, advice: i32, touched: bool) -> Check<Result<i64, Errno>> {
    Ok(try_out(kind, advice, touched, |_| 0)?.0)
}

/// What it returns on touched pages and, unless they stay as they are, what becomes of them.
pub fn effect(kind: Kind, advice: i32) -> Check<String> {
    const FAULT: u64 = u64::MAX;
    let (result, seen) = try_out(kind, advice, true, |map| {
        word::load(map, 0).unwrap_or(FAULT)
    })?;
    let returned = match result {
        Ok(_) => "0".to_string(),
        Err(Errno(errno)) => name(errno),
    };
    Ok(match seen {
        STAMP => returned,
        0 => returned + ", data gone",
        FAULT => returned + ", a touch faults",
        other => returned + &format!(", holds {other:#x}"),
    })
}

fn name(errno: i32) -> String {
    match errno {
        libc::EACCES => "EACCES",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EFAULT => "EFAULT",
        libc::EHWPOISON => "EHWPOISON",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::ENODEV => "ENODEV",
        libc::ENOMEM => "ENOMEM",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPERM => "EPERM",
        other => return format!("errno {other}"),
    }
    .to_string()
}

/// What reclaim is told about base pages inside a huge one must not tear that apart.
pub fn advice_for_a_part_of_a_page_is_harmless() -> Check {
    beside(4, |side| {
        for shared in [true, false] {
            let map = request(shared).map(&side.open()?)?;
            map.fill(0, STAMP);
            map.fill(1, STAMP);
            for advice in [libc::MADV_COLD, libc::MADV_PAGEOUT] {
                for (offset, bytes) in [(0, 4096), (HUGE - 4096, 8192), (4096, HUGE)] {
                    // SAFETY: The range lies in the mapping; the advice leaves the data alone.
                    let _ = call(unsafe { libc::madvise(map.at(offset).cast(), bytes, advice) });
                }
            }
            map.holds(0, STAMP)?;
            map.holds(1, STAMP)?;
            side.note_counts(format_args!("advised, shared: {shared}"))?;
        }
        Ok(())
    })
}
