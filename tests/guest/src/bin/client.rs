// SPDX-License-Identifier: GPL-2.0

//! The crate that programs use, on the device itself.

use std::os::fd::AsFd;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering::Relaxed;

use guest::child::{become_user, fork, in_child};
use guest::pool::{Resized, OURS};
use guest::{check, fail, same, smaps, Check, HUGE};
use rust_hugetlb::{pool, HugeMapping, DEVICE, DEVICE_2M};

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
