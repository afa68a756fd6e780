// SPDX-License-Identifier: GPL-2.0

//! Root of another user namespace: it has every capability there, and none of them counts for the
//! nodes, the files and the module, so that it may do what any other user may. A descriptor that it
//! was given it may use like any other user, too.

use std::env::set_current_dir;
use std::ffi::CStr;
use std::fs::{self, File, Permissions};
use std::mem::forget;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use guest::child::{become_root_of_a_namespace, in_child};
use guest::device::{self, open_with, ALL_NODES};
use guest::file::Huge;
use guest::kmod;
use guest::map::Request;
use guest::mount::mount;
use guest::pool::{online_nodes, Resized, OURS, OURS_1G};
use guest::tree::{self, Leaf};
use guest::{call, check, debugfs, poll, refused, same, Check, Errno, HUGE};

/// Runs `body` as such a root, uid 1000 for everybody else.
fn as_root_elsewhere(body: impl FnOnce() -> Check) -> Check {
    in_child(|| {
        become_root_of_a_namespace(1000)?;
        body()
    })
}

fn mknod(path: &CStr, kind: libc::mode_t, device: libc::dev_t) -> Result<(), Errno> {
    // SAFETY: The path is a C string.
    call(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) }).map(drop)
}

fn chmod(path: &str) -> Result<(), Errno> {
    Ok(fs::set_permissions(path, Permissions::from_mode(0o666))?)
}

pub fn root_opens_no_node() -> Check {
    for node in ALL_NODES {
        open_with(node, libc::O_RDWR)?;
    }
    as_root_elsewhere(|| {
        for node in ALL_NODES {
            for access in [libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY] {
                refused!(open_with(node, access), libc::EACCES, "opening {node}");
            }
            refused!(chmod(node), libc::EPERM, "chmod of {node}");
        }
        Ok(())
    })
}

/// Not even in a file system of its own, where it makes any file.
pub fn root_makes_no_node() -> Check {
    as_root_elsewhere(|| {
        mount(c"tmpfs", c"/tmp")?;
        mknod(c"/tmp/file", libc::S_IFREG, 0)?;
        for node in ALL_NODES {
            let device = fs::metadata(node)?.rdev();
            let made = mknod(c"/tmp/node", libc::S_IFCHR, device);
            refused!(made, libc::EPERM, "mknod of {node}");
        }
        refused!(
            mount(c"devtmpfs", c"/tmp"),
            libc::EPERM,
            "mounting devtmpfs"
        );
        Ok(())
    })
}

/// All files in sysfs; both sizes and all nodes are among them, and modes of each kind.
fn sysfs_files() -> Check<Vec<Leaf>> {
    let all = tree::files(tree::SYSFS)?;
    let known = |path: &str| all.iter().any(|leaf| leaf.path == path);
    for pool in [OURS, OURS_1G] {
        for name in ["nr_hugepages", "explain", "can_grow"] {
            check!(known(&pool.file(name)), "no {name} of {pool:?}");
            for node in online_nodes()? {
                let path = pool.node_file(node, name);
                check!(known(&path), "{path} was not found");
            }
        }
    }
    for mode in [0o644, 0o444, 0o400, 0o200] {
        let count = all.iter().filter(|leaf| leaf.mode == mode).count();
        check!(count != 0, "no file with mode {mode:o}");
    }
    Ok(all)
}

pub fn root_reads_counters_and_writes_nothing() -> Check {
    let all = sysfs_files()?;
    as_root_elsewhere(|| {
        for Leaf { path, mode } in &all {
            for access in [libc::O_WRONLY, libc::O_RDWR] {
                let opened = open_with(path, access);
                refused!(opened, libc::EACCES, "opening {path} to write");
            }
            refused!(chmod(path), libc::EPERM, "chmod of {path}");
            let all_may_read = mode & 0o004 != 0;
            let private = ["/explain", "/can_grow"];
            check!(
                !all_may_read || !private.iter().any(|name| path.ends_with(name)),
                "{path} has mode {mode:o}"
            );
            if all_may_read {
                check!(!fs::read_to_string(path)?.is_empty(), "{path} is empty");
            } else {
                let opened = open_with(path, libc::O_RDONLY);
                refused!(opened, libc::EACCES, "opening {path} to read");
            }
        }
        Ok(())
    })
}

/// The folder above is closed to it, too, but it is in the map's own folder already: the file's mode
/// decides.
pub fn root_reads_no_map() -> Check {
    debugfs::mount()?;
    let maps = tree::files(tree::DEBUGFS)?;
    same!(maps.len(), 2, "maps in debugfs");
    in_child(|| {
        set_current_dir(tree::DEBUGFS)?;
        become_root_of_a_namespace(1000)?;
        for Leaf { path, .. } in &maps {
            let name = path.rsplit('/').next().unwrap_or_default();
            fs::metadata(name)?;
            for path in [path, name] {
                let opened = open_with(path, libc::O_RDONLY);
                refused!(opened, libc::EACCES, "opening {path}");
            }
        }
        refused!(mount(c"debugfs", c"/tmp"), libc::EPERM, "mounting debugfs");
        Ok(())
    })
}

pub fn root_loads_and_unloads_nothing() -> Check {
    let file = File::open(kmod::FILE)?;
    let image = fs::read(kmod::FILE)?;
    let init = || {
        let (start, length) = (image.as_ptr(), image.len());
        // SAFETY: The image has that length, and the parameters are a C string.
        call(unsafe { libc::syscall(libc::SYS_init_module, start, length, c"".as_ptr()) })
    };
    // It is there already: that is all that is wrong with it.
    refused!(kmod::load_from(&file, ""), libc::EEXIST, "finit_module");
    refused!(init(), libc::EEXIST, "init_module");
    as_root_elsewhere(|| {
        refused!(kmod::load_from(&file, ""), libc::EPERM, "finit_module");
        refused!(init(), libc::EPERM, "init_module");
        refused!(kmod::unload(), libc::EPERM, "delete_module");
        Ok(())
    })?;
    check!(kmod::loaded(), "the module is gone");
    Ok(())
}

/// What is mapped when it exits is the kernel's to give back.
pub fn root_uses_a_descriptor_it_was_given() -> Check {
    const PAGES: usize = 3;
    poll::until("users of the module", kmod::users, |count| *count == 0)?;
    let _pool = Resized::ours(8)?;
    let before = OURS.counts()?;
    let given = device::open()?;
    in_child(|| {
        let huge = Huge::from_file(OURS, given.try_clone()?);
        become_root_of_a_namespace(1000)?;
        let bytes = |pages: usize| (pages * HUGE) as u64;
        huge.set_size(bytes(PAGES))?;
        huge.preallocate(0, bytes(1))?;
        let state = huge.state()?;
        same!(
            (state.page_size, state.size, state.allocated),
            (bytes(1), bytes(PAGES), bytes(1)),
            "page size, size and memory of the file"
        );
        let shared = huge.map(Request::pages(PAGES))?;
        for page in 0..PAGES {
            shared.fill(page, 10 + page as u64);
        }
        let private = huge.map(Request::pages(1).private())?;
        private.fill(0, 20);
        in_child(|| {
            shared.holds(1, 11)?;
            shared.fill(1, 31);
            private.holds(0, 20)?;
            private.fill(0, 40);
            Ok(())
        })?;
        shared.holds(0, 10)?;
        shared.holds(1, 31)?;
        private.holds(0, 20)?;
        huge.punch(bytes(2), bytes(1))?;
        shared.holds(2, 0)?;
        shared.fill(2, 32);
        same!(OURS.free()?, 8 - 4, "free_hugepages with all touched");
        forget((shared, private));
        Ok(())
    })?;
    drop(given);
    poll::until("counters", || OURS.counts(), |counts| *counts == before)?;
    poll::until("users of the module", kmod::users, |count| *count == 0).map(drop)
}
