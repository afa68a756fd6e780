// SPDX-License-Identifier: GPL-2.0

//! What differs between the supported kernels.
//!
//! `Kbuild` sets `kernel_7_2` and the like from the kernel that is built against.

use core::borrow::Borrow;

use kernel::{bindings, mm::virt::vm_flags_t};

/// A module parameter's value: the accessor returns it, or a reference to it (7.2).
pub(crate) fn parameter<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// The mapping is shared, also where its file was opened read-only. (`flags::MAYSHARE` is VM_MAYEXEC
/// in 7.2: a slip in rust/bindings/bindings_helper.h.)
pub(super) const VM_MAYSHARE: vm_flags_t = 1 << bindings::VMA_MAYSHARE_BIT;

/// `alloc_pages_node`: pages of `1 << order` base pages on `nid`. Null if there are none.
///
/// # Safety
///
/// `nid` must be an online node and `gfp` must suit the context. May sleep.
#[cfg(not(kernel_7_2))]
pub(super) unsafe fn alloc_pages_node(
    gfp: bindings::gfp_t,
    order: u32,
    nid: i32,
) -> *mut bindings::page {
    // SAFETY: The caller's promises are those of the function.
    unsafe { bindings::alloc_pages_node_noprof(nid, gfp, order) }
}

/// `alloc_pages_node`: pages of `1 << order` base pages on `nid`. Null if there are none.
///
/// # Safety
///
/// `nid` must be an online node and `gfp` must suit the context. May sleep.
#[cfg(kernel_7_2)]
pub(super) unsafe fn alloc_pages_node(
    gfp: bindings::gfp_t,
    order: u32,
    nid: i32,
) -> *mut bindings::page {
    // SAFETY: The caller's promises are those of the function; no node mask is a valid argument.
    unsafe { bindings::__alloc_pages_noprof(gfp, order, nid, core::ptr::null_mut()) }
}

/// `cond_resched`: lets others run, where the kernel does not see to that itself.
#[cfg(any(not(CONFIG_PREEMPTION), CONFIG_PREEMPT_DYNAMIC))]
pub(super) fn cond_resched() {
    // SAFETY: Callers may sleep.
    unsafe { bindings::__cond_resched() };
}

/// `cond_resched`: nothing to do, as this kernel can be preempted.
#[cfg(all(CONFIG_PREEMPTION, not(CONFIG_PREEMPT_DYNAMIC)))]
pub(super) fn cond_resched() {}
