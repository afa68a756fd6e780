// SPDX-License-Identifier: GPL-2.0

//! The module loaded and unloaded again and again, while others open its nodes and files at any moment:
//! they find it or do not, and what they find works.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::thread::yield_now;

use clap::Command;
use guest::access::{catch, store};
use guest::child::{fork, Child};
use guest::kmod::{load, unload, Reloaded};
use guest::link::Message;
use guest::map::Request;
use guest::option::number;
use guest::pool::OURS;
use guest::{call, check, device, poll, same, Check, Errno, Fail, HUGE};

const PAGES: usize = 2;
const OTHERS: usize = 2;
/// Reads of a file for each use of a node: while that is used, the module does not go.
const READS: usize = 20;

fn main() -> ExitCode {
    let matches = Command::new("reload")
        .about("Loads and unloads the module while others open its files")
        .arg(number("rounds", "How often").default_value("6"))
        .get_matches();
    let rounds = matches.get_one("rounds").copied().unwrap_or_default();
    println!("KTAP version 1\n1..1");
    match run(rounds) {
        Ok(()) => {
            println!("ok 1 others_find_it_or_do_not");
            ExitCode::SUCCESS
        }
        Err(Fail(why)) => {
            println!(
                "not ok 1 others_find_it_or_do_not # {}",
                why.replace('\n', "; ")
            );
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: u64) -> Check {
    let _reloaded = Reloaded::after_test()?;
    catch()?;
    let used = counter()?;
    let others: Vec<Child> = (0..OTHERS)
        .map(|_| {
            fork(|_| loop {
                use_it(&used)?
            })
        })
        .collect::<Check<_>>()?;
    let mut refused = 0;
    for _ in 0..rounds {
        // Somebody used it, since it was loaded or before.
        one_used_it(&used, &others)?;
        poll::until(
            "the module unloaded",
            || match unload() {
                Err(Errno(libc::EWOULDBLOCK)) => {
                    refused += 1;
                    Ok(false)
                }
                other => Ok(other.map(|()| true)?),
            },
            |gone| *gone,
        )?;
        load("hugepages_2M=8")?;
    }
    one_used_it(&used, &others)?;
    for other in others {
        // Who is not there to be killed had something to complain of.
        other.kill()?;
    }
    println!("# rounds: {rounds}, unloads refused: {refused}");
    OURS.settles_at_free(8)?;
    same!(OURS.counts()?.row(), (8, 8, 0), "nr, free and surplus");
    Ok(())
}

/// Reads a file, which may be gone at any moment.
fn read() -> Check {
    match fs::read_to_string(OURS.file("free_hugepages")) {
        Ok(text) => check!(text.ends_with('\n'), "free_hugepages: {text:?}"),
        // ENODEV: its folder is on its way.
        Err(error) => check!(
            error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV),
            "reading free_hugepages: {error}"
        ),
    }
    Ok(())
}

/// Opens a node, which may be gone at any moment, and maps it.
fn use_it(used: &OwnedFd) -> Check {
    (0..READS).try_for_each(|_| read())?;
    let file = match device::open() {
        Ok(file) => file,
        // EAGAIN: it is being loaded.
        Err(Errno(libc::ENOENT | libc::ENXIO | libc::ENODEV | libc::EAGAIN)) => {
            yield_now();
            return Ok(());
        }
        Err(errno) => return Err(Fail(format!("opening the node: {errno}"))),
    };
    let map = Request::pages(PAGES).unreserved().map(&file)?;
    for page in 0..PAGES {
        // SAFETY: The word is aligned and in the mapping; there may be no page for it.
        if unsafe { store(map.at(page * HUGE).cast(), 1) }.is_ok() {
            same!(map.read(page * HUGE), 1, "a word just written");
        }
    }
    drop((map, file));
    // SAFETY: The number is there.
    call(unsafe { libc::write(used.as_raw_fd(), (&raw const ONE).cast(), 8) } as i64)?;
    Ok(())
}

static ONE: u64 = 1;

/// A number that processes add to.
fn counter() -> Check<OwnedFd> {
    // SAFETY: Numbers; nobody else has the descriptor.
    unsafe {
        Ok(OwnedFd::from_raw_fd(
            call(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))? as i32,
        ))
    }
}

/// Waits until one of `others` has counted, and counts anew.
fn one_used_it(counter: &OwnedFd, others: &[Child]) -> Check {
    let mut count = 0u64;
    let mut take = || {
        // SAFETY: There is room for the number.
        call(unsafe { libc::read(counter.as_raw_fd(), (&raw mut count).cast(), 8) } as i64)
    };
    let seen = poll::until("a use of the module", || Ok(take()), |taken| taken.is_ok());
    match others
        .iter()
        .find(|other| matches!(other.link.has_message(), Ok(true)))
    {
        None => seen.map(drop),
        Some(other) => match other.link.receive()? {
            Message::Failed(why) => Err(Fail(why)),
            message => Err(Fail(format!("one that uses the module sent {message:?}"))),
        },
    }
}
