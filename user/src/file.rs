// SPDX-License-Identifier: GPL-2.0 OR MIT

//! [`HugeFile`]: what has the pages, and what can be asked of it without a mapping.

use std::ffi::{c_int, c_ulong, c_void};
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::{Error, DEVICE_2M};

/// The calls of include/uapi/linux/rust_hugetlb.h.
const TYPE: u32 = 0xE6;
const INFO: c_ulong = libc::_IOR::<Info>(TYPE, 0);
const SET_SIZE: c_ulong = libc::_IOW::<u64>(TYPE, 1);
const PUNCH_HOLE: c_ulong = libc::_IOW::<ByteRange>(TYPE, 2);
const PREALLOCATE: c_ulong = libc::_IOW::<ByteRange>(TYPE, 3);

/// The state of a huge file, in bytes. Others may change it at any moment.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Info {
    /// The size of its pages.
    pub page_size: u64,
    /// Touching a mapping at or past this offset is a `SIGBUS`.
    pub size: u64,
    /// The pages it has. Those that private mappings have of their own are not counted.
    pub allocated: u64,
    /// The pages it has not, and that are promised to it.
    pub reserved: u64,
}

/// `struct rust_hugetlb_range`.
#[repr(C)]
struct ByteRange {
    offset: u64,
    length: u64,
}

impl From<Range<u64>> for ByteRange {
    fn from(range: Range<u64>) -> Self {
        Self {
            offset: range.start,
            // A range that ends before it starts is empty, which the kernel refuses.
            length: range.end.saturating_sub(range.start),
        }
    }
}

/// A huge file: made empty, it grows with its mappings, or as it is told here.
///
/// Offsets and lengths are in bytes and multiples of its page size ([`Info::page_size`]).
/// [`HugeMapping::file`](crate::HugeMapping::file) is the one behind a mapping, and
/// `HugeMapping::from_fd(file.into(), pages)` maps one.
#[derive(Debug)]
pub struct HugeFile(OwnedFd);

impl HugeFile {
    /// Opens [`DEVICE_2M`]: a new, empty file.
    pub fn new() -> Result<Self, Error> {
        Self::open(DEVICE_2M)
    }

    /// Opens the device node `path`: a new, empty file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| {
                Error::from_io(format!("open {}", path.display()), &error, open_remedy)
            })?;
        Ok(Self(file.into()))
    }

    /// The file's size, and the pages it has and may still take.
    pub fn info(&self) -> Result<Info, Error> {
        let mut info = Info::default();
        let argument: *mut Info = &mut info;
        self.ioctl(INFO, argument.cast(), || "ask about the huge file".into())?;
        Ok(info)
    }

    /// Makes the file `bytes` bytes large, as `ftruncate` does.
    ///
    /// Pages past the end go back to the pool, those that private mappings have there too, and
    /// reservations past the end are given up. Touching them is a `SIGBUS` from now on.
    pub fn set_size(&self, mut bytes: u64) -> Result<(), Error> {
        let size = bytes;
        let argument: *mut u64 = &mut bytes;
        self.ioctl(SET_SIZE, argument.cast(), || {
            format!("set the huge file's size to {size}")
        })
    }

    /// Gives the pages of `range` back to the pool, mapped or not, those that private mappings have
    /// there too. The next touch finds zeros, in a page that nobody has promised.
    pub fn punch_hole(&self, range: Range<u64>) -> Result<(), Error> {
        self.change(PUNCH_HOLE, "punch a hole", range)
    }

    /// Takes pages from the pool for what `range` has none for, and makes the file at least as large
    /// as its end. Where the pool has too few it is an error (`ENOSPC`), and those it did get stay.
    pub fn preallocate(&self, range: Range<u64>) -> Result<(), Error> {
        self.change(PREALLOCATE, "preallocate", range)
    }

    fn change(&self, call: c_ulong, what: &str, range: Range<u64>) -> Result<(), Error> {
        let mut bytes = ByteRange::from(range.clone());
        let argument: *mut ByteRange = &mut bytes;
        self.ioctl(call, argument.cast(), || format!("{what} at {range:#x?}"))
    }

    fn ioctl(
        &self,
        call: c_ulong,
        argument: *mut c_void,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        // SAFETY: The kernel reads and writes what the call's number says, and each caller passes a
        // value of that type. A file that is no huge file knows no such call.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), call, argument) } {
            -1 => Err(Error::last(action(), ioctl_remedy)),
            _ => Ok(()),
        }
    }
}

/// A descriptor that another process passed, or a parent left open.
impl From<OwnedFd> for HugeFile {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<HugeFile> for OwnedFd {
    fn from(file: HugeFile) -> Self {
        file.0
    }
}

impl AsFd for HugeFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open_remedy(errno: c_int) -> &'static str {
    match errno {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => "load the module: insmod rust_hugetlb.ko",
        libc::EACCES | libc::EPERM => {
            "run as root, or let your group open the node with the udev rule that comes with the module"
        }
        libc::EMFILE | libc::ENFILE => "close descriptors or raise the limit (ulimit -n)",
        _ => "see open(2)",
    }
}

fn ioctl_remedy(errno: c_int) -> &'static str {
    match errno {
        libc::ENOTTY => "pass a descriptor of the module's device node",
        libc::EBADF => "open the device node for writing",
        libc::EINVAL => "use multiples of the page size, and no empty range",
        libc::EFBIG => "end before 2^63, and within the limit on the size of files (ulimit -f)",
        libc::ENOSPC => {
            "the pool has too few pages that nobody uses or has reserved: write a larger count to /sys/kernel/rust_hugetlb/hugepages-2048kB/nr_hugepages"
        }
        libc::EINTR => "a signal came: call again",
        _ => "see rust_hugetlb.h",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_have_the_numbers_of_the_header() {
        assert_eq!(INFO, 0x8020_e600);
        assert_eq!(SET_SIZE, 0x4008_e601);
        assert_eq!(PUNCH_HOLE, 0x4010_e602);
        assert_eq!(PREALLOCATE, 0x4010_e603);
    }

    #[test]
    fn a_file_of_another_kind_is_an_error_that_says_so() {
        let file = HugeFile::open("/dev/null").unwrap();
        let errors = [
            file.info().map(drop),
            file.set_size(0),
            file.punch_hole(0..1),
            file.preallocate(0..1),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert_eq!(error.errno(), libc::ENOTTY);
            assert!(error
                .to_string()
                .ends_with("pass a descriptor of the module's device node"));
        }
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        let (late, early) = (4 << 20, 2 << 20);
        let range = ByteRange::from(late..early);
        assert_eq!((range.offset, range.length), (late, 0));
    }
}
