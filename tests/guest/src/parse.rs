// SPDX-License-Identifier: GPL-2.0

//! What counts as a count: texts to write to a pool's files, and the limit on surplus pages, which
//! can be any number without taking memory. hugetlb's answer to the same write decides.

use crate::pool::{write_once, Pool};
use crate::{same, Check, Errno};

/// What a write did: what write(2) returned, and the count afterwards.
pub type Answer = (Result<usize, Errno>, u64);

/// The limit before each write, which none of the texts means.
const BEFORE: u64 = 2;

/// Texts that mean small counts, or none.
pub fn texts() -> Vec<Vec<u8>> {
    let short: [&[u8]; 36] = [
        b"3",
        b"3\n",
        b"+3",
        b"+3\n",
        b"003",
        b"010",
        b"0",
        b"00",
        b"7\0",
        b"9\0xyz",
        b"3\n\0xyz",
        b"\x003",
        b"",
        b"\n",
        b"\0",
        b"-1",
        b"-0",
        b"+",
        b"-",
        b"++3",
        b"+-3",
        b" 7",
        b"7 ",
        b"\t7",
        b"7\t",
        b"7\n\n",
        b"7\n ",
        b"7\r\n",
        b"0x10",
        b"0b11",
        b"3x",
        b"x",
        b"1_0",
        b"3.0",
        b"18446744073709551616",
        b"99999999999999999999999999",
    ];
    let mut texts: Vec<_> = short.iter().map(|text| text.to_vec()).collect();
    // sysfs takes a page of what is written: 11 with the whole suffix, 1 or 0 with less of it.
    for zeroes in [4093, 4094, 4095, 4096, 5000] {
        let mut text = vec![b'0'; zeroes];
        text.extend(b"011");
        texts.push(text);
    }
    // A count that ends with the page, with what follows it not looked at.
    let mut text = vec![b'0'; 4095];
    text.extend(b"5junk");
    texts.push(text);
    texts
}

/// What a write to the overcommit file did, and the limit afterwards.
pub fn limit(pool: Pool, text: &[u8]) -> Check<Answer> {
    pool.set_overcommit(BEFORE)?;
    let result = write_once(&pool.file("nr_overcommit_hugepages"), text);
    Ok((result, pool.overcommit()?))
}

/// Writes all texts, and some that mean very large counts, to the overcommit files.
pub fn limits_are_alike(ours: Pool, hugetlbs: Pool) -> Check {
    let long: [&[u8]; 7] = [
        b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551614\n",
        b"18446744073709551615",
        b"+18446744073709551615",
        b"018446744073709551616",
        b"-18446744073709551615",
    ];
    for text in texts().into_iter().chain(long.map(<[u8]>::to_vec)) {
        let shown = &text[..text.len().min(40)];
        same!(
            limit(ours, &text)?,
            limit(hugetlbs, &text)?,
            "writing \"{}\"",
            shown.escape_ascii()
        );
    }
    same!(
        limit(ours, b"18446744073709551615")?,
        (Ok(20), u64::MAX),
        "the largest limit"
    );
    same!(
        limit(ours, b"18446744073709551616")?,
        (Err(Errno(libc::ERANGE)), BEFORE),
        "a limit too large"
    );
    Ok(())
}
