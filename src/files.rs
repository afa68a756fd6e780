// SPDX-License-Identifier: GPL-2.0

//! The open files of one size.
//!
//! What leads from a page to those who use it is `folio->mapping`; but from a page alone, without a
//! reference, nobody can go there safely. So whoever has seen that word asks the files whose it is.
//! Only the patrol does.

use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{new_mutex, Arc, Mutex},
};

use crate::huge_file::HugeFile;

/// By address.
type Open = RBTree<usize, Arc<HugeFile>>;

/// All files of a size from open to release.
#[pin_data]
pub(crate) struct Files {
    #[pin]
    open: Mutex<Open>,
    /// Held while one of them is looked at, which may take a while: only releases wait for that.
    #[pin]
    looking: Mutex<()>,
}

impl Files {
    /// None yet. Sleeps.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let files = pin_init!(Self {
            open <- new_mutex!(RBTree::new(), "rust_hugetlb::Files::open"),
            looking <- new_mutex!((), "rust_hugetlb::Files::looking"),
        });
        Arc::pin_init(files, GFP_KERNEL)
    }

    /// Adds a file that is being opened. Sleeps.
    pub(crate) fn add(&self, file: &Arc<HugeFile>) -> Result {
        let node = RBTreeNode::new(key(file), file.clone(), GFP_KERNEL)?;
        let old = self.open.lock().insert(node);
        drop(old);
        Ok(())
    }

    /// Takes a file out that ends, and waits for who looks at one: from then on nobody has it from
    /// here. Sleeps.
    pub(crate) fn remove(&self, file: &HugeFile) {
        let node = self.open.lock().remove_node(&key(file));
        drop(node);
        drop(self.looking.lock());
    }

    /// Whether `which` is true of one of them; asks no more after that. One that is opened meanwhile
    /// may be left out. Sleeps.
    pub(crate) fn any(&self, mut which: impl FnMut(&HugeFile) -> bool) -> bool {
        let mut from = 0;
        loop {
            let looking = self.looking.lock();
            let Some(file) = self.first(from) else {
                return false;
            };
            if which(&file) {
                return true;
            }
            from = key(&file) + 1;
            // Before who releases the file goes on: its last user's end gives its pages back.
            drop(file);
            drop(looking);
        }
    }

    /// The first file from an address on.
    fn first(&self, from: usize) -> Option<Arc<HugeFile>> {
        let open = self.open.lock();
        let cursor = open.cursor_lower_bound(&from)?;
        Some(cursor.current().1.clone())
    }
}

fn key(file: &HugeFile) -> usize {
    core::ptr::from_ref(file).addr()
}
