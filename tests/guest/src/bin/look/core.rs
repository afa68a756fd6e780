// SPDX-License-Identifier: GPL-2.0

//! Core dumps: which mappings are in them, with what, and what a dump costs the pool.

use std::fs;

use guest::beside::Side;
use guest::child::fork;
use guest::kind::{beside_both, Kind};
use guest::map::{Map, Request};
use guest::pool::OURS;
use guest::{call, check, same, Check, Fail, HUGE};

const PATTERN: &str = "/proc/sys/kernel/core_pattern";
const CORE: &str = "/tmp/core-of-look";

/// Bits of coredump_filter: core(5).
const MAPPED_PRIVATE: u32 = 1 << 2;
const MAPPED_SHARED: u32 = 1 << 3;
const HUGETLB_PRIVATE: u32 = 1 << 5;
const HUGETLB_SHARED: u32 = 1 << 6;
/// The default, without hugetlb's bit.
const OTHERS: u32 = 0x13;

/// The system's setting, put back when the test is over.
struct Pattern(String);

impl Pattern {
    fn change() -> Check<Self> {
        let pattern = Self(fs::read_to_string(PATTERN)?);
        fs::write(PATTERN, CORE)?;
        Ok(pattern)
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = fs::write(PATTERN, self.0.trim_end());
        let _ = fs::remove_file(CORE);
    }
}

/// What a core says of a mapping: its bytes there, and the first word of each page.
#[derive(Debug, PartialEq, Eq)]
struct Dumped {
    bytes: u64,
    words: Vec<u64>,
}

fn word(core: &[u8], offset: usize) -> Check<u64> {
    let bytes = core.get(offset..offset + 8);
    let bytes = bytes.ok_or_else(|| Fail(format!("the core has no byte {offset}")))?;
    Ok(u64::from_ne_bytes(bytes.try_into()?))
}

/// Reads the part of an ELF core that begins at address `base`.
fn part_of(core: &[u8], base: u64) -> Check<Dumped> {
    same!(
        core.get(..4),
        Some(&b"\x7fELF"[..]),
        "the core's first bytes"
    );
    let headers = word(core, 32)? as usize;
    let count = word(core, 56)? as u16 as usize;
    for number in 0..count {
        // Elf64_Phdr: type and flags, offset, virtual address, physical, bytes in the file.
        let header = headers + number * 56;
        if word(core, header + 16)? == base {
            let (offset, bytes) = (word(core, header + 8)?, word(core, header + 32)?);
            let pages = 0..bytes as usize / HUGE;
            let words = pages.map(|page| word(core, offset as usize + page * HUGE));
            return Ok(Dumped {
                bytes,
                words: words.collect::<Check<_>>()?,
            });
        }
    }
    Err(Fail(format!("no part of the core is at {base:#x}")))
}

/// Has a child with a mapping of three pages, two of them touched, dump its core.
fn dump(side: &Side, request: Request, filter: u32, prepare: fn(&Map) -> Check) -> Check<Dumped> {
    let _pattern = Pattern::change()?;
    let file = side.open()?;
    let mut child = fork(|link| {
        fs::write("/proc/self/coredump_filter", format!("{filter:#x}"))?;
        let unlimited = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: The limit is there to be read.
        call(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &unlimited) })?;
        let map = request.map(&file)?;
        map.fill(0, 10);
        map.read(HUGE);
        link.send(map.base() as u64)?;
        prepare(&map)?;
        // SAFETY: abort takes nothing.
        unsafe { libc::abort() }
    })?;
    let base = child.link.number()?;
    let status = child.wait()?;
    check!(
        libc::WCOREDUMP(status),
        "wait status {status:#x}: no core dumped"
    );
    part_of(&fs::read(CORE)?, base)
}

fn nothing(_: &Map) -> Check {
    Ok(())
}

fn bit_of(side: &Side, kind: Kind) -> u32 {
    match (side.pool() == OURS, kind) {
        (false, Kind::Shared) => HUGETLB_SHARED,
        (false, Kind::Private) => HUGETLB_PRIVATE,
        (true, Kind::Shared) => MAPPED_SHARED,
        (true, Kind::Private) => MAPPED_PRIVATE,
    }
}

/// Each with the bit that asks for it, which is another one for hugetlb.
pub fn dumps_what_the_filter_asks_for() -> Check {
    beside_both(6, |side, kind| {
        let bit = bit_of(side, kind);
        let dumped = dump(side, kind.pages(3), OTHERS | bit, nothing)?;
        same!(
            dumped.words.first(),
            Some(&10),
            "the first word of {dumped:?}"
        );
        side.note("with its bit", dumped);
        side.settles("dumped", (6, 6, 0, 0))?;
        let dumped = dump(side, kind.pages(3), OTHERS, nothing)?;
        side.note("without", dumped);
        let all_others = 0x1ff & !bit & !OTHERS;
        let dumped = dump(side, kind.pages(3), all_others, nothing)?;
        side.note("with all others", dumped);
        side.settles("not dumped", (6, 6, 0, 0))?;
        let dumped = dump(side, kind.pages(3), OTHERS | bit, |map| {
            map.advise(libc::MADV_DONTDUMP)?;
            Ok(())
        })?;
        side.note("with MADV_DONTDUMP", dumped);
        Ok(())
    })
}

/// A write by way of the kernel makes a private mapping one of anonymous memory to the dump.
pub fn private_mappings_that_the_kernel_wrote_to() -> Check {
    beside_both(6, |side, kind| {
        let bit = bit_of(side, kind);
        for (what, prepare) in [
            ("read(2)", by_read as fn(&Map) -> Check),
            ("populated", by_populate),
        ] {
            let dumped = dump(side, kind.pages(3), OTHERS | bit, prepare)?;
            side.note(format_args!("{what}, with its bit"), dumped);
            side.settles("dumped", (6, 6, 0, 0))?;
        }
        Ok(())
    })
}

fn by_read(map: &Map) -> Check {
    Ok(guest::word::store(map, 8, 1)?)
}

fn by_populate(map: &Map) -> Check {
    map.advise(libc::MADV_POPULATE_WRITE)?;
    Ok(())
}

/// A dump of more than there is leaves holes, and the pool as it was.
pub fn dumps_no_more_than_there_is() -> Check {
    beside_both(2, |side, kind| {
        let bit = bit_of(side, kind);
        let request = kind.pages(3).unreserved();
        let dumped = dump(side, request, OTHERS | bit, nothing)?;
        side.note("two pages of three", dumped);
        side.settles("dumped", (2, 2, 0, 0))
    })
}

/// The signal that dumps is that of a page that cannot be had.
pub fn dumps_after_a_sigbus() -> Check {
    beside_both(2, |side, kind| {
        let bit = bit_of(side, kind);
        let request = kind.pages(3).unreserved();
        let dumped = dump(side, request, OTHERS | bit, |map| {
            map.read(2 * HUGE);
            Ok(())
        })?;
        side.note("two pages of three", dumped);
        side.settles("dumped", (2, 2, 0, 0))
    })
}
