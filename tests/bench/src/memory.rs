// SPDX-License-Identifier: GPL-2.0

//! What the kernel keeps to know its pages by.

use std::fs;

use guest::{Check, Fail};

use crate::machine::field;

/// Bytes of a page that is not huge.
const BASE: u64 = 4096;

/// Bytes that the kernel holds for its own objects.
pub struct Kept {
    /// The nodes of its XArrays: those are the page maps of files.
    pub page_maps: u64,
    /// All others, without stacks of kernel threads, which come and go.
    pub others: u64,
}

impl Kept {
    pub fn now() -> Check<Self> {
        // Each processor adds up for itself first.
        fs::write("/proc/sys/vm/stat_refresh", "1")?;
        let kib = |name| -> Check<u64> {
            let value = field("/proc/meminfo", name)?;
            Ok(value.trim_end_matches(" kB").parse()?)
        };
        let mapped = kib("VmallocUsed")?.saturating_sub(kib("KernelStack")?);
        let all = (kib("SUnreclaim")? + kib("SReclaimable")? + mapped) << 10;
        // name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : ... : slabdata
        // <active_slabs> <num_slabs> <sharedavail>
        let caches = fs::read_to_string("/proc/slabinfo")?;
        let nodes = caches
            .lines()
            .find(|line| line.starts_with("radix_tree_node "));
        let fields: Vec<_> = nodes.unwrap_or_default().split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|it| it.parse::<u64>().ok());
        let slabs = number(5).zip(number(14));
        let (pages, slabs) = slabs.ok_or_else(|| Fail("/proc/slabinfo: no XArrays".to_string()))?;
        let page_maps = pages * slabs * BASE;
        Ok(Self {
            page_maps,
            others: all.saturating_sub(page_maps),
        })
    }

    /// By how much there is more now.
    pub fn more(self) -> Check<Self> {
        let now = Self::now()?;
        Ok(Self {
            page_maps: now.page_maps.saturating_sub(self.page_maps),
            others: now.others.saturating_sub(self.others),
        })
    }
}
