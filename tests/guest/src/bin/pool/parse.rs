// SPDX-License-Identifier: GPL-2.0

//! What counts as a count. hugetlb's answer to the same write decides.

use guest::pool::{memory_nodes, write_once, Pool, Resized, HUGETLB, OURS};
use guest::{same, Check, Errno};

/// What a write did: what write(2) returned, and the count afterwards.
type Answer = (Result<usize, Errno>, u64);

/// The count before each write, which none of the texts means.
const BEFORE: u64 = 2;

fn texts() -> Vec<Vec<u8>> {
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

fn answer(pool: Pool, path: &str, text: &[u8]) -> Check<Answer> {
    pool.set(BEFORE)?;
    let result = write_once(path, text);
    Ok((result, pool.nr()?))
}

/// Writes all texts to a file of both pools; returns how many were taken and how many refused.
fn compare(ours: &str, hugetlbs: &str) -> Check<(usize, usize)> {
    let (mut taken, mut refused) = (0, 0);
    for text in texts() {
        let shown = match text.len() {
            0..=40 => text.escape_ascii().to_string(),
            length => format!("({length} bytes)"),
        };
        let want = answer(HUGETLB, hugetlbs, &text)?;
        same!(answer(OURS, ours, &text)?, want, "writing \"{shown}\"");
        match want.0 {
            Ok(_) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    Ok((taken, refused))
}

pub fn counts_are_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    let [ours, hugetlbs] = [OURS, HUGETLB].map(|pool| pool.file("nr_hugepages"));
    // The oracle must be one that tells texts apart.
    same!(
        answer(HUGETLB, &hugetlbs, b"010")?,
        (Ok(3), 10),
        "hugetlb's answer to 010"
    );
    same!(
        answer(HUGETLB, &hugetlbs, b" 7")?,
        (Err(Errno(libc::EINVAL)), BEFORE),
        "hugetlb's answer to a space and 7"
    );
    let (taken, refused) = compare(&ours, &hugetlbs)?;
    same!(
        (taken > 0, refused > 0),
        (true, true),
        "texts taken and refused"
    );
    Ok(())
}

pub fn counts_by_policy_are_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    let [ours, hugetlbs] = [OURS, HUGETLB].map(|pool| pool.file("nr_hugepages_mempolicy"));
    let (taken, refused) = compare(&ours, &hugetlbs)?;
    same!(
        (taken > 0, refused > 0),
        (true, true),
        "texts taken and refused"
    );
    Ok(())
}

/// What a write to the overcommit file did, and the limit afterwards.
fn limit(pool: Pool, text: &[u8]) -> Check<Answer> {
    pool.set_overcommit(BEFORE)?;
    let result = write_once(&pool.file("nr_overcommit_hugepages"), text);
    Ok((result, pool.overcommit()?))
}

pub fn overcommit_is_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    // Only here sizes near 2^64 take no memory.
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
            limit(OURS, &text)?,
            limit(HUGETLB, &text)?,
            "writing \"{}\"",
            shown.escape_ascii()
        );
    }
    same!(
        limit(OURS, b"18446744073709551615")?,
        (Ok(20), u64::MAX),
        "the largest limit"
    );
    same!(
        limit(OURS, b"18446744073709551616")?,
        (Err(Errno(libc::ERANGE)), BEFORE),
        "a limit too large"
    );
    Ok(())
}

pub fn counts_of_a_node_are_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    let first = memory_nodes()?[0];
    let [ours, hugetlbs] = [OURS, HUGETLB].map(|pool| pool.node_file(first, "nr_hugepages"));
    let (taken, refused) = compare(&ours, &hugetlbs)?;
    same!(
        (taken > 0, refused > 0),
        (true, true),
        "texts taken and refused"
    );
    Ok(())
}
