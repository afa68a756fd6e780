// SPDX-License-Identifier: GPL-2.0

//! Edges of policy/resize.rs: which steps a resize takes, told as the trace that it leaves (see
//! `story`), and how many pages are there in the end.

use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::pool::{Counts, Pool};
use rust_hugetlb::policy::resize::{Ask, Resize, Step};

use crate::shell::{id, row, set, Shell};
use crate::story::Story;
use crate::world::{Freed, Hugetlb, Row, Scope};

const MAX: usize = usize::MAX;

#[test]
fn growing_takes_turns_and_goes_on_where_it_stopped() {
    let mut story = Story::on([9, 9, 9]);
    assert_eq!(story.all(5), "0! 1! 2! 0! 1!");
    assert_eq!(story.all(6), "2!");
    assert_eq!(story.all(8), "0! 1!");
    assert_eq!(story.rows(), [[3, 3, 0], [3, 3, 0], [2, 2, 0]]);

    let mut story = Story::on([9, 9, 9]);
    story.pool = Shell::new(3, 2);
    assert_eq!(story.all(2), "2! 0!");
    assert_eq!(story.all(0), "<2 <0");
}

#[test]
fn nothing_to_do() {
    for count in [0, 1, 2, 5] {
        let mut story = Story::on([9, 9]);
        story.all(count);
        assert_eq!(story.all(count), "", "{count} again");
        let next = count % 2;
        assert_eq!(story.all(count + 1), format!("{next}!"), "after {count}");
    }
}

#[test]
fn a_node_without_memory_is_asked_each_time_but_hard_only_once() {
    let mut story = Story::on([9, 0]);
    assert_eq!(story.all(4), "0! 1!- 0! 1- 0! 1- 0!");
    assert_eq!(story.all(5), "1!- 0!", "another resize tries hard again");
}

#[test]
fn a_node_that_has_memory_again_is_asked_hard_again() {
    let mut story = Story::on([9, 9]);
    story.machine.bad_luck = vec![1];
    assert_eq!(story.all(6), "0! 1!- 0! 1 0! 1! 0!");
    assert_eq!(story.rows(), [[4, 4, 0], [2, 2, 0]]);
}

#[test]
fn growing_gives_up_once_each_node_was_asked_for_the_same_page() {
    let mut story = Story::on([1, 0, 0]);
    assert_eq!(story.all(5), "0! 1!- 2!- 0!-");
    assert_eq!(story.all(MAX), "1!- 2!- 0!-");
    assert_eq!(story.rows(), [[1, 1, 0], [0, 0, 0], [0, 0, 0]]);

    let mut story = Story::on([2, 1]);
    assert_eq!(story.all(9), "0! 1! 0! 1!- 0!-");
    assert_eq!(Story::on([0]).all(1), "0!-");
    assert_eq!(Story::on([1]).all(MAX), "0! 0!-");
    // A failure long ago does not count against a later page.
    let mut story = Story::on([9, 9]);
    story.machine.bad_luck = vec![0, 2, 4];
    assert_eq!(story.all(4), "0!- 1! 0- 1! 0- 1! 0");
}

#[test]
fn a_signal_ends_growing_and_keeps_what_there_is() {
    // signal after, trace
    let table = [(1, "0!"), (2, "0! 1!"), (3, "0! 1! 0!"), (4, "0! 1! 0!")];
    for (signal_after, trace) in table {
        let mut story = Story::on([9, 9]);
        story.machine.signal_after = signal_after;
        assert_eq!(story.all(3), trace, "signal after {signal_after}");
    }
    let mut story = Story::on([0, 9]);
    story.machine.signal_after = 1;
    // Only looked for once a page was had.
    assert_eq!(story.all(3), "0!- 1!");
    assert_eq!(story.rows(), [[0, 0, 0], [1, 1, 0]]);
}

#[test]
fn a_signal_does_not_keep_the_pool_from_shrinking() {
    let mut story = Story::on([9, 9]);
    story.all(4);
    story.take(0, 1);
    story.machine.signal_after = 0;
    assert_eq!(story.all(0), "<0 <1 <1");
    assert_eq!(story.rows(), [[1, 0, 1], [0, 0, 0]]);
}

#[test]
fn shrinking_takes_turns_and_goes_on_where_it_stopped() {
    let mut story = Story::on([9, 9, 9]);
    story.all(8);
    assert_eq!(story.all(4), "<0 <1 <2 <0");
    assert_eq!(story.all(2), "<1 <2");
    assert_eq!(story.all(0), "<0 <1");
    assert_eq!(story.machine.memory, [9, 9, 9]);
}

#[test]
fn free_pages_go_first_and_used_ones_become_surplus() {
    let mut story = Story::on([9, 9]);
    story.all(6);
    story.take(0, 2);
    assert_eq!(story.all(1), "<0 <1 <1 <1");
    assert_eq!(story.rows(), [[2, 0, 1], [0, 0, 0]]);
    assert_eq!(story.pool.put(0), Some(Freed::GivenBack));
    assert_eq!(story.pool.put(0), Some(Freed::Kept));
    assert_eq!(story.rows(), [[1, 1, 0], [0, 0, 0]]);
}

#[test]
fn no_page_becomes_surplus_while_enough_free_ones_can_go() {
    let mut story = Story::on([9, 9]);
    story.all(6);
    story.take(0, 3);
    assert_eq!(story.all(3), "<1 <1 <1");
    assert_eq!(story.rows(), [[3, 0, 0], [0, 0, 0]]);
}

#[test]
fn surplus_comes_and_goes_in_turns() {
    let mut story = Story::on([9, 9]);
    story.all(4);
    story.take(0, 2);
    story.take(1, 2);
    assert_eq!(story.all(3), "");
    assert_eq!(story.rows(), [[2, 0, 1], [2, 0, 0]]);
    assert_eq!(story.all(1), "");
    assert_eq!(story.rows(), [[2, 0, 2], [2, 0, 1]]);
    // Growing takes pages out of surplus before it asks for new ones.
    assert_eq!(story.all(3), "");
    assert_eq!(story.rows(), [[2, 0, 1], [2, 0, 0]]);
    assert_eq!(story.all(6), "1! 0!");
    assert_eq!(story.rows(), [[3, 1, 0], [3, 1, 0]]);
}

#[test]
fn pages_stop_being_surplus_only_as_far_as_asked() {
    let mut story = Story::on([9]);
    story.all(4);
    story.take(0, 4);
    // count, surplus
    for (count, surplus) in [(0, 4), (1, 3), (4, 0), (2, 2), (0, 4), (3, 1)] {
        assert_eq!(story.all(count), "");
        assert_eq!(story.rows(), [[4, 0, surplus]], "{count}");
    }
}

/// "There may exist free surplus huge pages, and this will lead to subtracting twice."
#[test]
fn free_surplus_pages_are_not_persistent_ones() {
    // pool, count, trace, pool after
    let table: [(Row, usize, &str, Row); 9] = [
        // One is used: it is the persistent one. Nothing may go, but it becomes surplus.
        ([3, 2, 2], 1, "", [3, 2, 2]),
        ([3, 2, 2], 0, "", [3, 2, 3]),
        // As many free as persistent ones.
        ([4, 2, 2], 0, "<0 <0", [2, 0, 2]),
        ([4, 2, 2], 1, "<0", [3, 1, 2]),
        // More free than surplus ones: the difference may go.
        ([5, 4, 2], 0, "<0 <0", [3, 2, 3]),
        ([5, 4, 2], 1, "<0 <0", [3, 2, 2]),
        ([5, 4, 2], 2, "<0", [4, 3, 2]),
        // All surplus.
        ([2, 2, 2], 0, "", [2, 2, 2]),
        ([2, 2, 2], 1, "", [2, 2, 1]),
    ];
    for (before, count, trace, after) in table {
        let mut story = Story::on([9]);
        story.pool = Shell::with(&[before], 0);
        assert_eq!(story.all(count), trace, "{before:?} to {count}");
        assert_eq!(story.rows(), [after], "{before:?} to {count}");
    }
}

#[test]
fn one_node_alone() {
    let mut story = Story::on([9, 9, 9]);
    story.all(6);
    assert_eq!(story.node(1, 4), "1! 1!");
    assert_eq!(story.rows(), [[2, 2, 0], [4, 4, 0], [2, 2, 0]]);
    assert_eq!(story.node(2, 0), "<2 <2");
    assert_eq!(story.node(1, 4), "");
    assert_eq!(story.node(1, 3), "<1");
    assert_eq!(story.rows(), [[2, 2, 0], [3, 3, 0], [0, 0, 0]]);
    // Used pages of the node become surplus though others have free ones.
    story.take(1, 2);
    assert_eq!(story.node(1, 0), "<1");
    assert_eq!(story.rows(), [[2, 2, 0], [2, 0, 2], [0, 0, 0]]);
    // The surplus of one node is not of use to another.
    assert_eq!(story.node(2, 1), "2!");
    assert_eq!(story.rows(), [[2, 2, 0], [2, 0, 2], [1, 1, 0]]);
    assert_eq!(story.node(1, 3), "1!");
    assert_eq!(story.rows(), [[2, 2, 0], [3, 1, 0], [1, 1, 0]]);
}

#[test]
fn a_node_is_given_up_alone_too() {
    let mut story = Story::on([9, 2]);
    story.all(1);
    assert_eq!(story.node(1, 5), "1! 1! 1!-");
    assert_eq!(story.rows(), [[1, 1, 0], [2, 2, 0]]);
}

/// "User may have specified a large count value which caused the above calculation to overflow."
#[test]
fn a_count_for_one_node_does_not_wrap() {
    for count in [MAX, MAX - 1, MAX - 2, MAX - 3] {
        let mut story = Story::on([9, 3]);
        story.node(0, 3);
        assert_eq!(story.node(1, count), "1! 1! 1! 1!-", "{count:#x}");
        assert_eq!(story.rows(), [[3, 3, 0], [3, 3, 0]]);
    }
}

#[test]
fn a_resize_of_one_node_moves_the_turns_of_all() {
    let mut story = Story::on([9, 9, 9]);
    assert_eq!(story.node(1, 1), "1!");
    assert_eq!(story.all(3), "1! 2!");
    assert_eq!(story.node(2, 0), "<2");
    assert_eq!(story.all(0), "<1 <1");
}

#[test]
fn other_nodes_than_the_allowed_keep_theirs() {
    let mut story = Story::on([9, 9, 9]);
    story.all(6);
    story.take(0, 1);
    story.take(2, 2);
    assert_eq!(story.resize(0, &Scope::All(vec![1, 2])), "<1 <1");
    assert_eq!(story.rows(), [[2, 1, 0], [0, 0, 0], [2, 0, 2]]);
    assert_eq!(story.resize(5, &Scope::All(vec![0, 1])), "0! 1! 0!");
    assert_eq!(story.rows(), [[4, 3, 0], [1, 1, 0], [2, 0, 2]]);
}

#[test]
fn no_node_at_all() {
    let mut story = Story::on([9, 9]);
    let nowhere = Scope::All(Vec::new());
    assert_eq!(story.resize(3, &nowhere), "");
    story.all(2);
    story.take(1, 1);
    assert_eq!(story.resize(0, &nowhere), "");
    assert_eq!(story.rows(), [[1, 1, 0], [1, 0, 0]]);
}

#[test]
fn turns_cross_the_borders_of_words() {
    let mut memory = [0; 1024];
    let nodes = vec![0, 63, 64, 1023];
    for node in &nodes {
        memory[*node] = 9;
    }
    let mut story = Story::on(memory);
    let scope = Scope::All(nodes);
    assert_eq!(story.resize(5, &scope), "0! 63! 64! 1023! 0!");
    assert_eq!(story.resize(1, &scope), "<0 <63 <64 <1023");
    assert_eq!(story.rows()[0], [1, 1, 0]);
}

fn pool(nodes: usize, pages: usize) -> Pool<Vec<Counts>> {
    let mut pool = Pool::new(vec![Counts::default(); nodes], NodeId::FIRST);
    for _ in 0..pages {
        assert!(pool.add(NodeId::FIRST));
    }
    pool
}

#[test]
fn an_interrupt_is_final_wherever_it_comes() {
    // pages before, target, steps before the interrupt, nr after
    let table = [
        (0, 3, 0, 0),
        (0, 3, 1, 1),
        (0, 3, 3, 3),
        (3, 0, 0, 3),
        (3, 0, 1, 2),
        (3, 0, 3, 0),
        (3, 3, 0, 3),
    ];
    for (pages, target, steps, after) in table {
        let mut pool = pool(1, pages);
        let mut resize = Resize::to_total(PageCount::new(target), set(&[0]));
        for _ in 0..steps {
            match resize.next(&mut pool) {
                Step::Alloc(Ask { node, .. }) => assert!(resize.allocated(node, &mut pool)),
                Step::GiveBack { .. } => {}
                Step::Wait | Step::Done => panic!("done too early"),
            }
        }
        resize.interrupt();
        assert_eq!(resize.next(&mut pool), Step::Done);
        assert_eq!(resize.next(&mut pool), Step::Done);
        assert_eq!(
            row(pool.total()),
            [after, after, 0],
            "{pages} to {target}, interrupted after {steps}"
        );
    }
}

#[test]
fn done_is_for_good() {
    // pages before, target, pages there are
    for (pages, target, memory) in [(0, 2, 9), (0, 2, 1), (2, 2, 9), (3, 1, 9), (2, 0, 9)] {
        let mut pool = pool(1, pages);
        let mut resize = Resize::to_total(PageCount::new(target), set(&[0]));
        let mut left = memory;
        loop {
            match resize.next(&mut pool) {
                Step::Alloc(Ask { node, .. }) if left == 0 => resize.failed(node),
                Step::Alloc(Ask { node, .. }) => {
                    left -= 1;
                    assert!(resize.allocated(node, &mut pool));
                }
                Step::GiveBack { .. } => {}
                Step::Wait => panic!("nobody helps"),
                Step::Done => break,
            }
        }
        // Then somebody else makes the pool larger than the target.
        for _ in 0..3 {
            assert!(pool.add(NodeId::FIRST));
        }
        let after = pool.total();
        assert!(after.nr > PageCount::new(target));
        assert_eq!(resize.next(&mut pool), Step::Done, "{pages} to {target}");
        assert_eq!(pool.total(), after, "{pages} to {target}");
    }
}

#[test]
fn a_page_that_the_pool_cannot_hold_is_not_asked_for_for_ever() {
    let mut pool = pool(2, 1);
    let mut resize = Resize::to_node(PageCount::MAX, id(7), &pool);
    let mut asked = 0;
    while let Step::Alloc(Ask { node, .. }) = resize.next(&mut pool) {
        assert_eq!(node, id(7));
        assert!(!resize.allocated(node, &mut pool));
        asked += 1;
        assert!(asked < 100, "asks for ever");
    }
    assert_eq!(row(pool.total()), [1, 1, 0]);
    assert!(pool.check());
}

#[test]
fn an_empty_set_of_nodes_ends_at_once() {
    for target in [PageCount::ZERO, PageCount::ONE, PageCount::MAX] {
        let mut pool = pool(1, 1);
        let mut resize = Resize::to_total(target, NodeSet::EMPTY);
        assert_eq!(resize.next(&mut pool), Step::Done);
        assert_eq!(row(pool.total()), [1, 1, 0]);
    }
}
