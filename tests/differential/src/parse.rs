// SPDX-License-Identifier: GPL-2.0

//! Reading operations back, as `--replay` gets them: the lines that a failed run printed.

use std::str::FromStr;

use crate::backend::Knob;
use crate::op::{End, NewMap, NodeList, Op, Pages, Prot, FILES, MAPS};
use crate::policy::{mode_named, Policy};
use crate::touch::Access;
use crate::HUGE;

/// What a line of a list begins with in the output of a run.
pub const MARK: &str = "# | ";

/// The most pages that a mapping may have: those of a word's bits.
pub const MAP_PAGES: usize = u64::BITS as usize;

/// The operations of a list: with [`MARK`] or without; empty lines and other comments are left out.
pub fn list(text: &str) -> Result<Vec<Op>, String> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_prefix(MARK).unwrap_or(line).trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            line.parse()
                .map_err(|why: String| format!("line {number}: {why}"))
        })
        .collect()
}

impl FromStr for Op {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut parts = line.split(';').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let words: Vec<&str> = first.split_whitespace().collect();
        let end = match words[..] {
            ["fork", "exit"] => End::Exit,
            ["fork", "kill"] => End::Kill,
            _ if parts.next().is_some() => {
                return Err(format!("{first}: only fork has operations of its own"))
            }
            _ => return simple(&words),
        };
        let ops = parts
            .map(|part| simple(&part.split_whitespace().collect::<Vec<_>>()))
            .collect::<Result<_, _>>()?;
        Ok(Self::Fork { ops, end })
    }
}

fn simple(words: &[&str]) -> Result<Op, String> {
    Ok(match *words {
        ["write", knob, text] => Op::Write {
            knob: knob.parse()?,
            text: text.parse()?,
        },
        ["open", file] => Op::Open {
            file: slot(file, FILES)?,
        },
        ["close", file] => Op::Close {
            file: slot(file, FILES)?,
        },
        ["map", map, file, first, pages, prot, ref flags @ ..] => Op::Map(NewMap {
            map: slot(map, MAPS)?,
            file: slot(file, FILES)?,
            first: number(first)?,
            pages: slot(pages, MAP_PAGES + 1)?,
            prot: prot.parse()?,
            reserve: !flag(flags, "noreserve")?,
            skewed: flag(flags, "skewed")?,
        }),
        ["touch", map, first, count, access] => Op::Touch {
            at: pages(map, first, count)?,
            access: access.parse()?,
        },
        ["unmap", map, first, count] => Op::Unmap {
            at: pages(map, first, count)?,
        },
        ["unmap-skewed", map] => Op::UnmapSkewed {
            map: slot(map, MAPS)?,
        },
        ["protect", map, first, count, prot] => Op::Protect {
            at: pages(map, first, count)?,
            prot: prot.parse()?,
        },
        ["populate", map, first, count, access] => Op::Populate {
            at: pages(map, first, count)?,
            access: access.parse()?,
        },
        ["bind", map, first, count, mode, nodes] => Op::Bind {
            at: pages(map, first, count)?,
            policy: Policy::of(mode_named(mode)?, nodes.parse()?),
        },
        ["home", map, first, count, node] => Op::Home {
            at: pages(map, first, count)?,
            node: slot(node, u64::BITS as usize)?,
        },
        ["move", map] => Op::Move {
            map: slot(map, MAPS)?,
        },
        ["policy", mode, nodes] => Op::Policy(Policy::of(mode_named(mode)?, nodes.parse()?)),
        ["cpu", cpu] => Op::Cpu(slot(cpu, libc::CPU_SETSIZE as usize)?),
        ["cpuset", nodes] => Op::Cpuset(nodes.parse()?),
        _ => return Err(format!("{}: no such operation", words.join(" "))),
    })
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word}: not a number"))
}

fn slot(word: &str, limit: usize) -> Result<usize, String> {
    word.parse()
        .ok()
        .filter(|number| *number < limit)
        .ok_or_else(|| format!("{word}: not a number less than {limit}"))
}

fn pages(map: &str, first: &str, count: &str) -> Result<Pages, String> {
    Ok(Pages {
        map: slot(map, MAPS)?,
        first: slot(first, MAP_PAGES)?,
        count: slot(count, MAP_PAGES + 1)?,
    })
}

fn flag(flags: &[&str], name: &str) -> Result<bool, String> {
    if let Some(unknown) = flags.iter().find(|f| !["noreserve", "skewed"].contains(f)) {
        return Err(format!("{unknown}: neither noreserve nor skewed"));
    }
    Ok(flags.contains(&name))
}

impl FromStr for NodeList {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "-" {
            return Ok(Self::default());
        }
        word.split(',').try_fold(Self::default(), |list, node| {
            let node = slot(node, u64::BITS as usize)?;
            Ok(Self::from_mask(list.mask() | (1 << node)))
        })
    }
}

impl FromStr for Prot {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "r" => Ok(Self::Read),
            "rw" => Ok(Self::ReadWrite),
            _ => Err(format!("{word}: neither r nor rw")),
        }
    }
}

impl FromStr for Access {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(format!("{word}: neither read nor write")),
        }
    }
}

impl FromStr for Knob {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let unknown = || format!("{word}: no such file");
        if let Some((node, file)) = word.strip_prefix("node").and_then(|w| w.split_once('/')) {
            let node = slot(node, u64::BITS as usize)?;
            return match file {
                "nr" => Ok(Self::NodeNr(node)),
                "free" => Ok(Self::NodeFree(node)),
                "surplus" => Ok(Self::NodeSurplus(node)),
                _ => Err(unknown()),
            };
        }
        match word {
            "nr" => Ok(Self::Nr),
            "mempolicy" => Ok(Self::NrMempolicy),
            "overcommit" => Ok(Self::Overcommit),
            "free" => Ok(Self::Free),
            "resv" => Ok(Self::Resv),
            "surplus" => Ok(Self::Surplus),
            _ => Err(unknown()),
        }
    }
}

// A page's address in a mapping, and a mapping's length, must be numbers.
const _: () = assert!(MAP_PAGES < usize::MAX / HUGE);

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[&str] = &[
        "write nr 7",
        "write mempolicy \"7\\x0a\\x00x\"",
        "write overcommit 18446744073709551615",
        "write node3/nr noise:17:5120",
        "write node0/surplus zeroes:4096:5",
        "write resv \"\"",
        "open 4",
        "close 0",
        "map 7 4 4398046511103 64 rw",
        "map 0 0 0 1 r noreserve skewed",
        "touch 1 63 1 read",
        "unmap 1 0 64",
        "unmap-skewed 2",
        "protect 1 0 2 r",
        "populate 1 0 2 write",
        "bind 1 0 2 preferred-many 0,63",
        "home 1 0 2 3",
        "move 3",
        "policy default -",
        "cpu 1",
        "fork exit",
        "fork kill ; cpuset 0,2 ; policy bind 1 ; open 3 ; touch 0 0 1 write",
    ];

    #[test]
    fn what_is_printed_reads_back() {
        for line in LINES {
            let op: Op = line.parse().expect(line);
            assert_eq!(&op.to_string(), line);
        }
    }

    #[test]
    fn a_list_takes_marks_and_comments() {
        let text = "# seed 3\n# | open 1\n\n  open 2\n";
        assert_eq!(
            list(text),
            Ok(vec![Op::Open { file: 1 }, Op::Open { file: 2 }])
        );
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        for line in [
            "",
            "open",
            "open 5",
            "open x",
            "map 0 0 0 65 rw",
            "map 0 0 0 1 x",
            "map 0 0 0 1 r shared",
            "write nr \"\\xzz\"",
            "write nosuch 1",
            "policy nosuch -",
            "open 1 ; open 2",
            "fork later",
        ] {
            assert!(line.parse::<Op>().is_err(), "{line}");
        }
    }
}
