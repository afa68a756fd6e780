// SPDX-License-Identifier: GPL-2.0

//! Touching pages until there are no more.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::{mem, ptr};

use crate::child::fork;
use crate::link::{send_bus, Link, Message};
use crate::map::Map;
use crate::{call, Check, Fail};

/// How a page is touched first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write,
}

/// Where a mapping ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Touched {
    /// Pages that were fine.
    pub pages: usize,
    /// The page whose touch was a SIGBUS, and the signal's si_code.
    pub bus: Option<(usize, i32)>,
}

/// The line on which the handler says what happened.
static LINE: AtomicI32 = AtomicI32::new(-1);

/// Touches the pages of `map` in order, in a child that shares them, until all are touched or one
/// is a SIGBUS. What the child got stays with the huge file.
pub fn touch_all(map: &Map, touch: Touch) -> Check<Touched> {
    let mut child = fork(|link| {
        catch(link)?;
        for page in 0..map.pages() {
            touch_one(map, page, touch);
            link.send(page as u64)?;
        }
        Ok(())
    })?;
    let mut touched = Touched {
        pages: 0,
        bus: None,
    };
    loop {
        match child.link.receive()? {
            Message::Number(_) => touched.pages += 1,
            Message::Bus { address, code } => {
                let offset = address.wrapping_sub(map.base() as usize);
                touched.bus = Some((offset / map.page_bytes(), code));
            }
            Message::Failed(why) => return Err(Fail(why)),
            Message::End => break,
        }
    }
    child.wait()?;
    Ok(touched)
}

fn touch_one(map: &Map, page: usize, touch: Touch) {
    match touch {
        Touch::Read => {
            map.read(page * map.page_bytes());
        }
        Touch::Write => map.write(page * map.page_bytes(), page as u64 + 1),
    }
}

/// Has a SIGBUS in this process reported on `link`; the process ends with it.
pub fn catch(link: &Link) -> Check {
    LINE.store(link.as_raw_fd(), SeqCst);
    // SAFETY: All zeroes is a valid sigaction: no flags, no signals blocked.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_flags = libc::SA_SIGINFO;
    action.sa_sigaction = handler as *const () as usize;
    // SAFETY: The handler calls only what a handler may: send and _exit.
    call(unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) })?;
    Ok(())
}

extern "C" fn handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: The kernel gave a valid siginfo of a SIGBUS.
    let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
    send_bus(LINE.load(SeqCst), address, code);
    // SAFETY: _exit may be called in a handler.
    unsafe { libc::_exit(0) }
}
