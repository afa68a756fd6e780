// SPDX-License-Identifier: GPL-2.0

//! `place show POOL PAGES`: touches pages of new files of one pool, and tells their nodes. For use
//! behind numactl.

use guest::device::open_of;
use guest::kind::Kind;
use guest::numa::nodes_of;
use guest::pool::{Pool, HUGETLB, OURS};
use guest::{check, fail, word, Check, HUGE};

/// Prints one line: of each kind of mapping, the nodes of its pages, with `-` for what it could not
/// have.
pub fn show(arguments: &[String]) -> Check {
    let [pool, pages] = arguments else {
        fail!("call it as: place show hugetlb|ours PAGES");
    };
    let pool: Pool = match &**pool {
        "hugetlb" => HUGETLB,
        "ours" => OURS,
        other => fail!("{other}: no such pool"),
    };
    let pages = pages.parse()?;
    check!(pages > 0, "no pages");
    let mut line = Vec::new();
    for kind in Kind::BOTH {
        let map = kind.pages(pages).unreserved().map(&open_of(pool)?)?;
        for page in 0..pages {
            let _ = word::store(&map, page * HUGE, 1);
        }
        let nodes = nodes_of(&map)?;
        let word = |&node: &i32| {
            if node < 0 {
                "-".to_string()
            } else {
                node.to_string()
            }
        };
        let words: Vec<_> = nodes.iter().map(word).collect();
        line.push(format!("{kind:?} {}", words.join(" ")));
    }
    println!("{}", line.join(", "));
    Ok(())
}
