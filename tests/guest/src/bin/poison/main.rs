// SPDX-License-Identifier: GPL-2.0

//! Pages whose memory the kernel learns to be broken: free, promised, in use, pinned, on their way out.
//! Each test costs the guest a page or two for good.

mod leaving;
mod promised;
mod used;

use std::process::ExitCode;

use guest::map::Map;
use guest::memory::{frame_of, BASE_PAGE};
use guest::{Check, HUGE};

fn main() -> ExitCode {
    guest::ktap::run(&guest::tests![
        leaving::a_free_page,
        leaving::a_node_counts_its_own,
        leaving::a_page_goes_by_itself,
        leaving::several_free_pages,
        leaving::the_rest_of_a_page_is_given_back,
        leaving::a_page_that_is_given_back_at_once,
        leaving::a_page_of_an_unloaded_module,
        promised::who_comes_last_gets_none,
        used::a_touch_is_a_sigbus,
        used::where_somebody_forks,
        used::a_hole_takes_it_away,
        used::what_else_is_refused,
        used::a_pinned_page_leaves_when_it_is_unpinned,
        used::a_pinned_page_of_a_mapping,
        used::hugetlb_says_the_same,
    ])
}

/// A base page in the midst of a page that is mapped.
fn inside(map: &Map, page: usize) -> Check<u64> {
    frame_of(map.at(page * HUGE)).map(|frame| frame + 3)
}

/// The first frame of the huge page that the frame is in.
fn head(frame: u64) -> u64 {
    frame & !(HUGE as u64 / BASE_PAGE - 1)
}
