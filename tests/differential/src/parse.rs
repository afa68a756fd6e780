// SPDX-License-Identifier: GPL-2.0

//! Reading operations back, as `--replay` gets them: the lines that a failed run printed.

use std::str::FromStr;

use crate::backend::Knob;
use crate::op::{
    End, FilePages, Move, NewMap, NodeList, Op, Pages, Place, Prot, Sharing, Skew, Way, FILES,
    MAPS, PROCESSES, SLOT_PAGES,
};
use crate::policy::{mode_named, Policy};
use crate::touch::Access;

/// What a line of a list begins with in the output of a run.
pub const MARK: &str = "# | ";

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
        match words[..] {
            ["fork", end] => {
                let ops = parts
                    .map(|part| in_child(&part.split_whitespace().collect::<Vec<_>>()))
                    .collect::<Result<_, _>>()?;
                let end = end.parse()?;
                Ok(Self::Fork { ops, end })
            }
            _ if parts.next().is_some() => {
                Err(format!("{first}: only fork has operations of its own"))
            }
            ["in", who, ref rest @ ..] => Ok(Self::In {
                who: process(who)?,
                op: Box::new(in_child(rest)?),
            }),
            ["end", who, end] => Ok(Self::End {
                who: process(who)?,
                end: end.parse()?,
            }),
            _ => simple(&words),
        }
    }
}

/// What a child does: anything but what is about the pools and not about a process.
fn in_child(words: &[&str]) -> Result<Op, String> {
    match simple(words)? {
        op @ Op::Write { .. } => Err(format!("{op}: not for a child")),
        op => Ok(op),
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
        ["set-size", file, pages] => Op::SetSize {
            file: slot(file, FILES)?,
            pages: number(pages)?,
        },
        ["punch", file, first, count] => Op::Punch(file_pages(file, first, count)?),
        ["preallocate", file, first, count] => Op::Preallocate(file_pages(file, first, count)?),
        ["info", file] => Op::Info {
            file: slot(file, FILES)?,
        },
        ["map", at, file, first, count, prot, ref flags @ ..] => {
            Op::Map(new_map(at, file, first, count, prot, flags)?)
        }
        ["touch", map, first, count, access] => Op::Touch {
            at: pages(map, first, count)?,
            access: access.parse()?,
        },
        ["remote", who, way, map, first, count, access] => Op::Remote {
            who: slot(who, PROCESSES)?,
            way: way.parse()?,
            at: pages(map, first, count)?,
            access: access.parse()?,
        },
        ["unmap", map, first, count, ref skew @ ..] => Op::Unmap {
            at: pages(map, first, count)?,
            skew: skewed(skew)?,
        },
        ["protect", map, first, count, prot, ref skew @ ..] => Op::Protect {
            at: pages(map, first, count)?,
            prot: prot.parse()?,
            skew: skewed(skew)?,
        },
        ["populate", map, first, count, access] => Op::Populate {
            at: pages(map, first, count)?,
            access: access.parse()?,
        },
        ["advise", map, first, count, advice] => Op::Advise {
            at: pages(map, first, count)?,
            advice: advice.parse()?,
        },
        ["lock", map, first, count, on] => Op::Lock {
            at: pages(map, first, count)?,
            on: on_off(on)?,
        },
        ["mincore", map, first, count] => Op::Mincore {
            at: pages(map, first, count)?,
        },
        ["bind", map, first, count, mode, nodes] => Op::Bind {
            at: pages(map, first, count)?,
            policy: Policy::of(mode_named(mode)?, nodes.parse()?),
        },
        ["home", map, first, count, node] => Op::Home {
            at: pages(map, first, count)?,
            node: slot(node, u64::BITS as usize)?,
        },
        ["move", map, first, count, to, new, ref skew @ ..] => {
            let to = match to {
                "anywhere" => None,
                place => Some(place.parse()?),
            };
            let new = slot(new, SLOT_PAGES + 1)?;
            // Bounds are those of a slot.
            let _: Option<Pages> = to.map(|to| within(to, new)).transpose()?;
            Op::Move(Move {
                from: pages(map, first, count)?,
                to,
                count: new,
                skew: skewed(skew)?,
            })
        }
        ["policy", mode, nodes] => Op::Policy(Policy::of(mode_named(mode)?, nodes.parse()?)),
        ["cpu", cpu] => Op::Cpu(slot(cpu, libc::CPU_SETSIZE as usize)?),
        ["thp", on] => Op::Thp(on_off(on)?),
        ["cpuset", nodes] => Op::Cpuset(nodes.parse()?),
        ["spawn", who] => Op::Spawn { who: process(who)? },
        _ => return Err(format!("{}: no such operation", words.join(" "))),
    })
}

fn new_map(
    at: &str,
    file: &str,
    first: &str,
    count: &str,
    prot: &str,
    flags: &[&str],
) -> Result<NewMap, String> {
    const FLAGS: [&str; 5] = ["private", "noreserve", "fixed", "populate", "skewed"];
    if let Some(unknown) = flags.iter().find(|flag| !FLAGS.contains(flag)) {
        return Err(format!("{unknown}: none of {}", FLAGS.join(", ")));
    }
    let has = |flag| flags.contains(&flag);
    let place: Place = at.parse()?;
    Ok(NewMap {
        place,
        file: slot(file, FILES)?,
        first: number(first)?,
        pages: within(place, slot(count, SLOT_PAGES + 1)?)?.count,
        prot: prot.parse()?,
        sharing: match has("private") {
            true => Sharing::Private,
            false => Sharing::Shared,
        },
        reserve: !has("noreserve"),
        fixed: has("fixed"),
        populate: has("populate"),
        skewed: has("skewed"),
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

/// A child's number.
fn process(word: &str) -> Result<usize, String> {
    match slot(word, PROCESSES)? {
        0 => Err("0: that is no child".to_string()),
        who => Ok(who),
    }
}

/// So many pages from a place on, if the slot has them.
fn within(place: Place, count: usize) -> Result<Pages, String> {
    match place.page + count <= SLOT_PAGES {
        true => Ok(place.pages(count)),
        false => Err(format!("{place}: not {count} pages up to the slot's end")),
    }
}

fn pages(map: &str, first: &str, count: &str) -> Result<Pages, String> {
    let place = Place {
        map: slot(map, MAPS)?,
        page: slot(first, SLOT_PAGES)?,
    };
    within(place, slot(count, SLOT_PAGES + 1)?)
}

fn file_pages(file: &str, first: &str, count: &str) -> Result<FilePages, String> {
    Ok(FilePages {
        file: slot(file, FILES)?,
        first: number(first)?,
        count: number(count)?,
    })
}

fn on_off(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{word}: neither on nor off")),
    }
}

fn skewed(words: &[&str]) -> Result<Skew, String> {
    match words {
        [] => Ok(Skew::None),
        ["skew-start"] => Ok(Skew::Start),
        ["skew-length"] => Ok(Skew::Length),
        ["skew-target"] => Ok(Skew::Target),
        _ => Err(format!("{}: no skew", words.join(" "))),
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (map, page) = word.split_once('+').unwrap_or((word, "0"));
        Ok(Self {
            map: slot(map, MAPS)?,
            page: slot(page, SLOT_PAGES)?,
        })
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "vm" => Ok(Self::Vm),
            "mem" => Ok(Self::Mem),
            _ => Err(format!("{word}: neither vm nor mem")),
        }
    }
}

impl FromStr for End {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "exit" => Ok(Self::Exit),
            "kill" => Ok(Self::Kill),
            _ => Err(format!("{word}: neither exit nor kill")),
        }
    }
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
            "none" => Ok(Self::None),
            "r" => Ok(Self::Read),
            "rw" => Ok(Self::ReadWrite),
            _ => Err(format!("{word}: none of none, r and rw")),
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
        "set-size 1 12",
        "punch 0 3 2",
        "preallocate 4 0 12",
        "info 2",
        "map 6 4 4398046511103 64 rw",
        "map 0 0 0 1 r noreserve skewed",
        "map 3+17 1 2 5 none private fixed populate",
        "touch 1 63 1 read",
        "remote 0 vm 1 0 2 read",
        "remote 4 mem 1 0 2 write",
        "unmap 1 0 64",
        "unmap 2 0 2 skew-start",
        "protect 1 0 2 r",
        "protect 1 0 2 none skew-length",
        "populate 1 0 2 write",
        "advise 5 1 2 dontfork",
        "lock 1 0 1 on",
        "lock 1 0 1 off",
        "mincore 1 0 1",
        "bind 1 0 2 preferred-many 0,63",
        "home 1 0 2 3",
        "move 3 0 5 4+1 5",
        "move 3 0 5 anywhere 7 skew-start",
        "policy default -",
        "cpu 1",
        "thp off",
        "fork exit",
        "fork kill ; cpuset 0,2 ; policy bind 1 ; open 3 ; touch 0 0 1 write",
        "spawn 3",
        "in 3 spawn 2",
        "in 2 map 0 0 0 1 r",
        "end 2 kill",
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
            "map 0+60 0 0 5 rw",
            "map 7 0 0 1 rw",
            "map 0 0 0 1 x",
            "map 0 0 0 1 r shared",
            "touch 0 60 5 read",
            "move 0 0 5 1+60 5",
            "write nr \"\\xzz\"",
            "write nosuch 1",
            "policy nosuch -",
            "advise 0 0 1 nosuch",
            "open 1 ; open 2",
            "fork later",
            "fork exit ; fork exit",
            "spawn 0",
            "in 1 in 2 open 0",
            "in 1 write nr 3",
            "end 5 exit",
        ] {
            assert!(line.parse::<Op>().is_err(), "{line}");
        }
    }
}
