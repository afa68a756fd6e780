// SPDX-License-Identifier: GPL-2.0

//! No text shows where something lies in the kernel: the files, the log, and what /proc says of a
//! process with mappings. The only places that are told are page frames, in the map, which is root's.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;

use guest::child::{become_user, in_child, own_proc_files};
use guest::kmod::{self, Log, Reloaded};
use guest::map::{Map, Request};
use guest::memory::BASE_PAGE;
use guest::pool::{Resized, OURS};
use guest::tree::{self, Leaf};
use guest::{check, poll, same, Check};
use guest::{debugfs, device};

use crate::grow::too_many;
use crate::text::{GIGANTIC, LARGE};

/// What looks like a kernel address in `text`: at least 12 hexadecimal digits that begin with `ffff`,
/// the 16 digits that %p makes of one, or what it prints while it cannot.
fn addresses(text: &str) -> Vec<&str> {
    let tokens = text.split(|c: char| !c.is_ascii_hexdigit());
    let kernels = tokens.filter(|token| {
        let lower = token.to_ascii_lowercase();
        let plain = token.len() >= 12 && lower.starts_with("ffff");
        let hashed = token.len() == 16 && lower.starts_with("00000000");
        plain || hashed
    });
    kernels.chain(text.matches("ptrval")).collect()
}

/// Fails if a line of `text`, which is `what`, shows an address.
fn shows_none(what: &str, text: &str) -> Check {
    for line in text.lines() {
        // At the same place in each process on each machine.
        if !line.ends_with(" [vsyscall]") {
            let seen = addresses(line);
            check!(seen.is_empty(), "{what} shows {seen:?}: {line}");
        }
    }
    Ok(())
}

/// %pK prints addresses as they are for root; as it was when dropped.
struct Unrestricted(String);

const RESTRICTION: &str = "/proc/sys/kernel/kptr_restrict";

impl Unrestricted {
    fn now() -> Check<Self> {
        let before = fs::read_to_string(RESTRICTION)?;
        fs::write(RESTRICTION, "0")?;
        Ok(Self(before))
    }
}

impl Drop for Unrestricted {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = fs::write(RESTRICTION, &self.0);
    }
}

/// What is looked for is found, wherever it is in a line and however it is written; and it is how
/// addresses look on this kernel.
pub fn are_known_when_seen() -> Check {
    for (text, want) in [
        ("at 0xffff888004a1b000, 3", &["ffff888004a1b000"][..]),
        ("FFFFFFFF81000000-ffffffff82", &["FFFFFFFF81000000"]),
        ("of 000000004f3a21bc", &["000000004f3a21bc"]),
        ("(____ptrval____)", &["ptrval"]),
        ("7f12ffff0000-7ffff0000000 rw-s 00000000 00:05 12", &[]),
        ("18446744073709551615 0x3ffff ffff", &[]),
    ] {
        same!(addresses(text), want, "addresses in {text:?}");
    }
    let _unrestricted = Unrestricted::now()?;
    let mut symbols = vec![0; 1 << 20];
    let length = File::open("/proc/kallsyms")?.read(&mut symbols)?;
    let symbols = String::from_utf8_lossy(&symbols[..length]);
    let places = symbols.lines().filter_map(|line| line.get(..16));
    let found =
        places.filter(|place| place.starts_with("ffffffff") && addresses(place) == [*place]);
    check!(found.count() != 0, "no symbol's address is known as one");
    Ok(())
}

/// Fails if a file of the module's shows one that this user may read; says how many that were.
fn in_files(readable: u32) -> Check<usize> {
    let mut all = tree::files(tree::SYSFS)?;
    if readable == 0o400 {
        all.extend(tree::files(tree::DEBUGFS)?);
    }
    all.retain(|leaf| leaf.mode & readable != 0);
    for Leaf { path, .. } in &all {
        shows_none(path, &fs::read_to_string(path)?)?;
    }
    Ok(all.len())
}

/// Fails if what /proc says of this process shows one.
fn in_proc(map: &Map, file: &File) -> Check {
    let number = file.as_raw_fd();
    let fdinfo = format!("fdinfo/{number}");
    let start = format!("{:x}", map.base() as usize);
    for name in ["maps", "smaps", "numa_maps", "smaps_rollup", &fdinfo] {
        let text = fs::read_to_string(format!("/proc/self/{name}"))?;
        let about = text.contains(&start) || !name.ends_with("maps");
        check!(
            about && !text.is_empty(),
            "{name} has no mapping at {start}"
        );
        shows_none(name, &text)?;
    }
    Ok(())
}

/// Root, from whom nothing is kept back, and another user with a descriptor.
pub fn are_in_no_file() -> Check {
    debugfs::mount()?;
    let _unrestricted = Unrestricted::now()?;
    let _pool = Resized::ours(6)?;
    let file = device::open()?;
    let shared = Request::pages(2).map(&file)?;
    let private = Request::pages(2).private().map(&file)?;
    shared.fill(0, 1);
    private.fill(1, 2);
    let to_root = in_files(0o400)?;
    in_proc(&shared, &file)?;
    in_proc(&private, &file)?;
    in_child(|| {
        become_user(1000)?;
        own_proc_files()?;
        let to_all = in_files(0o004)?;
        check!(
            0 < to_all && to_all < to_root,
            "all read {to_all} files, root {to_root}"
        );
        in_proc(&shared, &file)?;
        in_proc(&private, &file)
    })
}

/// Of loading, of a resize that falls short, and what else comes meanwhile.
pub fn are_in_no_line_of_the_log() -> Check {
    let _unrestricted = Unrestricted::now()?;
    let _reloaded = Reloaded::after_test()?;
    poll::until("users of the module", kmod::users, |count| *count == 0)?;
    let mut log = Log::from_now()?;
    kmod::unload()?;
    kmod::load("")?;
    let loading = log.lines()?;
    OURS.set(too_many(LARGE)?)?;
    OURS.set(0)?;
    let resizing = log.lines()?;
    for lines in [loading, resizing] {
        check!(!lines.is_empty(), "the module said nothing");
        shows_none("the log", &lines.join("\n"))?;
    }
    Ok(())
}

/// The last page frame that is memory.
fn last_frame() -> Check<u64> {
    let mut last = 0;
    for line in fs::read_to_string("/proc/iomem")?.lines() {
        if let Some((range, "System RAM")) = line.trim_start().split_once(" : ") {
            let end = range.split('-').next_back().unwrap_or_default();
            last = last.max(u64::from_str_radix(end, 16)? / BASE_PAGE);
        }
    }
    check!(last != 0, "no memory in /proc/iomem");
    Ok(last)
}

/// What the map names are frames, not addresses of them.
pub fn frames_are_the_machines() -> Check {
    let last = last_frame()?;
    let large = LARGE.map()?;
    check!(!large.is_empty(), "an empty map");
    // With little memory there is no range of 1 GiB.
    for range in large.iter().chain(&GIGANTIC.map()?) {
        check!(range.last <= last, "{last:#x} is the last frame: {range:?}");
    }
    Ok(())
}
