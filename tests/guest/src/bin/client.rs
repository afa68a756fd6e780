// SPDX-License-Identifier: GPL-2.0

//! The crate that programs use, on the device itself.

use std::os::fd::AsFd;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering::Relaxed;

use guest::child::{become_user, fork, in_child};
use guest::pool::{Resized, OURS};
use guest::{check, fail, same, smaps, Check, HUGE};
use rust_hugetlb::{pool, HugeFile, HugeMapping, Info, DEVICE, DEVICE_2M};

fn main() -> ExitCode {
    // What inherited_by_a_program starts.
    if let Some(fd) = std::env::args().nth(1) {
        return after_exec(&fd);
    }
    guest::ktap::run(&guest::tests![
        mapping_is_huge_and_given_back,
        both_nodes_open,
        pool_counts_are_those_of_sysfs,
        a_mapping_larger_than_the_pool_is_an_error,
        populate_is_an_error_when_the_pool_ends,
        a_file_is_changed_and_says_so,
        private_mappings_keep_what_they_write,
        passed_to_a_process,
        inherited_by_a_program,
        errors_say_what_to_do,
    ])
}

fn mapping_is_huge_and_given_back() -> Check {
    let _pool = Resized::ours(2)?;
    let mapping = HugeMapping::new(2)?;
    mapping.populate()?;
    smaps::all_huge(mapping.as_ptr(), 2)?;
    mapping.write_at(HUGE - 3, b"across");
    let mut seen = [0; 6];
    mapping.read_at(HUGE - 3, &mut seen);
    same!(&seen, b"across", "bytes across a page's end");
    same!(
        mapping[HUGE / 8].load(Relaxed) & 0xff_ffff,
        0x73_73_6f,
        "their last word"
    );
    same!(OURS.free()?, 0, "free_hugepages");
    drop(mapping);
    OURS.settles_at_free(2)
}

fn both_nodes_open() -> Check {
    let _pool = Resized::ours(2)?;
    let maps = [
        HugeMapping::open(DEVICE, 1)?,
        HugeMapping::open(DEVICE_2M, 1)?,
    ];
    for mapping in &maps {
        mapping.write_at(0, b"x");
        smaps::all_huge(mapping.as_ptr(), 1)?;
    }
    Ok(())
}

fn pool_counts_are_those_of_sysfs() -> Check {
    let _pool = Resized::ours(3)?;
    let mapping = HugeMapping::new(1)?;
    mapping.populate()?;
    same!((pool::total()?, pool::free()?), (3, 2), "total and free");
    same!(pool::count("surplus_hugepages")?, 0, "surplus_hugepages");
    Ok(())
}

fn a_mapping_larger_than_the_pool_is_an_error() -> Check {
    let _pool = Resized::ours(2)?;
    let mapping = HugeMapping::new(1)?;
    // Of the pool's two pages one is promised, though nobody touched it.
    match HugeMapping::new(2) {
        Ok(_) => fail!("reserving 2 pages of 1 succeeded"),
        Err(error) => {
            same!(error.errno(), libc::ENOMEM, "errno");
            check!(
                error.to_string().contains("nr_hugepages"),
                "no remedy: {error}"
            );
        }
    }
    same!(pool::count("resv_hugepages")?, 1, "resv_hugepages");
    mapping.populate()?;
    Ok(())
}

fn populate_is_an_error_when_the_pool_ends() -> Check {
    let _pool = Resized::ours(1)?;
    let mapping = HugeMapping::new_unreserved(2)?;
    match mapping.populate() {
        Ok(()) => fail!("populating 2 pages of 1 succeeded"),
        Err(error) => {
            same!(error.errno(), libc::EFAULT, "errno");
            check!(
                error.to_string().contains("nr_hugepages"),
                "no remedy: {error}"
            );
        }
    }
    Ok(())
}

fn a_file_is_changed_and_says_so() -> Check {
    let _pool = Resized::ours(4)?;
    let page = HUGE as u64;
    let file = HugeFile::new()?;
    file.preallocate(page..3 * page)?;
    let mapping = HugeMapping::from_fd(file.into(), 4)?;
    let file = mapping.file();
    let mut want = Info {
        page_size: page,
        size: 4 * page,
        allocated: 2 * page,
        reserved: 2 * page,
    };
    same!(file.info()?, want, "the file preallocated and mapped");
    mapping.write_at(HUGE, b"x");
    file.punch_hole(page..2 * page)?;
    want.allocated = page;
    same!(file.info()?, want, "the file with a hole");
    same!(mapping[HUGE / 8].load(Relaxed), 0, "a word in the hole");
    file.set_size(2 * page)?;
    want = Info {
        size: 2 * page,
        reserved: page,
        ..want
    };
    same!(file.info()?, want, "the file cut off");
    for (range, errno) in [
        (0..8 * page, libc::ENOSPC),
        (page..page, libc::EINVAL),
        (0..1, libc::EINVAL),
        (0..1 << 63, libc::EFBIG),
    ] {
        match file.preallocate(range.clone()) {
            Ok(()) => fail!("preallocating {range:?} succeeded"),
            Err(error) => same!(error.errno(), errno, "preallocating {range:?}"),
        }
    }
    drop(mapping);
    OURS.settles_at_free(4)
}

fn private_mappings_keep_what_they_write() -> Check {
    let _pool = Resized::ours(3)?;
    let shared = HugeMapping::new(1)?;
    shared[0].store(5, Relaxed);
    let private = HugeMapping::from_fd_private(shared.share()?, 1)?;
    same!(private[0].swap(6, Relaxed), 5, "the file's word");
    same!(shared[0].load(Relaxed), 5, "the file's word afterwards");
    let own = HugeMapping::new_private(1)?;
    own[0].store(7, Relaxed);
    same!(own.file().info()?.allocated, 0, "bytes of its file");
    same!(OURS.free()?, 0, "free_hugepages");
    drop((shared, private, own));
    OURS.settles_at_free(3)
}

fn passed_to_a_process() -> Check {
    let _pool = Resized::ours(1)?;
    let child = fork(|link| {
        let mapping = HugeMapping::from_fd(link.receive_descriptor()?, 1)?;
        same!(mapping[0].swap(2, Relaxed), 1, "the first word");
        Ok(())
    })?;
    let mapping = HugeMapping::new(1)?;
    mapping[0].store(1, Relaxed);
    child.link.send_descriptor(&mapping.as_fd())?;
    child.finish()?;
    same!(mapping[0].load(Relaxed), 2, "the first word");
    Ok(())
}

fn inherited_by_a_program() -> Check {
    let _pool = Resized::ours(1)?;
    let mapping = HugeMapping::new(1)?;
    mapping[0].store(3, Relaxed);
    let mut command = Command::new("/proc/self/exe");
    let number = mapping.share_with(&mut command)?;
    let status = command.arg(number.to_string()).status()?;
    same!(status.code(), Some(0), "exit status of the program");
    same!(mapping[0].load(Relaxed), 4, "the first word");
    drop((mapping, command));
    OURS.settles_at_free(1)
}

/// The program that [`inherited_by_a_program`] starts.
fn after_exec(fd: &str) -> ExitCode {
    let Ok(number) = fd.parse() else {
        eprintln!("client: {fd}: unknown argument: run it without any");
        return ExitCode::from(2);
    };
    // SAFETY: The test left the descriptor open for this program alone.
    match unsafe { HugeMapping::from_inherited(number, 1) } {
        Ok(mapping) if mapping[0].fetch_add(1, Relaxed) == 3 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn errors_say_what_to_do() -> Check {
    in_child(|| {
        become_user(1000)?;
        let error = match HugeMapping::new(1) {
            Ok(_) => fail!("uid 1000 opened the node"),
            Err(error) => error,
        };
        same!(error.errno(), libc::EACCES, "errno");
        check!(
            error.to_string().contains("run as root"),
            "no remedy: {error}"
        );
        Ok(())
    })?;
    for pages in [0, usize::MAX] {
        if HugeMapping::new(pages).is_ok() {
            fail!("mapping {pages} pages succeeded");
        }
    }
    Ok(())
}
