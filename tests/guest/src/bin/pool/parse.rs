// SPDX-License-Identifier: GPL-2.0

//! What counts as a count. hugetlb's answer to the same write decides.

use guest::parse::{limits_are_alike, texts, Answer};
use guest::pool::{memory_nodes, write_once, Pool, Resized, HUGETLB, OURS};
use guest::{same, Check, Errno};

/// The count before each write, which none of the texts means.
const BEFORE: u64 = 2;

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

pub fn overcommit_is_parsed_as_hugetlb() -> Check {
    let _pools = (Resized::ours(0)?, Resized::of(HUGETLB, 0)?);
    limits_are_alike(OURS, HUGETLB)
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
