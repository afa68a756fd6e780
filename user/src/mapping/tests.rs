// SPDX-License-Identifier: GPL-2.0 OR MIT

//! [`HugeMapping`] on a memory file of small pages: all but the device itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering::Relaxed;

use super::*;

fn memory_file(pages: usize) -> OwnedFd {
    // SAFETY: The name is a C string.
    let fd = unsafe { libc::memfd_create(c"pages".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: memfd_create just returned it.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let bytes = (pages * HUGE_PAGE_SIZE) as libc::off_t;
    // SAFETY: ftruncate takes a descriptor and a number.
    assert_eq!(unsafe { libc::ftruncate(fd, bytes) }, 0);
    file
}

#[test]
fn two_mappings_of_a_shared_descriptor_see_the_same_bytes() {
    let one = HugeMapping::from_fd(memory_file(2), 2).unwrap();
    let two = HugeMapping::from_fd(one.share().unwrap(), 2).unwrap();
    assert_eq!((two.pages(), two.len()), (2, 2 * HUGE_PAGE_SIZE / 8));
    one.write_at(HUGE_PAGE_SIZE - 3, b"across");
    let mut seen = [0; 6];
    two.read_at(HUGE_PAGE_SIZE - 3, &mut seen);
    assert_eq!(&seen, b"across");
    two[0].store(7, Relaxed);
    assert_eq!(one[0].load(Relaxed), 7);
}

#[test]
fn slices_are_the_same_memory() {
    let mut mapping = HugeMapping::from_fd(memory_file(1), 1).unwrap();
    // SAFETY: Nobody else has this file.
    let bytes = unsafe { mapping.as_mut_slice() };
    bytes[4097] = 9;
    // SAFETY: As above.
    assert_eq!(unsafe { mapping.as_slice() }[4097], 9);
    // SAFETY: The byte lies in the mapping.
    assert_eq!(unsafe { mapping.as_ptr().add(4097).read_volatile() }, 9);
}

#[test]
fn a_child_program_inherits_the_descriptor() {
    let mapping = HugeMapping::from_fd(memory_file(1), 1).unwrap();
    mapping.write_at(0, b"inherited");
    let mut command = Command::new("sh");
    let number = mapping.share_with(&mut command).unwrap();
    let output = command
        .args(["-c", &format!("head -c 9 /proc/self/fd/{number}")])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"inherited");
}

#[test]
fn drop_unmaps() {
    let file = memory_file(1);
    let inode = fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .unwrap()
        .ino();
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(&format!(" {inode} "))
    };
    let mapping = HugeMapping::from_fd(file, 1).unwrap();
    assert!(mapped());
    drop(mapping);
    assert!(!mapped());
}

#[test]
fn errors_carry_errno_and_remedy() {
    let error = HugeMapping::open("/nonexistent/node", 1).unwrap_err();
    assert_eq!(error.errno(), libc::ENOENT);
    assert!(error
        .to_string()
        .starts_with("open /nonexistent/node: No such file"));
    assert!(error.to_string().ends_with("insmod rust_hugetlb.ko"));

    let error = HugeMapping::from_fd(memory_file(1), 0).unwrap_err();
    assert_eq!(error.errno(), libc::EINVAL);
    let error = HugeMapping::from_fd(memory_file(1), usize::MAX / 4).unwrap_err();
    assert_eq!(error.errno(), libc::ENOMEM);

    // SAFETY: Nobody owns a descriptor that is not open.
    let error = unsafe { HugeMapping::from_inherited(-1, 1) }.unwrap_err();
    assert_eq!(error.errno(), libc::EBADF);
}
