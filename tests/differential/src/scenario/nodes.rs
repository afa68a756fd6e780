// SPDX-License-Identifier: GPL-2.0

//! Surplus on one of four nodes, and what writes to the others' files and to the global one make of
//! it.

use crate::ktap::Check;
use crate::machine::Machine;
use crate::pair::Pair;
use crate::scenario::script::{self, Line};

const fn line(op: &'static str, counters: &'static str) -> Line {
    Line {
        op,
        does: "",
        counters,
    }
}

/// Node 0 is shrunk while its pages are in use; then node 1, then the whole, are resized.
pub fn surplus_moves(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("cpu 0", "nr 0 free 0 resv 0 surplus 0"),
            line("write node0/nr 8", "nr 8 free 8 resv 0 surplus 0"),
            line("open 0", ""),
            line("map 0 0 0 8 rw", "nr 8 free 8 resv 8 surplus 0"),
            line("touch 0 0 8 write", "nr 8 free 0 resv 0 surplus 0"),
            line("write node0/nr 2", "nr 8 free 0 resv 0 surplus 6"),
            line("write node1/nr 4", "nr 12 free 4 resv 0 surplus 6"),
            line("write nr 9", "nr 12 free 4 resv 0 surplus 3"),
            line("write nr 5", ""),
            line("write node1/nr 1", ""),
            line("write nr 16", ""),
            line("unmap 0 0 8", ""),
            line("close 0", ""),
            line("write nr 3", "nr 3 free 3 resv 0 surplus 0"),
        ],
    )
}

/// The same with pages that are reserved and not there yet, and surplus made on demand beside.
pub fn surplus_of_reserved(pair: &mut Pair) -> Check {
    script::run(
        pair,
        &[
            line("cpu 0", ""),
            line("write node0/nr 3", ""),
            line("write node1/nr 3", ""),
            line("write node2/nr 2", "nr 8 free 8 resv 0 surplus 0"),
            line("open 0", ""),
            line("map 0 0 0 6 rw", "nr 8 free 8 resv 6 surplus 0"),
            line("touch 0 0 4 write", "nr 8 free 4 resv 2 surplus 0"),
            line("write node0/nr 0", ""),
            line("write overcommit 9", ""),
            line("map 1 0 6 6 rw", ""),
            line("write node1/nr 1", ""),
            line("touch 1 0 6 write", ""),
            line("write nr 2", ""),
            line("write node3/nr 2", ""),
            line("write nr 7", ""),
            line("touch 0 4 2 write", ""),
            line("unmap 0 0 6", ""),
            line("unmap 1 0 6", ""),
            line("close 0", ""),
            line("write nr 0", "nr 0 free 0 resv 0 surplus 0"),
        ],
    )
}

/// Both need four nodes.
pub fn four(machine: &Machine) -> Check {
    match machine.nodes[..] {
        [0, 1, 2, 3] => Ok(()),
        _ => Err(format!(
            "nodes {:?}: run it in a guest with --nodes 4",
            machine.nodes
        )),
    }
}
