// SPDX-License-Identifier: GPL-2.0

//! The private mappings of a file.
//!
//! Stands for the part of `i_mmap` that `unmap_ref_private` and `hugetlb_vmdelete_list` walk. A
//! mapping is here from before its first VMA is linked there until after its last one is not any
//! more, and has its pages for as long. Where the order matters, or the VMA, `i_mmap` is asked.

use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{new_mutex, Arc, Mutex},
};

use crate::{
    mm::{fault_lock::FaultLock, private_page::PrivatePage},
    private::Private,
};

/// By serial.
type Mappings = RBTree<usize, Arc<Private>>;

/// All private mappings of one file.
pub(crate) struct Relatives(Pin<KBox<Mutex<Mappings>>>);

impl Relatives {
    /// None yet. Sleeps.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::pin_init(
            new_mutex!(RBTree::new(), "rust_hugetlb::Relatives"),
            GFP_KERNEL,
        )?))
    }

    /// Adds a mapping. Sleeps.
    pub(crate) fn add(&self, private: &Arc<Private>) -> Result {
        let node = RBTreeNode::new(private.serial(), private.clone(), GFP_KERNEL)?;
        let old = self.0.lock().insert(node);
        drop(old);
        Ok(())
    }

    /// Takes a mapping out that ends. Sleeps.
    pub(crate) fn remove(&self, private: &Private) {
        let node = self.0.lock().remove_node(&private.serial());
        drop(node);
    }

    /// The lowest index at `from` or after it where one of them has a page. Sleeps.
    pub(crate) fn next_page(&self, from: usize) -> Option<usize> {
        let mappings = self.0.lock();
        mappings
            .values()
            .filter_map(|private| private.pages.next(from))
            .min()
    }

    /// The mapping with this serial, if it has not ended. Sleeps.
    pub(crate) fn get(&self, serial: usize) -> Option<Arc<Private>> {
        self.0.lock().get(&serial).cloned()
    }

    /// Shows `see` all of them. Sleeps.
    pub(crate) fn each(&self, see: impl FnMut(&Arc<Private>)) {
        self.0.lock().values().for_each(see);
    }

    /// Takes the page at the locked index from each mapping that has one and of which `which` is
    /// true, and hands it to `taken`. Sleeps.
    pub(crate) fn take_pages(
        &self,
        lock: &mut FaultLock<'_>,
        which: impl Fn(&Private, &FaultLock<'_>) -> bool,
        mut taken: impl FnMut(&Private, PrivatePage),
    ) {
        let mappings = self.0.lock();
        for private in mappings.values() {
            if !which(private, lock) {
                continue;
            }
            if let Some(page) = private.pages.remove(lock) {
                taken(private, page);
            }
        }
    }
}
