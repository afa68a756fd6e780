// SPDX-License-Identifier: GPL-2.0

//! O_DIRECT: the disk reads from and writes to the pages themselves.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use guest::kind::{beside_both, Kind};
use guest::map::{Map, Request, NONE};
use guest::{call, check, same, Check, Errno, Fail, HUGE};

use crate::others;

const MOUNT: &str = "/tmp/disk";
const DEVICE: &str = "/dev/nvme0n1";

/// What is on the disk, and what is in memory.
pub const DISKS: u64 = 0xd15c_d15c_d15c_d15c;
const MEMORYS: u64 = 0x3333_2222_1111_0000;

/// The disk, mounted until this is dropped.
#[must_use]
pub struct Disk(CString);

impl Disk {
    pub fn mount() -> Check<Self> {
        fs::create_dir_all(MOUNT)?;
        let target = CString::new(MOUNT)?;
        let device = CString::new(DEVICE)?;
        // SAFETY: All are C strings, and ext4 needs no data.
        call(unsafe {
            libc::mount(
                device.as_ptr(),
                target.as_ptr(),
                c"ext4".as_ptr(),
                0,
                std::ptr::null(),
            )
        })?;
        Ok(Self(target))
    }

    /// A new file of `pages` huge pages, every word of it [`DISKS`], open for O_DIRECT.
    pub fn file(&self, pages: usize) -> Check<File> {
        let path = format!("{MOUNT}/file");
        fs::write(&path, DISKS.to_ne_bytes().repeat(pages * HUGE / 8))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)?;
        file.sync_all()?;
        // It knows where its blocks are, from here on.
        let map = Map::anonymous(pages)?;
        same!(read(&file, &map, 0, map.bytes(), 0)?, map.bytes(), "bytes");
        Ok(file)
    }

    /// The words of the file, by way of the page cache.
    fn words(&self) -> Check<Vec<u64>> {
        let bytes = fs::read(format!("{MOUNT}/file"))?;
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        Ok(bytes.chunks_exact(8).map(word).collect())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What a failed test still has open goes with its process. What fails here fails the next
        // test, which cannot mount.
        // SAFETY: It is a C string.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

/// The disk itself, open for O_DIRECT, while it is not mounted.
pub fn whole() -> Check<File> {
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(DEVICE)?)
}

/// pread into a mapping.
pub fn read(
    file: &File,
    map: &Map,
    offset: usize,
    bytes: usize,
    from: usize,
) -> Result<usize, Errno> {
    let base = map.base().wrapping_add(offset);
    // SAFETY: The range lies in the mapping, whose accesses are volatile; what is not mapped is
    // EFAULT.
    let length = unsafe { libc::pread(file.as_raw_fd(), base.cast(), bytes, from as i64) };
    Ok(call(length as i64)? as usize)
}

/// pwrite from a mapping.
fn write(file: &File, map: &Map, offset: usize, bytes: usize, to: usize) -> Result<usize, Errno> {
    let base = map.base().wrapping_add(offset);
    // SAFETY: As in `read`.
    let length = unsafe { libc::pwrite(file.as_raw_fd(), base.cast(), bytes, to as i64) };
    Ok(call(length as i64)? as usize)
}

pub fn what_is_written_is_read() -> Check {
    let disk = Disk::mount()?;
    beside_both(4, |side, kind| {
        let file = disk.file(2)?;
        let map = kind.pages(3).map(&side.open()?)?;
        map.fill(0, MEMORYS);
        map.fill(1, MEMORYS + 1);
        same!(write(&file, &map, 0, 2 * HUGE, 0), Ok(2 * HUGE), "pwrite");
        let words = disk.words()?;
        let (first, second) = words.split_at(HUGE / 8);
        check!(first.iter().all(|&word| word == MEMORYS), "page 0 on disk");
        check!(
            second.iter().all(|&word| word == MEMORYS + 1),
            "page 1 on disk"
        );
        // Into pages that hold something else, and into one that was not touched.
        same!(read(&file, &map, HUGE, 2 * HUGE, 0), Ok(2 * HUGE), "pread");
        for (page, stamp) in [(0, MEMORYS), (1, MEMORYS), (2, MEMORYS + 1)] {
            map.holds(page, stamp)?;
        }
        side.counts("in the end", (4, 1, 0, 0))?;
        drop(map);
        others::settles(side, "unmapped", (4, 4, 0, 0), 0)
    })
}

pub fn where_there_is_no_page() -> Check {
    let disk = Disk::mount()?;
    beside_both(1, |side, kind| {
        let file = disk.file(2)?;
        let map = kind.pages(2).unreserved().map(&side.open()?)?;
        map.fill(0, MEMORYS);
        side.note("read into no page", read(&file, &map, HUGE, HUGE, 0));
        side.note("write of no page", write(&file, &map, HUGE, HUGE, 0));
        side.note(
            "read into one page and none",
            read(&file, &map, 0, 2 * HUGE, 0),
        );
        let unmapped = map.bytes();
        side.note("read into no mapping", read(&file, &map, unmapped, 512, 0));
        map.protect(0, HUGE, guest::map::READ)?;
        side.note("read into a read-only page", read(&file, &map, 0, HUGE, 0));
        side.note("write of a read-only page", write(&file, &map, 0, HUGE, 0));
        others::settles(side, "after all", (1, 0, 0, 0), 0)
    })
}

pub fn pages_that_were_not_touched() -> Check {
    let disk = Disk::mount()?;
    beside_both(6, |side, kind| {
        let file = disk.file(1)?;
        let open = side.open()?;
        let shared = Kind::Shared.pages(1).map(&open)?;
        shared.fill(0, MEMORYS);
        let map = kind.pages(3).map(&open)?;
        // The file's page, which a private mapping shares to read; a hole.
        for page in 0..2 {
            same!(write(&file, &map, page * HUGE, HUGE, 0), Ok(HUGE), "pwrite");
            let want = if page == 0 { MEMORYS } else { 0 };
            check!(
                disk.words()?.iter().all(|&word| word == want),
                "page {page}"
            );
            side.note_counts(format!("page {page} written to the disk"))?;
        }
        same!(read(&file, &map, 0, HUGE, 0), Ok(HUGE), "pread");
        map.holds(0, 0)?;
        let want = if kind == Kind::Shared { 0 } else { MEMORYS };
        shared.holds(0, want)?;
        side.note_counts("page 0 read from the disk")
    })
}

/// Takes a mapping out by putting nothing in its place, so that no other one comes to lie there.
fn nothing_over(map: &Map) -> Result<Map, Errno> {
    let request = Request {
        address: map.base(),
        protection: NONE,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
        ..Request::pages(map.pages())
    };
    request.map_fd(-1)
}

const ROUNDS: usize = 30;

/// A thread reads from the disk into a page, which goes away meanwhile; others get pages at once.
pub fn pages_taken_away_while_they_are_read_into() -> Check {
    let disk = Disk::mount()?;
    beside_both(3, |side, kind| {
        let source = disk.file(1)?;
        for round in 0..ROUNDS {
            let huge = side.huge()?;
            let map = huge.map(kind.pages(1).unreserved())?;
            map.fill(0, MEMORYS);
            let (read, other) = thread::scope(|scope| {
                let reader = scope.spawn(|| read(&source, &map, 0, HUGE, 0));
                let other = (|| {
                    let over = match round % 3 {
                        0 => huge.punch(0, HUGE as u64).map(|()| None)?,
                        1 => huge.set_size(0).map(|()| None)?,
                        _ => Some(nothing_over(&map)?),
                    };
                    let other = side.map_unreserved(1)?;
                    other.fill(0, MEMORYS + 1);
                    Ok((other, over))
                })();
                (reader.join(), other)
            });
            let (other, over): (Map, _) = other.map_err(|errno: Errno| Fail(errno.to_string()))?;
            let read = read.map_err(|_| Fail("the reader panicked".to_string()))?;
            // The read was before, or found another page, or none.
            check!(
                matches!(read, Ok(HUGE) | Err(Errno(libc::EFAULT))),
                "round {round}: pread: {read:?}"
            );
            other.holds(0, MEMORYS + 1)?;
            drop((other, over, map, huge));
            others::settles(side, "after a round", (3, 3, 0, 0), 0)?;
        }
        Ok(())
    })
}
