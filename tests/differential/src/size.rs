// SPDX-License-Identifier: GPL-2.0

//! The pages that the program is about: of 2 MiB, or of 1 GiB if it is built with the feature
//! `gigantic`. Of these a guest has few, and what does not fit must not be tried: there two runs of
//! hugetlb itself would differ.

/// What depends on the size.
struct Size {
    bytes: usize,
    folder: &'static str,
    memfd: libc::c_uint,
    device: &'static str,
    most: u64,
    file_pages: usize,
    episode: usize,
}

const SIZE: Size = if cfg!(feature = "gigantic") {
    Size {
        bytes: 1 << 30,
        folder: "hugepages-1048576kB",
        memfd: libc::MFD_HUGE_1GB,
        device: "/dev/rust_hugetlb-1G",
        most: 3,
        file_pages: 4,
        episode: 100,
    }
} else {
    Size {
        bytes: 2 << 20,
        folder: "hugepages-2048kB",
        memfd: libc::MFD_HUGE_2MB,
        device: "/dev/rust_hugetlb",
        most: 48,
        file_pages: 12,
        episode: 250,
    }
};

/// Bytes of one huge page.
pub const HUGE: usize = SIZE.bytes;

/// The name of the pool's folders in sysfs.
pub const FOLDER: &str = SIZE.folder;

/// The size, to memfd_create.
pub const MEMFD: libc::c_uint = SIZE.memfd;

/// The module's device.
pub const DEVICE: &str = SIZE.device;

/// The largest size that random operations give a pool.
pub const MOST: u64 = SIZE.most;

/// The pages of a file that their mappings begin and end within.
pub const FILE_PAGES: usize = SIZE.file_pages;

/// Whether mappings may be private.
pub const HAS_PRIVATE: bool = !cfg!(feature = "gigantic");

/// Whether there is memory for all pages that may be asked for, however high the limit.
pub const IS_PLENTY: bool = !cfg!(feature = "gigantic");

/// Steps from one reset to the next. What fails is searched for in so many, and done again in so
/// many where it may be by chance.
pub const EPISODE: usize = SIZE.episode;

/// Whether a pool can fail to get a page that there is memory for: see [`crate::miss`].
pub const MAY_MISS: bool = cfg!(feature = "gigantic");
