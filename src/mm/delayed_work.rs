// SPDX-License-Identifier: GPL-2.0

//! Work to be done a while later, again and again as long as it says so.
//!
//! Why not `kernel::workqueue::DelayedWork`: it cannot be cancelled, and a module must not leave a
//! timer behind (rust/kernel/workqueue.rs is where the cancelling belongs).

use core::ops::Deref;

use kernel::{
    bindings, c_str, container_of, prelude::*, static_lock_class, sync::Arc, time::Jiffies,
    types::Opaque,
};

/// What to do, in process context.
pub(crate) trait Deferred: Send + Sync + 'static {
    /// Does it; says after how long to be called again, if at all.
    fn run(&self) -> Option<Jiffies>;

    /// Near whose memory to do it.
    fn node(&self) -> Option<usize> {
        None
    }
}

/// A `struct delayed_work` around the thing it works on.
///
/// Where the work is to be done near a node, that is a second piece of work: one that is queued from
/// within itself stays with the CPUs it runs on (`__queue_work`).
///
/// # Invariants
///
/// Both are initialised; `work` is run by [`Self::timeout`] only, and `there` by [`Self::arrive`].
#[pin_data(PinnedDrop)]
pub(crate) struct DelayedWork<T: Deferred> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    #[pin]
    there: Opaque<bindings::work_struct>,
    subject: T,
}

// SAFETY: The kernel runs work on any thread, and `T` may be used from any.
unsafe impl<T: Deferred> Send for DelayedWork<T> {}
// SAFETY: As above; queueing is safe from any thread at any time.
unsafe impl<T: Deferred> Sync for DelayedWork<T> {}

impl<T: Deferred> DelayedWork<T> {
    /// Work on `subject`, a while after each [`Self::schedule`]. Sleeps.
    pub(crate) fn new(subject: T) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                    // SAFETY: Initialises the slot it is given, as INIT_DELAYED_WORK does; both
                    // lock classes are static.
                    unsafe {
                        bindings::init_work_with_key(
                            &raw mut (*slot).work,
                            Some(Self::timeout),
                            false,
                            c_str!("rust_hugetlb::delayed_work").as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                        bindings::timer_init_key(
                            &raw mut (*slot).timer,
                            Some(bindings::delayed_work_timer_fn),
                            bindings::TIMER_IRQSAFE,
                            c_str!("rust_hugetlb::delayed_work_timer").as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                    }
                }),
                there <- Opaque::ffi_init(|slot: *mut bindings::work_struct| {
                    // SAFETY: Initialises the slot it is given, as INIT_WORK does; the lock class is
                    // static.
                    unsafe {
                        bindings::init_work_with_key(
                            slot,
                            Some(Self::arrive),
                            false,
                            c_str!("rust_hugetlb::work_on_node").as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                    }
                }),
                subject,
            }),
            GFP_KERNEL,
        )
    }

    /// Sees to it that the work is done after `delay`; nothing new if it is to be done already.
    pub(crate) fn schedule(&self, delay: Jiffies) {
        // SAFETY: The work is initialised, and [`Drop`] waits for it.
        unsafe {
            bindings::queue_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                bindings::system_dfl_wq,
                self.work.get(),
                delay,
            )
        };
    }

    /// Does it, and says when again: not before, whoever has scheduled it meanwhile.
    fn run(&self) {
        if let Some(delay) = self.subject.run() {
            // SAFETY: As in `schedule`.
            unsafe {
                bindings::mod_delayed_work_on(
                    bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                    bindings::system_dfl_wq,
                    self.work.get(),
                    delay,
                )
            };
        }
    }

    /// # Safety
    ///
    /// To be called by the workqueue only, with the `work` of a `Self`.
    unsafe extern "C" fn timeout(work: *mut bindings::work_struct) {
        // SAFETY: By the type invariant, `work` is in a `delayed_work` in a `Self`, which is alive
        // as its `Drop` waits for us.
        let this = unsafe {
            let work = container_of!(work, bindings::delayed_work, work);
            let work: *mut Opaque<bindings::delayed_work> = work.cast();
            &*container_of!(work, Self, work)
        };
        let node = this.subject.node().map(i32::try_from);
        let Some(Ok(node)) = node else {
            this.run();
            return;
        };
        // SAFETY: The work is initialised, and [`Drop`] waits for it; the queue is an unbound one, as
        // it must be for this. A node without a CPU is any node to it.
        unsafe { bindings::queue_work_node(node, bindings::system_dfl_wq, this.there.get()) };
    }

    /// # Safety
    ///
    /// To be called by the workqueue only, with the `there` of a `Self`.
    unsafe extern "C" fn arrive(work: *mut bindings::work_struct) {
        let work: *mut Opaque<bindings::work_struct> = work.cast();
        // SAFETY: By the type invariant, `work` is in a `Self`, which is alive as in `timeout`.
        let this = unsafe { &*container_of!(work, Self, there) };
        this.run();
    }
}

impl<T: Deferred> Deref for DelayedWork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.subject
    }
}

#[pinned_drop]
impl<T: Deferred> PinnedDrop for DelayedWork<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Both are initialised. This waits for a run under way, and nothing queues the first
        // one again; so neither does anything the second, which may queue the first in vain.
        unsafe {
            bindings::disable_delayed_work_sync(self.work.get());
            bindings::disable_work_sync(self.there.get());
        }
    }
}
