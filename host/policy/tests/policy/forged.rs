// SPDX-License-Identifier: GPL-2.0

//! Pools in any state, also in those that no sequence of operations leads to (yet).

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::NodeId;
use rust_hugetlb::policy::pool::{Claim, Counts, Pool};
use rust_hugetlb::policy::resize::{Resize, Step};

use crate::shell::{row, set};
use crate::world::Row;

/// Tables of per-node counts, of which a pool sees one.
#[derive(Debug)]
pub(crate) struct Forged {
    tables: [Vec<Counts>; 3],
    shown: Rc<Cell<usize>>,
}

impl Deref for Forged {
    type Target = [Counts];

    fn deref(&self) -> &[Counts] {
        &self.tables[self.shown.get()]
    }
}

impl DerefMut for Forged {
    fn deref_mut(&mut self) -> &mut [Counts] {
        &mut self.tables[self.shown.get()]
    }
}

fn counts([nr, free, surplus]: Row) -> Counts {
    Counts {
        nr: PageCount::new(nr),
        free: PageCount::new(free),
        surplus: PageCount::new(surplus),
    }
}

/// A pool with these totals and these nodes, whose rotations begin at `first`.
///
/// Honest operations on one node make the totals, while that node shows other counts than its own;
/// then the nodes are put in.
pub(crate) fn pool(total: Row, nodes: &[Row], first: NodeId) -> Pool<Forged> {
    let [nr, free, surplus] = total;
    let one_node = |counts| {
        let mut table = vec![Counts::default(); first.index() + 1];
        table[first.index()] = counts;
        table
    };
    let shown = Rc::new(Cell::new(0));
    let tables = [
        one_node(Counts::default()),
        // All in use, so that a page becomes surplus whatever is free.
        one_node(counts([nr, 0, 0])),
        Vec::from_iter(nodes.iter().copied().map(counts)),
    ];
    let mut pool = Pool::new(
        Forged {
            tables,
            shown: shown.clone(),
        },
        first,
    );
    for _ in 0..nr {
        assert!(pool.add(first));
    }
    for _ in free..nr {
        assert!(pool.take(first, Claim::Unreserved));
    }
    shown.set(1);
    let mut resize = Resize::to_total(PageCount::new(nr - surplus), set(&[first.index()]));
    assert_eq!(resize.next(&mut pool), Step::Done);
    assert_eq!(row(pool.total()), total);
    shown.set(2);
    pool
}
