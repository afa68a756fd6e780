// SPDX-License-Identifier: GPL-2.0

//! The policy of rust_hugetlb tested inside a kernel (KUnit), with the kernel's own tables and with
//! what a debug kernel checks of each access and sum. Loading this module runs the tests; what they
//! say is in the kernel log. What policy decides is tested on the host; here it is enough that it
//! never breaks its invariants.

use kernel::prelude::*;

#[path = "../../src/policy/mod.rs"]
pub mod policy;

module! {
    type: Tests,
    name: "rust_hugetlb_kunit",
    authors: ["The rust_hugetlb authors"],
    description: "KUnit tests of rust_hugetlb's policy",
    license: "GPL",
}

struct Tests;

impl kernel::Module for Tests {
    fn init(_: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

/// Numbers that are the same each time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % end
    }
}

#[kunit_tests(rust_hugetlb_policy)]
mod tests {
    use kernel::alloc::{KVVec, KVec};

    use super::policy::{
        count::PageCount,
        node::{NodeId, NodeSet, Rotation, MAX_NODES},
        pool::{Claim, Counts, Fate, Pool},
        range::{check_end, pages_of_size, AreaRequest, ByteRange, FileRange, MapRequest},
        regions::Regions,
        reserve::{self, Reserve, Unreserve},
        resize::{self, Resize},
        scrub::{self, Percent, Scrub},
        size::HugeSize,
    };
    use super::*;

    const NODES: usize = 4;

    type Nodes = Pool<KVec<Counts>>;

    /// A pool, and what its users would know.
    struct World {
        pool: Nodes,
        used: [usize; NODES],
        promised: usize,
        numbers: Numbers,
    }

    impl World {
        fn new() -> Result<Self> {
            let mut nodes = KVec::new();
            nodes.resize(NODES, Counts::default(), GFP_KERNEL)?;
            Ok(Self {
                pool: Pool::new(nodes, NodeId::FIRST),
                used: [0; NODES],
                promised: 0,
                numbers: Numbers(1),
            })
        }

        /// One of the nodes, and its place in `used`.
        fn node(&mut self) -> Result<(NodeId, usize)> {
            let number = self.numbers.below(NODES);
            Ok((NodeId::new(number).ok_or(EINVAL)?, number))
        }

        /// Whether the page allocator has a page this time.
        fn has_page(&mut self) -> bool {
            self.numbers.below(8) != 0
        }

        fn set(&mut self) -> NodeSet {
            NodeSet::from_words([self.numbers.below(1 << NODES) as u64])
        }

        fn resize(&mut self) -> Result {
            let count = PageCount::new(self.numbers.below(40));
            let mut resize = if self.numbers.below(2) == 0 {
                Resize::to_total(count, self.set())
            } else {
                Resize::to_node(count, self.node()?.0, &self.pool)
            };
            loop {
                match resize.next(&mut self.pool) {
                    resize::Step::Alloc(ask) if self.has_page() => {
                        assert!(resize.allocated(ask.node, &mut self.pool));
                    }
                    resize::Step::Alloc(ask) => resize.failed(ask.node),
                    resize::Step::GiveBack { .. } => {}
                    resize::Step::Wait => resize.interrupt(),
                    resize::Step::Done => return Ok(()),
                }
                assert!(self.pool.check());
            }
        }

        fn reserve(&mut self) -> Result {
            let count = self.numbers.below(6);
            let mut reserve = Reserve::new(PageCount::new(count));
            let mut held = KVec::new();
            loop {
                match reserve.next(&mut self.pool) {
                    reserve::Step::Allocate if self.has_page() => {
                        let (node, _) = self.node()?;
                        if reserve.allocated(node, &mut self.pool) {
                            held.push(node, GFP_KERNEL)?;
                        }
                    }
                    reserve::Step::Allocate => reserve.failed(),
                    reserve::Step::Enlist => {
                        let node = held.pop().ok_or(ENOENT)?;
                        reserve.enlisted(node, &mut self.pool);
                    }
                    reserve::Step::Drop => {
                        let node = held.pop().ok_or(ENOENT)?;
                        let _ = reserve.dropped(node, &mut self.pool);
                    }
                    reserve::Step::Done(result) => {
                        assert!(held.is_empty());
                        self.promised += result.map_or(0, |()| count);
                        return Ok(());
                    }
                }
            }
        }

        fn unreserve(&mut self) {
            let count = self.numbers.below(self.promised + 1);
            let nodes = NodeSet::from_words([(1 << NODES) - 1]);
            let mut unreserve = Unreserve::new(PageCount::new(count), nodes);
            while unreserve.next(&mut self.pool).is_some() {
                assert!(self.pool.check());
            }
            self.promised -= count;
        }

        fn take(&mut self) -> Result {
            let (node, number) = self.node()?;
            let reserved = self.promised != 0 && self.numbers.below(2) == 0;
            let claim = if reserved {
                Claim::Reserved
            } else {
                Claim::Unreserved
            };
            if self.pool.take(node, claim) || self.pool.take_surplus(node, claim) {
                self.used[number] += 1;
                self.promised -= usize::from(reserved);
            }
            Ok(())
        }

        fn put(&mut self) -> Result {
            let (node, number) = self.node()?;
            if self.used[number] == 0 {
                return Ok(());
            }
            self.used[number] -= 1;
            if self.numbers.below(4) == 0 {
                self.pool.unuse_reserved(node);
                self.promised += 1;
            } else if self.pool.put(node) == Fate::Keep && self.numbers.below(16) == 0 {
                self.pool.lose(node);
            }
            Ok(())
        }

        fn step(&mut self) -> Result {
            match self.numbers.below(16) {
                0 => self.resize()?,
                1..=2 => self.reserve()?,
                3 => self.unreserve(),
                4 => {
                    let limit = PageCount::new(self.numbers.below(8));
                    self.pool.set_overcommit(limit);
                }
                5..=10 => self.take()?,
                _ => self.put()?,
            }
            Ok(())
        }
    }

    #[test]
    fn counters_add_up_whatever_happens() -> Result {
        let mut world = World::new()?;
        for _ in 0..100_000 {
            world.step()?;
            assert!(world.pool.check());
            assert_eq!(world.pool.resv().get(), world.promised);
            let total = world.pool.total();
            let used: usize = world.used.iter().sum();
            assert_eq!(total.nr.minus(total.free).get(), used);
        }
        Ok(())
    }

    #[test]
    fn regions_are_what_was_added() -> Result {
        const END: usize = 96;
        let mut numbers = Numbers(2);
        let mut table = KVVec::new();
        table.resize(END, FileRange::default(), GFP_KERNEL)?;
        let mut regions = Regions::new(table);
        let mut model = [false; END];
        for _ in 0..20_000 {
            let first = numbers.below(END);
            let end = first + numbers.below(END - first + 1);
            let range = FileRange { first, end };
            let adds = numbers.below(2) == 0;
            let changed = if adds {
                regions.add(range)
            } else {
                regions.remove(range)
            };
            let mut want = 0;
            for is_in in &mut model[first..end] {
                want += usize::from(*is_in != adds);
                *is_in = adds;
            }
            assert!(changed.is_ok_and(|count| count.get() == want));
            let all = model.iter().filter(|is_in| **is_in).count();
            assert_eq!(regions.count().get(), all);
            let index = numbers.below(END);
            assert_eq!(regions.contains(index), model[index]);
        }
        Ok(())
    }

    /// Around what fits, and around each power of two.
    fn edges() -> impl Iterator<Item = usize> {
        (0..=usize::BITS).flat_map(|bit| {
            let power = 1usize.checked_shl(bit).unwrap_or(0);
            [power.wrapping_sub(1), power, power.wrapping_add(1)]
        })
    }

    #[test]
    fn no_sum_of_offsets_wraps() {
        for size in [HugeSize::Size2M, HugeSize::Size1G] {
            for first in edges() {
                let _ = pages_of_size(first as u64, size);
                assert!(size.round_up(first).is_none_or(|up| up >= first));
                for length in edges() {
                    let bytes = ByteRange {
                        offset: first as u64,
                        length: length as u64,
                    };
                    if let Ok(range) = bytes.check(size) {
                        assert!(
                            range.first <= range.end && range.end <= usize::MAX >> size.shift()
                        );
                    }
                    let request = MapRequest {
                        start: 0,
                        length,
                        base_page_offset: first,
                        shared: true,
                    };
                    if let Ok(range) = request.check(size) {
                        assert!(range.count().get() == length >> size.shift());
                        assert!(range.end <= usize::MAX >> size.shift());
                        assert!(check_end(first, length).is_ok());
                    }
                    let _ = AreaRequest {
                        hint: first,
                        length,
                        fixed: false,
                    }
                    .plan(size);
                }
            }
        }
    }

    #[test]
    fn each_node_has_its_turn() -> Result {
        let mut numbers = Numbers(3);
        for _ in 0..200 {
            let mut set = NodeSet::EMPTY;
            for _ in 0..numbers.below(20) {
                set.insert(NodeId::new(numbers.below(MAX_NODES)).ok_or(EINVAL)?);
            }
            let mut rotation = Rotation::starting_at(NodeId::FIRST);
            let mut seen = NodeSet::EMPTY;
            for _ in 0..set.len() {
                seen.insert(rotation.turn(&set).ok_or(ENOENT)?);
            }
            assert!(seen == set);
            assert!(set.iter().count() == set.len());
        }
        Ok(())
    }

    #[test]
    fn the_scrubber_takes_its_share_and_no_more() -> Result {
        for percent in [1, 10, 50, 99, 100] {
            let share = Percent::new(percent).ok_or(EINVAL)?;
            let mut scrub = Scrub::new();
            let (mut worked, mut rested) = (0u64, 0u64);
            for _ in 0..10_000 {
                match scrub.next(true, share) {
                    scrub::Step::Lend => scrub.lent(8),
                    scrub::Step::Clear => {
                        worked += 50_000;
                        scrub.cleared(50_000);
                    }
                    scrub::Step::End => {}
                    scrub::Step::Rest { nanoseconds } => rested += nanoseconds,
                    scrub::Step::Stop => return Err(EINVAL),
                }
            }
            // Beside what it has not rested for yet.
            let most = (worked + rested) * percent as u64 / 100 + 10_050_000;
            assert!(worked <= most);
            assert!(worked > 0);
        }
        Ok(())
    }
}
