// SPDX-License-Identifier: GPL-2.0

//! The private mappings of a file.
//!
//! Stands for the part of `i_mmap` that `unmap_ref_private` and `hugetlb_vmdelete_list` walk. A
//! mapping is here from before its first VMA is linked until after its last one is not any more, and
//! keeps its pages for as long; the order, and the VMAs, come from `i_mmap`.

use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{new_mutex, Arc, Mutex},
};

use crate::{
    mm::{fault_lock::FaultLock, private_page::PrivatePage},
    policy::range::FileRange,
    private::Private,
};

/// What is linked in `i_mmap` for one page: the mapping's serial, and the range of its VMA.
type Linked = (usize, FileRange);

/// At one index a mapping has two VMAs at most, while one is moved.
const MOST_LINKED: usize = 2;

struct Mappings {
    by_serial: RBTree<usize, Arc<Private>>,
    /// How many.
    count: usize,
    /// Empty; with room for all, as it is filled where memory cannot be waited for.
    linked: KVVec<Linked>,
}

/// All private mappings of one file.
pub(crate) struct Relatives(Pin<KBox<Mutex<Mappings>>>);

impl Relatives {
    /// None yet. Sleeps.
    pub(crate) fn new() -> Result<Self> {
        let mappings = Mappings {
            by_serial: RBTree::new(),
            count: 0,
            linked: KVVec::new(),
        };
        Ok(Self(KBox::pin_init(
            new_mutex!(mappings, "rust_hugetlb::Relatives"),
            GFP_KERNEL,
        )?))
    }

    /// Adds a mapping. Sleeps.
    pub(crate) fn add(&self, private: &Arc<Private>) -> Result {
        let node = RBTreeNode::new(private.serial(), private.clone(), GFP_KERNEL)?;
        let mut mappings = self.0.lock();
        let count = mappings.count + 1;
        mappings
            .linked
            .reserve(count.saturating_mul(MOST_LINKED), GFP_KERNEL)?;
        mappings.count = count;
        let old = mappings.by_serial.insert(node);
        drop(mappings);
        drop(old);
        Ok(())
    }

    /// Takes a mapping out that ends. Sleeps.
    pub(crate) fn remove(&self, private: &Private) {
        let mut mappings = self.0.lock();
        let node = mappings.by_serial.remove_node(&private.serial());
        if node.is_some() {
            mappings.count -= 1;
        }
        drop(mappings);
        drop(node);
    }

    /// The lowest index at `from` or after it where one of them has a page. Sleeps.
    pub(crate) fn next_page(&self, from: usize) -> Option<usize> {
        let mappings = self.0.lock();
        mappings
            .by_serial
            .values()
            .filter_map(|private| private.pages.next(from))
            .min()
    }

    /// Shows `see` all of them. Sleeps.
    pub(crate) fn each(&self, see: impl FnMut(&Arc<Private>)) {
        self.0.lock().by_serial.values().for_each(see);
    }

    /// Takes the page at the locked index from each mapping that has one and of which `which` is
    /// true, and hands it to `taken`, with the range of the VMA that has it. `in_order` shows those
    /// that are linked there. Sleeps.
    pub(crate) fn take_pages(
        &self,
        lock: &mut FaultLock<'_>,
        in_order: impl FnOnce(&mut dyn FnMut(&Private, FileRange)),
        which: impl Fn(&Private, &FaultLock<'_>) -> bool,
        mut taken: impl FnMut(&Private, FileRange, PrivatePage),
    ) {
        let mut mappings = self.0.lock();
        let Mappings {
            by_serial, linked, ..
        } = &mut *mappings;
        in_order(&mut |private, range| {
            // What does not fit is found among the rest.
            let _ = linked.push_within_capacity((private.serial(), range));
        });
        let mut take = |private: &Private, vma| {
            if which(private, lock) {
                if let Some(page) = private.pages.remove(lock) {
                    taken(private, vma, page);
                }
            }
        };
        for (serial, vma) in linked.iter() {
            if let Some(private) = by_serial.get(serial) {
                take(private, *vma);
            }
        }
        linked.clear();
        // The rest: of a child that is being forked, or of a task that ends.
        for private in by_serial.values() {
            take(private, FileRange::from(0));
        }
    }
}
