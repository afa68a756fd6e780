// SPDX-License-Identifier: GPL-2.0

//! Writing operations down, as [`crate::parse`] reads them.

use std::fmt;

use crate::backend::Knob;
use crate::op::{
    End, FilePages, Move, NewMap, NodeList, Op, Pages, Place, Prot, Sharing, Skew, Way,
};
use crate::touch::Access;

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mask() == 0 {
            return f.write_str("-");
        }
        let nodes: Vec<String> = (0..u64::BITS)
            .filter(|node| self.mask() & (1 << node) != 0)
            .map(|node| node.to_string())
            .collect();
        f.write_str(&nodes.join(","))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.page {
            0 => write!(f, "{}", self.map),
            page => write!(f, "{}+{page}", self.map),
        }
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.map, self.first, self.count)
    }
}

impl fmt::Display for FilePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.file, self.first, self.count)
    }
}

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Read => "r",
            Self::ReadWrite => "rw",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// With the space before it: most often there is nothing to say.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Start => " skew-start",
            Self::Length => " skew-length",
            Self::Target => " skew-target",
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vm => "vm",
            Self::Mem => "mem",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "exit",
            Self::Kill => "kill",
        })
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nr => f.write_str("nr"),
            Self::NrMempolicy => f.write_str("mempolicy"),
            Self::Overcommit => f.write_str("overcommit"),
            Self::Free => f.write_str("free"),
            Self::Resv => f.write_str("resv"),
            Self::Surplus => f.write_str("surplus"),
            Self::NodeNr(node) => write!(f, "node{node}/nr"),
            Self::NodeFree(node) => write!(f, "node{node}/free"),
            Self::NodeSurplus(node) => write!(f, "node{node}/surplus"),
        }
    }
}

impl fmt::Display for NewMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            file,
            first,
            pages,
            prot,
            ..
        } = self;
        write!(f, "{place} {file} {first} {pages} {prot}")?;
        for (said, word) in [
            (self.sharing == Sharing::Private, " private"),
            (!self.reserve, " noreserve"),
            (self.fixed, " fixed"),
            (self.populate, " populate"),
            (self.skewed, " skewed"),
        ] {
            f.write_str(if said { word } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from, count, skew, ..
        } = self;
        match self.to {
            Some(to) => write!(f, "{from} {to} {count}{skew}"),
            None => write!(f, "{from} anywhere {count}{skew}"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_off = |on: &bool| if *on { "on" } else { "off" };
        match self {
            Self::Write { knob, text } => write!(f, "write {knob} {text}"),
            Self::Open { file } => write!(f, "open {file}"),
            Self::Close { file } => write!(f, "close {file}"),
            Self::SetSize { file, pages } => write!(f, "set-size {file} {pages}"),
            Self::Punch(range) => write!(f, "punch {range}"),
            Self::Preallocate(range) => write!(f, "preallocate {range}"),
            Self::Info { file } => write!(f, "info {file}"),
            Self::Map(new) => write!(f, "map {new}"),
            Self::Touch { at, access } => write!(f, "touch {at} {access}"),
            Self::Remote {
                who,
                way,
                at,
                access,
            } => write!(f, "remote {who} {way} {at} {access}"),
            Self::Unmap { at, skew } => write!(f, "unmap {at}{skew}"),
            Self::Protect { at, prot, skew } => write!(f, "protect {at} {prot}{skew}"),
            Self::Populate { at, access } => write!(f, "populate {at} {access}"),
            Self::Advise { at, advice } => write!(f, "advise {at} {advice}"),
            Self::Lock { at, on } => write!(f, "lock {at} {}", on_off(on)),
            Self::Mincore { at } => write!(f, "mincore {at}"),
            Self::Bind { at, policy } => write!(f, "bind {at} {policy}"),
            Self::Home { at, node } => write!(f, "home {at} {node}"),
            Self::Move(made) => write!(f, "move {made}"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
            Self::Cpu(cpu) => write!(f, "cpu {cpu}"),
            Self::Thp(on) => write!(f, "thp {}", on_off(on)),
            Self::Cpuset(nodes) => write!(f, "cpuset {nodes}"),
            Self::Fork { ops, end } => {
                write!(f, "fork {end}")?;
                for op in ops {
                    write!(f, " ; {op}")?;
                }
                Ok(())
            }
            Self::Spawn { who } => write!(f, "spawn {who}"),
            Self::In { who, op } => write!(f, "in {who} {op}"),
            Self::End { who, end } => write!(f, "end {who} {end}"),
        }
    }
}
