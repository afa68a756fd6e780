// SPDX-License-Identifier: GPL-2.0

//! What the module's policy takes, alone, against the number of pages. Prints lines as those of
//! tests/bench: under `qemu/run --icount` a nanosecond is an instruction.

use std::hint::black_box;
use std::time::Instant;

use clap::{value_parser, Arg, ArgMatches, Command};
use rust_hugetlb::policy::count::PageCount;
use rust_hugetlb::policy::node::{NodeId, NodeSet};
use rust_hugetlb::policy::pool::{Claim, Counts, Pool};
use rust_hugetlb::policy::range::FileRange;
use rust_hugetlb::policy::regions::Regions;
use rust_hugetlb::policy::reserve::{self, Reserve, Unreserve};
use rust_hugetlb::policy::resize::{Resize, Step};

/// How often a short operation is done in a round, one after the other.
const TIMES: usize = 9;

fn arguments() -> ArgMatches {
    let number = || value_parser!(u32).range(1..=1 << 24);
    Command::new("policy-cost")
        .about("Measures the module's policy without the module")
        .arg(
            Arg::new("sizes")
                .long("sizes")
                .value_name("PAGES,PAGES...")
                .value_delimiter(',')
                .value_parser(number())
                .default_value("1000,10000,100000,1000000")
                .help("How many pages there are, one after the other"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_name("N")
                .value_parser(number())
                .default_value("3")
                .help("How often everything is done"),
        )
        .get_matches()
}

fn main() {
    let arguments = arguments();
    let rounds = arguments.get_one::<u32>("rounds").copied().unwrap_or(1);
    for &pages in arguments.get_many::<u32>("sizes").unwrap_or_default() {
        for number in 0..rounds {
            let round = Round {
                pages: pages as usize,
                number,
            };
            pool(&round);
            reservations(&round);
            regions(&round);
        }
    }
}

struct Round {
    pages: usize,
    number: u32,
}

impl Round {
    /// Prints what each of some operations took.
    fn each(&self, case: &str, spans: &[u64]) {
        self.samples(case, 1, spans);
    }

    /// Prints what it took for all pages together.
    fn whole(&self, case: &str, act: impl FnOnce()) {
        self.samples(case, self.pages, &[time(act)]);
    }

    fn samples(&self, case: &str, operations: usize, spans: &[u64]) {
        let Self { pages, number } = self;
        println!(
            "{{\"case\":\"{case}\",\"pool\":\"policy\",\"pages\":{pages},\"round\":{number},\
             \"ops\":{operations},\"ns\":{spans:?}}}"
        );
    }
}

fn time(act: impl FnOnce()) -> u64 {
    let start = Instant::now();
    act();
    start.elapsed().as_nanos() as u64
}

type Counters = Pool<Vec<Counts>>;

fn empty() -> Counters {
    Pool::new(vec![Counts::default(); 1], NodeId::FIRST)
}

fn nodes() -> NodeSet {
    NodeSet::only(NodeId::FIRST)
}

/// Does a resize to the end, as if the page allocator had all that is asked for.
fn resize(pool: &mut Counters, pages: usize) {
    let mut resize = Resize::to_total(PageCount::new(pages), nodes());
    loop {
        match resize.next(pool) {
            Step::Alloc(ask) => assert!(resize.allocated(ask.node, pool), "no such node"),
            Step::GiveBack { node } => _ = black_box(node),
            Step::Wait => panic!("nobody helps"),
            Step::Done => return,
        }
    }
}

fn full(pages: usize) -> Counters {
    let mut pool = empty();
    resize(&mut pool, pages);
    pool
}

/// Counters and resizes.
fn pool(round: &Round) {
    let pages = round.pages;
    let mut pool = empty();
    round.whole("resize: grow, per page", || resize(&mut pool, pages));
    let (mut grow, mut shrink, mut nothing, mut use_one) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        grow.push(time(|| resize(&mut pool, pages + 1)));
        shrink.push(time(|| resize(&mut pool, pages)));
        nothing.push(time(|| resize(&mut pool, pages)));
        use_one.push(time(|| {
            assert!(pool.take(NodeId::FIRST, Claim::Unreserved), "no page");
            let _ = black_box(pool.put(NodeId::FIRST));
        }));
    }
    round.each("resize: grow by one page", &grow);
    round.each("resize: shrink by one page", &shrink);
    round.each("resize: to what it is", &nothing);
    round.each("pool: take a page and put it back", &use_one);
    round.whole("resize: shrink, per page", || resize(&mut pool, 0));

    let mut pool = full(pages);
    for _ in 0..pages {
        assert!(pool.take(NodeId::FIRST, Claim::Unreserved), "no page");
    }
    let busy = [time(|| resize(&mut pool, 0))];
    round.samples(
        "resize: all pages in use become surplus, per page",
        pages,
        &busy,
    );
}

/// Makes a reservation, with surplus pages where the free ones do not suffice.
fn reserve(pool: &mut Counters, pages: usize) {
    let mut reserve = Reserve::new(PageCount::new(pages));
    loop {
        match reserve.next(pool) {
            reserve::Step::Allocate => assert!(reserve.allocated(NodeId::FIRST, pool), "limit"),
            reserve::Step::Enlist => reserve.enlisted(NodeId::FIRST, pool),
            reserve::Step::Drop => _ = black_box(reserve.dropped(NodeId::FIRST, pool)),
            reserve::Step::Done(result) => return assert_eq!(result, Ok(())),
        }
    }
}

/// Ends reservations.
fn unreserve(pool: &mut Counters, pages: usize) {
    let mut unreserve = Unreserve::new(PageCount::new(pages), nodes());
    while unreserve.next(pool).is_some() {}
}

fn reservations(round: &Round) {
    let pages = round.pages;
    let mut pool = full(pages);
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        one.push(time(|| {
            reserve(&mut pool, 1);
            unreserve(&mut pool, 1);
        }));
        all.push(time(|| {
            reserve(&mut pool, pages);
            unreserve(&mut pool, pages);
        }));
    }
    round.each("reserve: one page, and end that", &one);
    round.each("reserve: all pages, and end that", &all);

    let mut pool = empty();
    pool.set_overcommit(PageCount::new(pages));
    round.whole("reserve: surplus pages, and end that, per page", || {
        reserve(&mut pool, pages);
        unreserve(&mut pool, pages);
    });
}

fn one(index: usize) -> FileRange {
    FileRange {
        first: index,
        end: index + 1,
    }
}

/// Sets of pages: one range of all of them, and every other page.
fn regions(round: &Round) {
    let pages = round.pages;
    let mut whole = table(1);
    round.whole("regions: page by page, ascending, per page", || {
        (0..pages).for_each(|index| add(&mut whole, index));
    });
    look(round, "regions: look one up, all in one range", &whole);

    // As many ranges as there can be for so many pages.
    let mut holes = table(pages);
    (0..pages / 2).for_each(|index| add(&mut holes, 2 * index));
    look(round, "regions: look one up, every other page", &holes);
    let (mut add_end, mut add_first) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        add_end.push(time(|| change(&mut holes, 2 * pages)));
        add_first.push(time(|| change(&mut holes, 1)));
    }
    round.each("regions: change the last range of many", &add_end);
    round.each("regions: change the first range of many", &add_first);
    let count = time(|| _ = black_box(holes.count()));
    round.each("regions: count many ranges", &[count]);
}

type Table = Regions<Vec<FileRange>>;

fn table(ranges: usize) -> Table {
    Regions::new(vec![FileRange { first: 0, end: 0 }; ranges + 2])
}

fn add(regions: &mut Table, index: usize) {
    let added = regions.add(one(index));
    assert_eq!(added, Ok(PageCount::ONE));
}

/// Adds a page, which joins or makes a range, and takes it out again.
fn change(regions: &mut Table, index: usize) {
    add(regions, index);
    let removed = regions.remove(one(index));
    assert_eq!(removed, Ok(PageCount::ONE));
}

fn look(round: &Round, case: &str, regions: &Table) {
    let indices = (0..TIMES).map(|step| step * round.pages / TIMES);
    let spans: Vec<u64> = indices
        .map(|index| time(|| _ = black_box(regions.contains(black_box(index)))))
        .collect();
    round.each(case, &spans);
}
