// SPDX-License-Identifier: GPL-2.0

//! What the files are called, who may use them, and what can be written to them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use guest::pool::{memory_nodes, online_nodes, write_once};
use guest::{refused, same, Check, Errno};

use crate::sizes::{Emptied, Size, System, PIECES, SYSTEMS};

/// All nodes together, and each.
fn places() -> Check<Vec<Option<usize>>> {
    let mut places = vec![None];
    places.extend(online_nodes()?.into_iter().map(Some));
    Ok(places)
}

pub fn modes_are_hugetlbs() -> Check {
    for place in places()? {
        for size in [Size::Large, Size::Small] {
            for name in ["demote", "demote_size"] {
                let seen = SYSTEMS.map(|system| {
                    let path = system.file(size, place, name);
                    let mode = fs::metadata(&path).map(|file| file.permissions().mode());
                    // Opening for reading is refused to root as well, where nothing can be read.
                    let text = File::open(&path).map(drop).map_err(Errno::from);
                    (mode.map_err(Errno::from), text)
                });
                same!(
                    seen[1],
                    seen[0],
                    "mode of {name}, {size:?}, {place:?}, beside hugetlb's"
                );
            }
        }
        let mode = |name| fs::metadata(System::Ours.file(Size::Small, place, name));
        same!(
            mode("promote")?.permissions().mode() & 0o777,
            0o200,
            "mode of promote"
        );
        same!(
            mode("promotable_hugepages")?.permissions().mode() & 0o777,
            0o444,
            "mode of promotable_hugepages"
        );
    }
    Ok(())
}

pub fn sizes_are_parsed_as_hugetlb() -> Check {
    let texts: [&[u8]; 28] = [
        b"2M",
        b"2m\n",
        b"2048k",
        b"2048kB\n",
        b"2097152",
        b"2097152\n",
        b"0x200000",
        b"0x200000\n",
        b"0X200000",
        b"010000000",
        b"2Mjunk",
        b"2M 1G",
        b"0x800k",
        b"2MB",
        b"1G",
        b"1073741824",
        b"4096",
        b"0",
        b"",
        b"\n",
        b"junk",
        b" 2M",
        b"+2M",
        b"-2M",
        b"2.0M",
        b"2G",
        b"18446744073711648768",
        b"8388608T",
    ];
    for place in places()? {
        for text in texts {
            let seen = SYSTEMS.map(|system| {
                let path = system.file(Size::Large, place, "demote_size");
                let answer = write_once(&path, text);
                (answer, fs::read(path).map_err(Errno::from))
            });
            same!(
                seen[1],
                seen[0],
                "demote_size of {place:?} after \"{}\", beside hugetlb's",
                text.escape_ascii()
            );
        }
    }
    Ok(())
}

/// Texts for a count: without a page in either pool, none demotes any.
const COUNTS: [&[u8]; 22] = [
    b"1",
    b"1\n",
    b"+1",
    b"007",
    b"0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"",
    b"\n",
    b"junk",
    b"1junk",
    b" 1",
    b"1 ",
    b"1\n\n",
    b"0x1",
    b"1M",
    b"1.0",
    b"+",
    b"1\0junk",
    b"\0",
    b"1_0",
];

pub fn counts_are_parsed_as_hugetlb() -> Check {
    let _pools = (Emptied::of(System::Hugetlb)?, Emptied::of(System::Ours)?);
    for place in places()? {
        for text in COUNTS {
            let [want, seen] =
                SYSTEMS.map(|system| write_once(&system.file(Size::Large, place, "demote"), text));
            same!(
                seen,
                want,
                "demote of {place:?}, \"{}\", beside hugetlb's",
                text.escape_ascii()
            );
        }
    }
    Ok(())
}

pub fn counts_to_promote() -> Check {
    let _pools = Emptied::with(System::Ours, &[0, 1])?;
    let node = Some(memory_nodes()?[1]);
    System::Ours.demote(None, 1)?;
    for place in places()? {
        for text in COUNTS {
            let demote = System::Ours.file(Size::Large, place, "demote");
            let promote = System::Ours.file(Size::Small, place, "promote");
            let answer = write_once(&promote, text);
            // What the same text says of a demotion was compared with hugetlb.
            let [(large, _), (small, _)] = System::Ours.totals()?;
            same!(
                (answer, large * PIECES + small),
                (write_once(&demote, text), PIECES),
                "promote, \"{}\", beside demote; small pages in all",
                text.escape_ascii()
            );
            System::Ours.demote(node, 1)?;
        }
    }
    refused!(
        write_once(
            &System::Ours.file(Size::Small, None, "promotable_hugepages"),
            b"1"
        ),
        libc::EACCES,
        "writing promotable_hugepages"
    );
    Ok(())
}
