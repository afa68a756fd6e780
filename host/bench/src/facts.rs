// SPDX-License-Identifier: GPL-2.0

//! The cases: their names here and in words, and which of them must not depend on a pool's size.

/// A case's name in the samples, and in words; what one operation of it is.
pub const CASES: [(&str, &str); 40] = [
    (
        "touch-zero",
        "first touch of a page from the page allocator (known zero)",
    ),
    ("touch-returned", "first touch of a page just given back"),
    ("touch-scrubbed", "the same, once the scrubber has been by"),
    (
        "touch-private",
        "first touch of a private page (the module's: known zero)",
    ),
    ("touch-mapped", "a touch of a page that is mapped"),
    ("populate", "MAP_POPULATE, per page (the same)"),
    ("grow", "grow the pool, per page"),
    ("give-back", "give the pool back, per page"),
    ("grow-touch", "grow and first touch, per page"),
    ("grow-one", "grow by one page"),
    ("shrink-one", "shrink by one page"),
    ("write-nothing", "write the count that is there"),
    ("mmap", "mmap"),
    ("munmap", "munmap, shared, per page"),
    ("close", "close, back to the pool, per page"),
    ("munmap-close", "munmap and close, shared, per page"),
    (
        "munmap-close-private",
        "munmap and close, private, per page",
    ),
    ("fork-shared", "fork with all pages mapped shared"),
    ("read-nr", "read nr_hugepages"),
    ("read-free", "read free_hugepages"),
    ("read-resv", "read resv_hugepages"),
    ("read-surplus", "read surplus_hugepages"),
    ("touch-1-thread", "first touch by 1 thread, per page"),
    ("touch-2-threads", "first touch by 2 threads, per page"),
    (
        "touch-2-files",
        "the same, each thread in a file of its own",
    ),
    (
        "map-1-thread",
        "touch of what the file has by 1 thread, per page",
    ),
    (
        "map-2-threads",
        "touch of what the file has by 2 threads, per page",
    ),
    ("grow-1-cpu", "grow on 1 CPU, per page"),
    ("grow-2-cpus", "grow on 2 CPUs, per page"),
    ("1G-grow", "1 GiB: grow by one page"),
    ("1G-touch-zero", "1 GiB: first touch of a known-zero page"),
    (
        "1G-touch-returned",
        "1 GiB: first touch of a page just given back",
    ),
    ("1G-munmap-close", "1 GiB: munmap and close"),
    ("1G-demote", "1 GiB: demote one page"),
    ("1G-promote", "1 GiB: promote one page"),
    ("1G-give-back", "1 GiB: give one page back"),
    (
        "bookkeeping",
        "bytes kept for a page beside the page map, all mapped",
    ),
    (
        "page-map",
        "bytes added to page maps for a page, all mapped",
    ),
    ("clear", "clear 2 MiB in a program: one rep stosb"),
    ("instruction", "one instruction of a loop of known length"),
];

/// Those that are bytes, whatever the others of the boot are.
pub const IN_BYTES: [&str; 2] = ["bookkeeping", "page-map"];

/// Those whose cost must not depend on how many pages there are.
pub const FLAT: [&str; 20] = [
    "touch-zero",
    "touch-returned",
    "touch-scrubbed",
    "touch-private",
    "touch-mapped",
    "populate",
    "grow",
    "give-back",
    "grow-one",
    "shrink-one",
    "write-nothing",
    "mmap",
    "munmap",
    "close",
    "munmap-close-private",
    "fork-shared",
    "read-nr",
    "read-free",
    "read-resv",
    "read-surplus",
];

/// A case in words.
pub fn in_words(case: &str) -> &str {
    let found = CASES.iter().find(|(name, _)| *name == case);
    found.map_or(case, |(_, words)| words)
}
