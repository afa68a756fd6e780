// SPDX-License-Identifier: GPL-2.0

//! The open files of one size.
//!
//! Stands for what leads from a page to those who use it, `folio->mapping` and `i_mmap`: from a page
//! alone, without a reference, nobody can go there safely. Only the patrol looks here.

use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{new_mutex, Arc, Mutex},
};

use crate::huge_file::HugeFile;

/// By address.
type Open = RBTree<usize, Arc<HugeFile>>;

/// All files of a size from open to release, each of which waits for who looks at them.
pub(crate) struct Files(Pin<KBox<Mutex<Open>>>);

impl Files {
    /// None yet. Sleeps.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let open = new_mutex!(RBTree::new(), "rust_hugetlb::Files");
        let this = Self(KBox::pin_init(open, GFP_KERNEL)?);
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    /// Adds a file that is being opened. Sleeps.
    pub(crate) fn add(&self, file: &Arc<HugeFile>) -> Result {
        let node = RBTreeNode::new(key(file), file.clone(), GFP_KERNEL)?;
        let old = self.0.lock().insert(node);
        drop(old);
        Ok(())
    }

    /// Takes a file out that ends. Sleeps.
    pub(crate) fn remove(&self, file: &HugeFile) {
        let node = self.0.lock().remove_node(&key(file));
        drop(node);
    }

    /// Whether `which` is true of one of them; asks no more after that. Sleeps.
    pub(crate) fn any(&self, which: impl FnMut(&Arc<HugeFile>) -> bool) -> bool {
        self.0.lock().values().any(which)
    }
}

fn key(file: &HugeFile) -> usize {
    core::ptr::from_ref(file).addr()
}
