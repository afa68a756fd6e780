// SPDX-License-Identifier: GPL-2.0

//! Being asked for memory before the OOM killer kills (include/linux/oom.h).
//!
//! It asks when the whole machine, or what a task's policy leaves of it, has none; not for the limits
//! of a memory cgroup.

use core::pin::Pin;

use kernel::{
    bindings, container_of,
    error::to_result,
    ffi::{c_int, c_ulong, c_void},
    prelude::*,
    types::Opaque,
};

extern "C" {
    // include/linux/oom.h; the bindings of some kernels do not have it.
    fn register_oom_notifier(block: *mut bindings::notifier_block) -> c_int;
    fn unregister_oom_notifier(block: *mut bindings::notifier_block) -> c_int;
}

/// Who may have memory to give.
pub(crate) trait LastResort: Send + Sync + 'static {
    /// Gives some back to the page allocator: how much, in base pages. The kernel holds its `oom_lock`
    /// meanwhile, and who waits for memory waits for that. So this may sleep, but neither allocate nor
    /// wait for anybody who does.
    fn give_up(&self) -> usize;
}

/// Asks its subject, as long as this lives.
///
/// # Invariants
///
/// `block` is registered from initialisation to drop.
#[pin_data(PinnedDrop)]
pub(crate) struct OomNotifier<T: LastResort> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    subject: T,
}

// SAFETY: A notifier may be unregistered on another thread than the one that registered it.
unsafe impl<T: LastResort> Send for OomNotifier<T> {}
// SAFETY: Shared references only read.
unsafe impl<T: LastResort> Sync for OomNotifier<T> {}

impl<T: LastResort> OomNotifier<T> {
    /// Has `subject` asked from now on, before those of a lower priority, and only if nobody before it
    /// had anything to give. ENOMEM. Sleeps.
    pub(crate) fn new(subject: T, priority: i32) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                subject,
                // INVARIANT: Last, so that what could not be registered is never dropped.
                block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                    // SAFETY: The slot may be written to and stays where it is.
                    to_result(unsafe {
                        slot.write(bindings::notifier_block {
                            notifier_call: Some(Self::notice),
                            priority,
                            ..pin_init::zeroed()
                        });
                        register_oom_notifier(slot)
                    })
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// # Safety
    ///
    /// To be called by the OOM killer's notifier chain that `block` is in; `freed` must point to the
    /// base pages (`unsigned long`) that were given up so far.
    unsafe extern "C" fn notice(
        block: *mut bindings::notifier_block,
        _: c_ulong,
        freed: *mut c_void,
    ) -> c_int {
        let block: *mut Opaque<bindings::notifier_block> = block.cast();
        // SAFETY: By the type invariant the block is in a `Self`, which is there while it is
        // registered. The number is on the caller's stack.
        let (this, freed) = unsafe {
            (
                &*container_of!(block, Self, block),
                &mut *freed.cast::<c_ulong>(),
            )
        };
        if *freed == 0 {
            *freed = this.subject.give_up() as c_ulong;
        }
        bindings::NOTIFY_OK as c_int
    }
}

#[pinned_drop]
impl<T: LastResort> PinnedDrop for OomNotifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. Waits for calls under way.
        unsafe { unregister_oom_notifier(self.block.get()) };
    }
}
