// SPDX-License-Identifier: GPL-2.0

//! What an argument may be: what programs use, what lies at an edge, and what makes no sense.

use guest::{GIGANTIC, HUGE};

/// The one of `values` that a number stands for.
pub fn pick<T: Copy>(values: &[T], number: u8) -> T {
    values[usize::from(number) % values.len()]
}

/// Lengths and offsets in bytes.
const SIZES: [u64; 28] = [
    HUGE as u64,
    2 * HUGE as u64,
    3 * HUGE as u64,
    0,
    HUGE as u64,
    4 * HUGE as u64,
    7 * HUGE as u64,
    16 * HUGE as u64,
    1,
    8,
    4096,
    HUGE as u64 - 1,
    HUGE as u64 - 4096,
    HUGE as u64 + 4096,
    3 * HUGE as u64 - 4096,
    GIGANTIC as u64,
    2 * GIGANTIC as u64,
    GIGANTIC as u64 + HUGE as u64,
    GIGANTIC as u64 - HUGE as u64,
    1 << 40,
    (1 << 47) - HUGE as u64,
    1 << 47,
    (1 << 63) - HUGE as u64,
    1 << 63,
    (1 << 63) - 1,
    0u64.wrapping_sub(HUGE as u64),
    0u64.wrapping_sub(4096),
    u64::MAX,
];

pub fn size(number: u8) -> u64 {
    pick(&SIZES, number)
}

/// As [`size`], but mostly whole pages that there are.
pub fn length(number: u8) -> u64 {
    match number {
        0..=159 => (1 + u64::from(number) % 8) * HUGE as u64,
        _ => size(number),
    }
}

/// As [`size`], but mostly the beginning of one of the first pages.
pub fn offset(number: u8) -> u64 {
    match number {
        0..=159 => u64::from(number) % 6 * HUGE as u64,
        _ => size(number),
    }
}

pub const OPEN: [i32; 8] = [
    libc::O_RDWR,
    libc::O_RDWR,
    libc::O_RDWR,
    libc::O_RDONLY,
    libc::O_WRONLY,
    libc::O_RDWR | libc::O_APPEND | libc::O_NONBLOCK,
    libc::O_RDWR | libc::O_DIRECT | libc::O_SYNC,
    libc::O_PATH,
];

pub const DEVICES: [&std::ffi::CStr; 8] = [
    c"/dev/rust_hugetlb",
    c"/dev/rust_hugetlb-2M",
    c"/dev/rust_hugetlb",
    c"/dev/rust_hugetlb",
    c"/dev/rust_hugetlb",
    c"/dev/rust_hugetlb-1G",
    c"/proc/self/fd/3",
    c"/dev/zero",
];

pub const PROTECTIONS: [i32; 8] = [
    libc::PROT_READ | libc::PROT_WRITE,
    libc::PROT_READ | libc::PROT_WRITE,
    libc::PROT_READ | libc::PROT_WRITE,
    libc::PROT_READ,
    libc::PROT_WRITE,
    libc::PROT_NONE,
    libc::PROT_READ | libc::PROT_EXEC,
    libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
];

pub const MAP: [i32; 16] = [
    libc::MAP_SHARED,
    libc::MAP_PRIVATE,
    libc::MAP_SHARED | libc::MAP_NORESERVE,
    libc::MAP_PRIVATE | libc::MAP_NORESERVE,
    libc::MAP_SHARED | libc::MAP_POPULATE,
    libc::MAP_PRIVATE | libc::MAP_POPULATE,
    libc::MAP_SHARED | libc::MAP_FIXED,
    libc::MAP_PRIVATE | libc::MAP_FIXED,
    libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE,
    libc::MAP_SHARED_VALIDATE,
    libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC,
    libc::MAP_SHARED | libc::MAP_LOCKED,
    libc::MAP_PRIVATE | libc::MAP_LOCKED | libc::MAP_NORESERVE,
    libc::MAP_PRIVATE | libc::MAP_GROWSDOWN,
    libc::MAP_SHARED | libc::MAP_HUGETLB,
    libc::MAP_PRIVATE | libc::MAP_32BIT | libc::MAP_NONBLOCK | libc::MAP_POPULATE,
];

/// Advice that damages the guest's memory is not among it.
pub fn advice(number: u8) -> i32 {
    match i32::from(number % 32) {
        advice @ 0..=26 => advice,
        27 => 102,
        _ => libc::MADV_POPULATE_WRITE,
    }
}

/// Texts for a file of the pool: never more pages than a guest has to spare.
pub const TEXTS: [&str; 20] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "8",
    "13",
    "21",
    "30",
    "40",
    "12\n",
    "max",
    "2048kB",
    "",
    "\n",
    " 4",
    "-1",
    "4x",
    "0x10",
    "18446744073709551616",
];

/// Texts for a size in pages of 1 GiB: never more than one of them.
pub const FEW: [&str; 8] = ["1", "0", "1", "1\n", "", "-1", "1x", "18446744073709551616"];

/// Whether that file takes one of [`FEW`].
pub fn is_few(file: &str) -> bool {
    file.contains("hugepages-1048576kB/nr_")
}

/// The files of the pools that are written to, with their folder. The numbers of corpus.txt stand for
/// them by their places.
pub const FILES: [&str; 20] = [
    "hugepages-2048kB/nr_hugepages",
    "hugepages-2048kB/nr_hugepages",
    "hugepages-2048kB/nr_hugepages_mempolicy",
    "hugepages-2048kB/nr_overcommit_hugepages",
    "hugepages-2048kB/nr_overcommit_hugepages",
    "hugepages-2048kB/scrub_percent",
    "hugepages-2048kB/oom_floor",
    "hugepages-2048kB/promote",
    "hugepages-1048576kB/demote",
    "hugepages-1048576kB/demote_size",
    "hugepages-1048576kB/nr_overcommit_hugepages",
    "node0/hugepages-2048kB/nr_hugepages",
    "node1/hugepages-2048kB/nr_hugepages",
    "node0/hugepages-2048kB/promote",
    "node1/hugepages-2048kB/promote",
    "hugepages-1048576kB/nr_hugepages",
    "hugepages-1048576kB/nr_hugepages_mempolicy",
    "node0/hugepages-1048576kB/nr_hugepages",
    "node1/hugepages-1048576kB/nr_hugepages",
    "node1/hugepages-1048576kB/demote",
];

/// Those that are read, by their places as well.
pub const COUNTERS: [&str; 20] = [
    "hugepages-2048kB/nr_hugepages",
    "hugepages-2048kB/free_hugepages",
    "hugepages-2048kB/resv_hugepages",
    "hugepages-2048kB/surplus_hugepages",
    "hugepages-2048kB/pinned_hugepages",
    "hugepages-2048kB/poisoned_hugepages",
    "hugepages-2048kB/zeroed_hugepages",
    "hugepages-2048kB/explain",
    "hugepages-2048kB/can_grow",
    "hugepages-2048kB/promotable_hugepages",
    "hugepages-1048576kB/explain",
    "node0/hugepages-2048kB/free_hugepages",
    "hugepages-1048576kB/nr_hugepages",
    "node1/hugepages-1048576kB/nr_hugepages",
    "node1/hugepages-2048kB/poisoned_hugepages",
    "node0/hugepages-2048kB/can_grow",
    "node1/hugepages-1048576kB/can_grow",
    "node1/hugepages-2048kB/explain",
    "/sys/kernel/debug/rust_hugetlb/hugepages-2048kB",
    "/sys/kernel/debug/rust_hugetlb/hugepages-1048576kB",
];
