// SPDX-License-Identifier: GPL-2.0

//! rust_hugetlb: a second hugetlb for a running x86-64 kernel, as a module.
//!
//! ```text
//! rust_hugetlb          this file: init and exit
//! ├── knobs             sysfs files                      ┐
//! ├── convert           those that change pages' sizes   │
//! ├── huge_file         the object behind one open       │
//! ├── file_size         its size, holes in it            │
//! ├── copy_on_write     its private mappings' faults     │ the shell: locks, and the calls
//! ├── private           a private mapping                │ that join the other two
//! ├── relatives         all of one file                  │
//! ├── retiring          pages on their way back          │
//! ├── charge            what a file is charged for       │
//! ├── hstate            a page size                      │
//! ├── pool, limbo       its free and its pinned pages    │
//! ├── resizing          as many as were asked for        │
//! ├── touches           how many had to be cleared       │
//! ├── files, patrol     its open files, broken pages     │
//! ├── scrubber          clears free pages                │
//! ├── oom               gives them up                    │
//! ├── explain           why a pool does not grow         │
//! ├── demote, promote   pages of another size            │
//! ├── task              what the current task may use    │
//! ├── errno             refusal → errno                  ┘
//! ├── policy            what to do: pure, tested on any machine
//! └── mm                how the kernel does it: the only unsafe code
//! ```
//!
//! Loading, in order: look at the CPU; make an hstate for each size it can map, and fill its pool as
//! the parameters say; mount the internal filesystem; make the files of debugfs and sysfs; register
//! the devices; let users in. Unloading is the same backwards (the order of [`RustHugetlb`]'s
//! fields), and the kernel does not let it begin while a file or mapping of ours exists.

#![deny(unsafe_code)]

use kernel::{c_str, prelude::*, str::CStr, sync::Arc};

#[path = "src/charge.rs"]
mod charge;
#[path = "src/convert.rs"]
mod convert;
#[path = "src/copy_on_write.rs"]
mod copy_on_write;
#[path = "src/demote.rs"]
mod demote;
#[path = "src/errno.rs"]
mod errno;
#[path = "src/explain.rs"]
mod explain;
#[path = "src/file_size.rs"]
mod file_size;
#[path = "src/files.rs"]
mod files;
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
#[path = "src/oom.rs"]
mod oom;
#[path = "src/patrol.rs"]
mod patrol;
#[path = "src/policy/mod.rs"]
pub mod policy;
#[path = "src/pool.rs"]
mod pool;
#[path = "src/private.rs"]
mod private;
#[path = "src/promote.rs"]
mod promote;
#[path = "src/relatives.rs"]
mod relatives;
#[path = "src/resizing.rs"]
mod resizing;
#[path = "src/retiring.rs"]
mod retiring;
#[path = "src/scrubber.rs"]
mod scrubber;
#[path = "src/surplus.rs"]
mod surplus;
#[path = "src/task.rs"]
mod task;
#[path = "src/touches.rs"]
mod touches;

use explain::Maps;
use hstate::Hstate;
use huge_file::{Front, HugeFile};
use knobs::Knobs;
use mm::{chardev::CharDevice, cpu, host::PseudoFs, memory_map::MemoryMap, version::parameter};
use policy::{count::PageCount, size::HugeSize};
use resizing::Extent;

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
        hugepages_1G: usize {
            default: 0,
            description: "1 GiB pages to put into the pool at load",
        },
        overcommit_2M: usize {
            default: 0,
            description: "surplus 2 MiB pages that may be made on demand",
        },
        overcommit_1G: usize {
            default: 0,
            description: "surplus 1 GiB pages that may be made on demand",
        },
        default_1G: u8 {
            default: 0,
            description: "1: /dev/rust_hugetlb has 1 GiB pages instead of 2 MiB pages",
        },
    },
}

type Device = Pin<KBox<CharDevice<HugeFile>>>;

/// The loaded module. Fields are dropped in this order: users first, what they use last.
struct RustHugetlb {
    _devices: KVec<Device>,
    _knobs: Knobs,
    _maps: Maps,
    _fs: Arc<PseudoFs>,
    _hstates: KVec<Arc<Hstate>>,
}

/// What the parameters say of one size.
struct Wanted {
    size: HugeSize,
    name: &'static str,
    /// As in the names of parameters.
    suffix: &'static str,
    device: &'static CStr,
    pages: PageCount,
    overcommit: PageCount,
}

impl kernel::Module for RustHugetlb {
    fn init(module: &'static ThisModule) -> Result<Self> {
        if !cpu::has_pmd_pages() {
            pr_err!("this CPU cannot map 2 MiB pages (no pse): nothing to do, not loaded\n");
            return Err(ENODEV);
        }
        let large = Wanted {
            size: HugeSize::Size2M,
            name: "2 MiB",
            suffix: "2M",
            device: c_str!("rust_hugetlb-2M"),
            pages: PageCount::new(parameter(module_parameters::hugepages_2M.value())),
            overcommit: PageCount::new(parameter(module_parameters::overcommit_2M.value())),
        };
        let gigantic = Wanted {
            size: HugeSize::Size1G,
            name: "1 GiB",
            suffix: "1G",
            device: c_str!("rust_hugetlb-1G"),
            pages: PageCount::new(parameter(module_parameters::hugepages_1G.value())),
            overcommit: PageCount::new(parameter(module_parameters::overcommit_1G.value())),
        };
        let wants_default_1g = parameter::<u8>(module_parameters::default_1G.value()) != 0;
        let has_1g = cpu::has_pud_pages();
        if !has_1g && (wants_default_1g || !gigantic.pages.is_zero()) {
            pr_warn!("this CPU cannot map 1 GiB pages (no pdpe1gb): hugepages_1G and default_1G have no effect\n");
        }

        let map = Arc::pin_init(MemoryMap::new(), GFP_KERNEL)?;
        let mut hstates = KVec::new();
        let mut wanted = KVec::new();
        // The larger pages first: the smaller ones would take memory in pieces.
        if has_1g {
            hstates.push(fill(&gigantic, map.clone())?, GFP_KERNEL)?;
            wanted.push(gigantic, GFP_KERNEL)?;
        }
        hstates.push(fill(&large, map)?, GFP_KERNEL)?;
        wanted.push(large, GFP_KERNEL)?;

        let fs = Arc::new(PseudoFs::mount()?, GFP_KERNEL)?;
        let maps = Maps::create(&hstates, module)?;
        let knobs = Knobs::create(&hstates)?;
        let default = if has_1g && wants_default_1g {
            HugeSize::Size1G
        } else {
            HugeSize::Size2M
        };
        let mut devices: KVec<Device> = KVec::new();
        for (hstate, wanted) in hstates.iter().zip(&wanted) {
            let mut register = |name| -> Result {
                let front = Front {
                    hstate: hstate.clone(),
                    fs: fs.clone(),
                };
                devices.push(CharDevice::register(name, module, front)?, GFP_KERNEL)?;
                Ok(())
            };
            if wanted.size == default {
                register(c_str!("rust_hugetlb"))?;
            }
            register(wanted.device)?;
        }
        for device in &devices {
            device.go_live();
        }
        for (hstate, wanted) in hstates.iter().zip(&wanted) {
            let is_default = wanted.size == default;
            let device = if is_default {
                ", /dev/rust_hugetlb"
            } else {
                ""
            };
            let pages = hstate.pool().counts(None).nr.get();
            pr_info!("{} pages: {} in the pool{}\n", wanted.name, pages, device);
        }
        if !has_1g {
            pr_info!("1 GiB pages: none, the CPU cannot map them (no pdpe1gb)\n");
        }
        Ok(Self {
            _devices: devices,
            _knobs: knobs,
            _maps: maps,
            _fs: fs,
            _hstates: hstates,
        })
    }
}

/// An hstate with as many pages in its pool as are wanted, or as there are.
fn fill(wanted: &Wanted, map: Arc<MemoryMap>) -> Result<Arc<Hstate>> {
    let hstate = Hstate::new(wanted.size, map)?;
    hstate.pool().set_overcommit(wanted.overcommit);
    if wanted.pages.is_zero() {
        return Ok(hstate);
    }
    let got = hstate
        .resize(wanted.pages, Extent::Total(task::memory_nodes()))
        .got;
    if got < wanted.pages {
        pr_warn!(
            "hugepages_{}={}: only {} pages could be had; memory is short or in pieces: free some \
             and write the count to nr_hugepages\n",
            wanted.suffix,
            wanted.pages.get(),
            got.get()
        );
    }
    Ok(hstate)
}
