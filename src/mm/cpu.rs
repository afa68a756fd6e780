// SPDX-License-Identifier: GPL-2.0

//! What the CPU can map (`boot_cpu_has`, arch/x86/include/asm/cpufeature.h), and how many there are.

use kernel::bindings;

/// Whether page tables can map 2 MiB with one entry (`pse`).
pub(crate) fn has_pmd_pages() -> bool {
    has(bindings::X86_FEATURE_PSE)
}

/// Whether page tables can map 1 GiB with one entry (`pdpe1gb`).
pub(crate) fn has_pud_pages() -> bool {
    has(bindings::X86_FEATURE_GBPAGES)
}

/// How many CPUs are online (`num_online_cpus`, include/linux/cpumask.h); outdated at once.
pub(crate) fn online() -> usize {
    // SAFETY: An integer that hotplug alone changes, as the kernel's own readers have it.
    let number = unsafe { (&raw const bindings::__num_online_cpus.counter).read_volatile() };
    usize::try_from(number).unwrap_or(1)
}

fn has(feature: u32) -> bool {
    // SAFETY: Once booted, nobody writes the boot CPU's capabilities; the words are plain integers.
    let words = unsafe { bindings::boot_cpu_data.__bindgen_anon_3.x86_capability };
    words
        .get((feature / u32::BITS) as usize)
        .is_some_and(|word| word & (1 << (feature % u32::BITS)) != 0)
}
