// SPDX-License-Identifier: GPL-2.0

//! Pages that one of the pools missed by chance.
//!
//! A page of 1 GiB is a range of memory that the page allocator makes empty. It cannot while the
//! kernel has a single page of that range in hand: one that somebody just looks at, one on its way
//! from list to list. The pool then takes a page of another node, or has one less, and two runs of
//! hugetlb itself would differ. What the pools do about that cannot be foretold, but whether it was
//! chance can be tried: the operations are done again, from empty pools, and the other pool goes first.
//! So it is the other one that misses a page which the kernel keeps for longer.

use crate::episode::Failure;
use crate::op::Op;

/// How often operations are done again for one verdict.
const TRIES: usize = 4;

/// How often the same difference comes again if it is none by chance.
const AGAIN: usize = 2;

/// In one of how many steps a page may be missed. What is missed more often is so by no chance, even
/// if it comes at another place each time.
const RARELY: usize = 20;

/// So many more, as they need not come evenly.
const AT_ONCE: usize = 2;

/// Whether a failure of pools that have other pages than each other is none of what they do: it did
/// not come again. `again` does the operations from empty pools.
///
/// By chance is what went well once, and what hugetlb itself did in another way when it was done again.
/// Where another page is missed on the way each time, nothing is known, and the difference stays one.
pub fn is_by_chance(
    failure: &Failure,
    mut again: impl FnMut(&[Op]) -> Result<(), Failure>,
) -> bool {
    let mut came_again = 0;
    for _ in 0..TRIES {
        match again(&failure.ops) {
            Ok(()) => return true,
            Err(other) if other == *failure => came_again += 1,
            Err(other) if is_hugetlbs(failure, &other) => return true,
            Err(_) => {}
        }
        if came_again == AGAIN {
            break;
        }
    }
    false
}

/// Whether hugetlb did something else in the second failure, after the same operations.
fn is_hugetlbs(first: &Failure, second: &Failure) -> bool {
    first.ops == second.ops && first.difference.of_hugetlb() != second.difference.of_hugetlb()
}

/// How many may be missed in so many steps.
pub fn most(steps: usize) -> usize {
    AT_ONCE + steps / RARELY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Difference;

    /// The verdict on failure 0 if it is done again with these results, and how often it was.
    fn verdict(results: &[Result<(), usize>]) -> (bool, usize) {
        let failure = |of: usize| Failure {
            ops: vec![Op::Cpu(0)],
            difference: Difference(vec![of.to_string()]),
        };
        let mut left = results.iter();
        let verdict = is_by_chance(&failure(0), |ops| {
            assert_eq!(ops, [Op::Cpu(0)]);
            left.next().unwrap_or(&Err(9)).map_err(failure)
        });
        (verdict, results.len() - left.len())
    }

    #[test]
    fn what_goes_well_once_was_chance() {
        assert_eq!(verdict(&[Ok(())]), (true, 1));
        assert_eq!(verdict(&[Err(0), Ok(())]), (true, 2));
        assert_eq!(verdict(&[Err(1), Err(0), Err(2), Ok(())]), (true, 4));
    }

    #[test]
    fn what_comes_again_was_none() {
        assert_eq!(verdict(&[Err(0), Err(0), Ok(())]), (false, 2));
        assert_eq!(verdict(&[Err(0), Err(1), Err(0), Ok(())]), (false, 3));
        assert_eq!(
            verdict(&[Err(1), Err(2), Err(3), Err(0), Ok(())]),
            (false, 4)
        );
    }

    /// What hugetlb and the module did, after so many operations.
    fn did(ops: usize, hugetlb: &str, ours: &str) -> Failure {
        let lines = [("hugetlb", hugetlb), ("rust_hugetlb", ours)];
        Failure {
            ops: vec![Op::Cpu(0); ops],
            difference: Difference(lines.map(|(name, did)| format!("{name:12} {did}")).into()),
        }
    }

    #[test]
    fn what_hugetlb_does_in_another_way_was_chance() {
        let first = did(3, "a", "b");
        let is_by_chance = |second: &Failure| is_by_chance(&first, |_| Err(second.clone()));
        assert!(is_by_chance(&did(3, "b", "a")));
        assert!(is_by_chance(&did(3, "b", "c")));
        assert!(!is_by_chance(&did(3, "a", "b")));
        assert!(!is_by_chance(&did(3, "a", "c")));
        assert!(!is_by_chance(&did(2, "b", "a")));
    }

    #[test]
    fn few_may_be_missed() {
        assert_eq!([0, 19, 20, 100].map(most), [2, 2, 3, 7]);
    }
}
