// SPDX-License-Identifier: GPL-2.0

//! The policy of rust_hugetlb tested inside a kernel (KUnit), with the kernel's own tables and with
//! what a debug kernel checks of each access and sum. Loading this module runs the tests; what they
//! say is in the kernel log. What policy decides is tested on the host; here it is enough that it
//! never breaks its invariants.

use kernel::prelude::*;

#[path = "../../src/policy/mod.rs"]
pub mod policy;
mod world;

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

#[kunit_tests(rust_hugetlb_policy)]
mod tests {
    use kernel::alloc::{KVVec, KVec};

    use super::policy::{
        count::PageCount,
        coverage::{Coverage, Release},
        demote::{self, Demote},
        node::{NodeId, NodeSet, Rotation, MAX_NODES},
        oom::GiveUp,
        private::{Action, Own, View},
        promote::{self, Promote},
        range::{check_end, pages_of_size, AreaRequest, ByteRange, FileRange, MapRequest},
        regions::Regions,
        scrub::{self, Percent, Scrub},
        size::HugeSize,
    };
    use super::world::{all_nodes, Nodes, Numbers, World, NODES};
    use super::*;

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

    /// Base pages of a large page, if a small one is one.
    const PIECES: PageCount = PageCount::new(8);

    /// Splits large pages, each fourth of which somebody looks at.
    fn demote(large: &mut Nodes, small: &mut Nodes, numbers: &mut Numbers) -> Result {
        let count = PageCount::new(numbers.below(4));
        let mut demote = Demote::of_total(count, PIECES, all_nodes());
        let mut apart = KVec::new();
        while let demote::Step::Split { node } = demote.next(large) {
            if numbers.below(4) == 0 {
                demote.failed();
                apart.push(node, GFP_KERNEL)?;
            } else {
                demote.split(node, large, small);
            }
            assert!(large.check() && small.check());
        }
        for node in apart {
            demote.put_back(node, large);
        }
        Ok(())
    }

    /// Merges small pages likewise, as if all free ones lay side by side.
    fn promote(large: &mut Nodes, small: &mut Nodes, numbers: &mut Numbers) -> Result {
        let count = PageCount::new(numbers.below(4));
        let mut promote = Promote::to_total(count, PIECES, all_nodes());
        let mut apart = KVec::new();
        loop {
            let mut whole = [PageCount::ZERO; NODES];
            for (number, whole) in whole.iter_mut().enumerate() {
                let node = NodeId::new(number).ok_or(EINVAL)?;
                *whole = small.on(node).free.over(PIECES);
            }
            let promote::Step::Merge { node } = promote.next(small, |node| whole[node.index()])
            else {
                break;
            };
            if numbers.below(4) == 0 {
                promote.failed();
                apart.push(node, GFP_KERNEL)?;
            } else {
                promote.merged(node, large, small);
            }
            assert!(large.check() && small.check());
        }
        for node in apart {
            promote.put_back(node, small);
        }
        Ok(())
    }

    #[test]
    fn no_memory_is_lost_between_two_sizes() -> Result {
        let (mut small, mut large) = (World::new()?, World::new()?);
        let mut numbers = Numbers(4);
        let mut changed = 0;
        for _ in 0..5_000 {
            small.step()?;
            large.step()?;
            let memory = |small: &Nodes, large: &Nodes| {
                let (small, large) = (small.total(), large.total());
                let pieces = PIECES.get() * large.nr.get();
                let used = [small, large].map(|size| size.nr.minus(size.free));
                (small.nr.get() + pieces, used)
            };
            let before = memory(&small.pool, &large.pool);
            let was = large.pool.total().nr;
            if numbers.below(2) == 0 {
                demote(&mut large.pool, &mut small.pool, &mut numbers)?;
            } else {
                promote(&mut large.pool, &mut small.pool, &mut numbers)?;
            }
            assert!(memory(&small.pool, &large.pool) == before);
            changed += usize::from(large.pool.total().nr != was);
        }
        assert!(changed > 0);
        Ok(())
    }

    #[test]
    fn what_is_promised_outlives_a_lack_of_memory() -> Result {
        let mut world = World::new()?;
        let mut given_up = 0;
        for _ in 0..20_000 {
            world.step()?;
            let floor = PageCount::new(world.numbers.below(40));
            let mut give_up = GiveUp::new(HugeSize::Size2M);
            while give_up.next(floor, &all_nodes(), &mut world.pool).is_some() {
                given_up += 1;
                let total = world.pool.total();
                assert!(total.nr >= floor && total.free >= world.pool.resv());
                assert!(world.pool.check());
            }
            assert_eq!(world.pool.resv().get(), world.promised);
        }
        assert!(given_up > 0);
        Ok(())
    }

    #[test]
    fn faults_of_private_mappings() {
        for own in [Own::Absent, Own::Exclusive, Own::Shared] {
            for bits in 0..32 {
                let has = |bit: u32| bits & (1 << bit) != 0;
                let view = View {
                    own,
                    in_file: has(0),
                    in_size: has(1),
                    robbed: has(2),
                    owner: has(3),
                };
                let wants_own = has(4);
                let has_own = own != Own::Absent;
                match view.decide(wants_own) {
                    Action::MapOwn => assert!(own == Own::Exclusive || has_own && !wants_own),
                    Action::CopyShared { may_rob } => {
                        assert!(own == Own::Shared && wants_own && may_rob == view.owner);
                    }
                    Action::MapFile => assert!(view.in_file && !wants_own && !has_own),
                    Action::CopyFile => assert!(view.in_file && wants_own && !has_own),
                    Action::Fresh => assert!(view.in_size && !view.in_file && !has_own),
                    Action::Refuse => assert!(!has_own && (view.robbed || !view.in_file)),
                }
            }
        }
    }

    /// VMAs of a private mapping that are split, moved and unmapped.
    #[test]
    fn what_no_vma_has_any_more_is_released() -> Result {
        const END: usize = 32;
        let mut numbers = Numbers(5);
        for _ in 0..500 {
            let mut table = KVVec::new();
            table.resize(4 * END, FileRange::default(), GFP_KERNEL)?;
            let mut coverage = Coverage::new(table);
            let mut vmas = KVec::new();
            vmas.push(FileRange { first: 0, end: END }, GFP_KERNEL)?;
            let mut released = [false; END];
            while let Some(last) = vmas.pop() {
                let vma = if vmas.is_empty() {
                    last
                } else {
                    let number = numbers.below(vmas.len());
                    core::mem::replace(&mut vmas[number], last)
                };
                if vma.end - vma.first > 1 && numbers.below(2) == 0 {
                    let middle = vma.first + 1 + numbers.below(vma.end - vma.first - 1);
                    coverage.split();
                    for (first, end) in [(vma.first, middle), (middle, vma.end)] {
                        vmas.push(FileRange { first, end }, GFP_KERNEL)?;
                    }
                    continue;
                }
                if numbers.below(2) == 0 {
                    coverage.moved(vma);
                    assert!(coverage.closed(vma) == Release::Nothing);
                }
                match coverage.closed(vma) {
                    Release::Range(range) => {
                        for (index, released) in released.iter_mut().enumerate() {
                            let is_in = (range.first..range.end).contains(&index);
                            assert!(!is_in || !*released);
                            *released |= is_in;
                        }
                        for vma in &vmas {
                            assert!(vma.end <= range.first || range.end <= vma.first);
                        }
                    }
                    Release::All => assert!(vmas.is_empty() && coverage.is_over()),
                    Release::Nothing => return Err(EINVAL),
                }
            }
            assert!(coverage.is_over());
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
