// SPDX-License-Identifier: GPL-2.0

//! Child processes, which talk with the test through a [`Link`].

use std::any::Any;
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::link::{Link, Message};
use crate::{call, same, Check, Fail};

/// A child process, killed and reaped when dropped.
pub struct Child {
    pid: libc::pid_t,
    pub link: Link,
    reaped: bool,
}

/// Starts a child that runs `body` and exits; what fails there fails [`Child::finish`] here.
///
/// A test calls it with no other threads running.
pub fn fork(body: impl FnOnce(&Link) -> Check) -> Check<Child> {
    let (here, there) = Link::pair()?;
    // SAFETY: There is one thread, so no lock is held by another one.
    let pid = call(unsafe { libc::fork() })? as libc::pid_t;
    if pid != 0 {
        return Ok(Child {
            pid,
            link: here,
            reaped: false,
        });
    }
    drop(here);
    // SAFETY: prctl takes numbers. No child outlives its test program.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let status = match guarded(|| body(&there)) {
        Ok(()) => 0,
        Err(Fail(why)) => {
            // Nobody to tell is the parent's end, and then this one's too.
            let _ = there.send_failure(&why);
            1
        }
    };
    // SAFETY: The parent's destructors and buffers are not this process's to run.
    unsafe { libc::_exit(status) }
}

impl Child {
    /// Waits for the child to exit with status 0.
    pub fn finish(mut self) -> Check {
        let why = loop {
            match self.link.receive()? {
                Message::Failed(why) => break Some(why),
                Message::End => break None,
                _ => {}
            }
        };
        let status = self.wait()?;
        match why {
            Some(why) => Err(Fail(why)),
            None if libc::WIFSIGNALED(status) => {
                let signal = libc::WTERMSIG(status);
                Err(Fail(format!("killed by signal {signal}{}", known(signal))))
            }
            None => {
                same!(libc::WEXITSTATUS(status), 0, "exit status of the child");
                Ok(())
            }
        }
    }

    /// Kills the child with SIGKILL and waits until it is gone.
    pub fn kill(mut self) -> Check {
        // SAFETY: kill takes numbers; the child is not reaped, so the number is its own.
        call(unsafe { libc::kill(self.pid, libc::SIGKILL) })?;
        same!(
            self.wait()?,
            libc::SIGKILL,
            "wait status of the killed child"
        );
        Ok(())
    }

    /// Waits until the child is gone: its wait status.
    pub fn wait(&mut self) -> Check<i32> {
        let mut status = 0;
        // SAFETY: There is room for the status.
        call(unsafe { libc::waitpid(self.pid, &mut status, 0) })?;
        self.reaped = true;
        Ok(status)
    }

    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }
}

/// The signals that tests die of.
fn known(signal: i32) -> &'static str {
    match signal {
        libc::SIGALRM => " (SIGALRM: it hung)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        _ => "",
    }
}

/// The outcome of `body`, a panic being a failure.
fn guarded(body: impl FnOnce() -> Check) -> Check {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(Fail(format!("panicked: {}", message(&*panic)))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref::<&str>().unwrap_or(&"no message"),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            // SAFETY: As in `kill`.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            let _ = self.wait();
        }
    }
}

/// Runs `body` in a child and hands on how it went.
pub fn in_child(body: impl FnOnce() -> Check) -> Check {
    fork(|_| body())?.finish()
}

/// Makes this (child) process user and group `id`, for good.
pub fn become_user(id: u32) -> Check {
    // SAFETY: Each call takes numbers, and setgroups an empty list.
    unsafe {
        call(libc::setgroups(0, std::ptr::null()))?;
        call(libc::setresgid(id, id, id))?;
        call(libc::setresuid(id, id, id))?;
    }
    Ok(())
}

/// Makes this (child) process user `id` in its parent's eyes, and root of a user namespace and a mount
/// namespace of its own in its own, for good.
pub fn become_root_of_a_namespace(id: u32) -> Check {
    become_user(id)?;
    own_proc_files()?;
    // SAFETY: unshare takes flags; there is one thread.
    call(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {id} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {id} 1"))?;
    // SAFETY: Neither takes anything.
    let ids = unsafe { (libc::geteuid(), libc::getegid()) };
    same!(ids, (0, 0), "user and group in the namespace");
    Ok(())
}

/// Gives this process its files in /proc, which are root's after [`become_user`].
pub fn own_proc_files() -> Check {
    // SAFETY: prctl takes numbers.
    call(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) })?;
    Ok(())
}
