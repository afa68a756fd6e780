// SPDX-License-Identifier: GPL-2.0

//! rust_hugetlb: a second hugetlb for a running x86-64 kernel, as a module.
//!
//! ```text
//! rust_hugetlb          this file: init and exit
//! ├── knobs             sysfs files                      ┐
//! ├── huge_file         the object behind one open       │
//! ├── file_size         its size, holes in it            │
//! ├── copy_on_write     its private mappings' faults     │ the shell: locks, and the calls
//! ├── private           a private mapping                │ that join the other two
//! ├── relatives         all of one file                  │
//! ├── charge            what a file is charged for       │
//! ├── hstate            a page size                      │
//! ├── pool, limbo       its free and its pinned pages    │
//! ├── task              what the current task may use    │
//! ├── errno             refusal → errno                  ┘
//! ├── policy            what to do: pure, tested on any machine
//! └── mm                how the kernel does it: the only unsafe code
//! ```
//!
//! Loading, in order: look at the CPU; make the hstate; fill its pool as the parameters say; mount
//! the internal filesystem; make the sysfs files; register the devices; let users in. Unloading is
//! the same backwards (the order of [`RustHugetlb`]'s fields), and the kernel does not let it begin
//! while a file or mapping of ours exists.

#![deny(unsafe_code)]

use kernel::{c_str, prelude::*, sync::Arc};

#[path = "src/charge.rs"]
mod charge;
#[path = "src/copy_on_write.rs"]
mod copy_on_write;
#[path = "src/errno.rs"]
mod errno;
#[path = "src/file_size.rs"]
mod file_size;
#[path = "src/hstate.rs"]
mod hstate;
#[path = "src/huge_file.rs"]
mod huge_file;
#[path = "src/knobs.rs"]
mod knobs;
#[path = "src/limbo.rs"]
mod limbo;
#[path = "src/mm/mod.rs"]
mod mm;
#[path = "src/policy/mod.rs"]
pub mod policy;
#[path = "src/pool.rs"]
mod pool;
#[path = "src/private.rs"]
mod private;
#[path = "src/relatives.rs"]
mod relatives;
#[path = "src/task.rs"]
mod task;

use hstate::Hstate;
use huge_file::{Front, HugeFile};
use knobs::Knobs;
use mm::{chardev::CharDevice, cpu, host::PseudoFs, version::parameter};
use policy::{count::PageCount, size::HugeSize};
use pool::Extent;

module! {
    type: RustHugetlb,
    name: "rust_hugetlb",
    authors: ["The rust_hugetlb authors"],
    description: "A second hugetlb: pools of huge pages, mapped through a device node",
    license: "GPL",
    params: {
        hugepages_2M: usize {
            default: 0,
            description: "2 MiB pages to put into the pool at load",
        },
        overcommit_2M: usize {
            default: 0,
            description: "surplus 2 MiB pages that may be made on demand",
        },
    },
}

/// The loaded module. Fields are dropped in this order: users first, what they use last.
struct RustHugetlb {
    _sized_device: Pin<KBox<CharDevice<HugeFile>>>,
    _default_device: Pin<KBox<CharDevice<HugeFile>>>,
    _knobs: Knobs,
    _fs: Arc<PseudoFs>,
    _hstate: Arc<Hstate>,
}

impl kernel::Module for RustHugetlb {
    fn init(module: &'static ThisModule) -> Result<Self> {
        if !cpu::has_pmd_pages() {
            pr_err!("this CPU cannot map 2 MiB pages (no pse): nothing to do, not loaded\n");
            return Err(ENODEV);
        }
        let hstate = Hstate::new(HugeSize::Size2M)?;
        let asked = parameter(module_parameters::hugepages_2M.value());
        fill(&hstate, PageCount::new(asked));
        let limit = parameter(module_parameters::overcommit_2M.value());
        hstate.pool().set_overcommit(PageCount::new(limit));

        let fs = Arc::new(PseudoFs::mount()?, GFP_KERNEL)?;
        let knobs = Knobs::create(core::slice::from_ref(&hstate))?;
        let front = || Front {
            hstate: hstate.clone(),
            fs: fs.clone(),
        };
        let default_device = CharDevice::register(c_str!("rust_hugetlb"), module, front())?;
        let sized_device = CharDevice::register(c_str!("rust_hugetlb-2M"), module, front())?;
        default_device.go_live();
        sized_device.go_live();

        pr_info!(
            "2 MiB pages: {} in the pool, /dev/rust_hugetlb\n",
            hstate.pool().counts(None).nr.get()
        );
        pr_info!(
            "1 GiB pages: {}\n",
            if cpu::has_pud_pages() {
                "the CPU can map them (pdpe1gb), this version of the module does not"
            } else {
                "the CPU cannot map them (no pdpe1gb)"
            }
        );
        Ok(Self {
            _sized_device: sized_device,
            _default_device: default_device,
            _knobs: knobs,
            _fs: fs,
            _hstate: hstate,
        })
    }
}

/// Puts `asked` pages into the pool, or as many as there are.
fn fill(hstate: &Hstate, asked: PageCount) {
    if asked.is_zero() {
        return;
    }
    hstate
        .pool()
        .resize(asked, Extent::Total(task::memory_nodes()));
    let got = hstate.pool().counts(None).nr;
    if got < asked {
        pr_warn!(
            "hugepages_2M={}: only {} pages of 2 MiB could be had; memory is short or in pieces: \
             free some and write the count to nr_hugepages\n",
            asked.get(),
            got.get()
        );
    }
}
