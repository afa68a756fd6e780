// SPDX-License-Identifier: GPL-2.0

//! What the current task may use of the machine's memory, and would like to: its cpuset and its
//! memory policy (include/linux/mempolicy.h, include/linux/cpuset.h).
//!
//! `get_task_policy` and `huge_node` are not exported; this reads what they read.

use kernel::bindings;

/// Words of a node mask.
const WORDS: usize = bindings::MAX_NUMNODES as usize / usize::BITS as usize;

/// The nodes of a mask, bit by bit.
pub(crate) type NodeMask = [usize; WORDS];

/// `MPOL_…` (include/uapi/linux/mempolicy.h).
pub(crate) const MPOL_PREFERRED: u16 = 1;
/// See [`MPOL_PREFERRED`].
pub(crate) const MPOL_BIND: u16 = 2;
/// See [`MPOL_PREFERRED`].
pub(crate) const MPOL_INTERLEAVE: u16 = 3;
/// See [`MPOL_PREFERRED`].
pub(crate) const MPOL_PREFERRED_MANY: u16 = 5;
/// See [`MPOL_PREFERRED`].
pub(crate) const MPOL_WEIGHTED_INTERLEAVE: u16 = 6;

/// The beginning of `struct mempolicy`, which the bindings do not have.
#[repr(C)]
pub(super) struct RawMemPolicy {
    refcnt: bindings::atomic_t,
    mode: u16,
    flags: u16,
    nodes: bindings::nodemask_t,
    home_node: i32,
}

/// A memory policy, copied.
pub(crate) struct MemPolicy {
    /// `MPOL_…`.
    pub(crate) mode: u16,
    /// Its nodes.
    pub(crate) nodes: NodeMask,
    /// The home node (`set_mempolicy_home_node`).
    pub(crate) home: Option<usize>,
}

impl MemPolicy {
    /// # Safety
    ///
    /// `policy` must be valid and not change meanwhile.
    pub(super) unsafe fn copy(policy: *const RawMemPolicy) -> Self {
        // SAFETY: By the caller's promise.
        let policy = unsafe { &*policy };
        Self {
            mode: policy.mode,
            nodes: policy.nodes.bits,
            home: usize::try_from(policy.home_node).ok(),
        }
    }
}

/// The current task's wishes and limits.
pub(crate) struct Current {
    /// Its memory policy, unless it has the default one.
    pub(crate) policy: Option<MemPolicy>,
    /// The nodes its cpuset lets it use (`cpuset_current_mems_allowed`).
    pub(crate) mems_allowed: NodeMask,
}

/// Whether the current task has the default memory policy, and its cpuset lets it use node `nid`.
/// Takes no lock: nobody but the task itself changes which policy it has, and the page allocator
/// looks at `mems_allowed` in this way, too (`__cpuset_zone_allowed`).
pub(crate) fn is_plain(nid: usize) -> bool {
    // SAFETY: The current task is valid; the word may change as we read it.
    unsafe {
        let task = bindings::get_current();
        let mems: *const usize = (&raw const (*task).mems_allowed.bits).cast();
        let word = nid / usize::BITS as usize;
        (*task).mempolicy.is_null()
            && word < WORDS
            && mems.add(word).read_volatile() & (1 << (nid % usize::BITS as usize)) != 0
    }
}

/// Looks at the current task. Takes its `alloc_lock`.
pub(crate) fn current() -> Current {
    // SAFETY: The current task is valid. Both fields change under its `alloc_lock` only
    // (`do_set_mempolicy`, `cpuset_change_task_nodemask`), and a policy in `mempolicy` is not freed
    // before it is replaced there.
    unsafe {
        let task = bindings::get_current();
        let lock = &raw mut (*task).alloc_lock;
        bindings::spin_lock(lock);
        let policy: *const RawMemPolicy = (*task).mempolicy.cast();
        let this = Current {
            policy: (!policy.is_null()).then(|| MemPolicy::copy(policy)),
            mems_allowed: (*task).mems_allowed.bits,
        };
        bindings::spin_unlock(lock);
        this
    }
}
