// SPDX-License-Identifier: GPL-2.0

//! A file of a file system (FUSE) whose server answers no read before it is told to: who maps it has
//! memory that does not come, and who reads it past the page cache has pages pinned.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    FileAttr, FileType, Filesystem, KernelConfig, MountOption, ReplyAttr, ReplyData, ReplyEntry,
    Request, Session,
};
use guest::child::{fork, Child};
use guest::link::{Link, Message};
use guest::{call, poll, same, Check, Errno, Fail};

use crate::stall::{still_waits, BYTES};

const FOLDER: &str = "/tmp/slow";
const NAME: &str = "file";
/// Inodes.
const ROOT: u64 = fuser::FUSE_ROOT_ID;
const FILE: u64 = 2;
/// How long what the server says is true.
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// What the server does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Answers,
    Dies,
}

/// The file system, mounted for as long as this lives. Its server is a process of its own.
pub struct Slow {
    server: Option<Child>,
    /// Who waits for it. Nobody of them can be killed before it answers or is gone.
    stalled: Vec<(&'static str, Child)>,
}

impl Slow {
    /// Mounts it, with a file that holds `content`.
    pub fn mount(content: &[u8]) -> Check<Self> {
        // What a test left that was killed.
        let _ = unmount(libc::MNT_DETACH);
        fs::create_dir_all(FOLDER)?;
        let server = fork(|link| serve(link, content))?;
        let slow = Self {
            server: Some(server),
            stalled: Vec::new(),
        };
        // Before anybody looks into the folder that it is to cover.
        slow.server()?.link.number()?;
        Ok(slow)
    }

    /// Opens the file for reading.
    pub fn open(&self, flags: libc::c_int) -> Check<File> {
        Ok(OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(format!("{FOLDER}/{NAME}"))?)
    }

    fn server(&self) -> Check<&Child> {
        self.server
            .as_ref()
            .ok_or_else(|| Fail("the server is gone".into()))
    }

    /// Waits until a process stalls because it needs what begins at byte `offset` of the file.
    pub fn stalls(&mut self, name: &'static str, child: Child, offset: usize) -> Check {
        self.stalled.push((name, child));
        let asked = || {
            self.still_stall()?;
            let link = &self.server()?.link;
            match link.has_message()? {
                true => link.number().map(Some),
                false => Ok(None),
            }
        };
        let seen = poll::until(name, asked, Option::is_some)?;
        same!(seen, Some(offset as u64), "what {name} waits for");
        Ok(())
    }

    /// Waits until a process stalls in the kernel, in all of these functions.
    pub fn stalls_in(&mut self, name: &'static str, child: Child, functions: &[&str]) -> Check {
        let stack = format!("/proc/{}/stack", child.pid());
        self.stalled.push((name, child));
        let asked = || {
            self.still_stall()?;
            Ok(fs::read_to_string(&stack)?)
        };
        let right = |seen: &String| functions.iter().all(|function| seen.contains(function));
        poll::until(name, asked, right).map(drop)
    }

    /// Has the kernel want a page of the file, which is locked until the server answers, and nobody
    /// waits for that.
    pub fn read_ahead(&self, file: &File, offset: usize) -> Check {
        let from = offset as libc::off_t;
        let advice = libc::POSIX_FADV_WILLNEED;
        // SAFETY: posix_fadvise takes numbers.
        let seen =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), from, BYTES as libc::off_t, advice) };
        same!(Errno(seen), Errno(0), "posix_fadvise");
        same!(
            self.server()?.link.number()?,
            offset as u64,
            "what is read ahead"
        );
        Ok(())
    }

    fn still_stall(&self) -> Check {
        let mut all = self.stalled.iter();
        all.try_for_each(|(name, child)| still_waits(name, child))
    }

    /// Ends what the processes wait for, and has them say how it went.
    pub fn end(&mut self, end: End) -> Check {
        self.still_stall()?;
        match end {
            End::Answers => self.server()?.link.send(0)?,
            End::Dies => self.server.take().map_or(Ok(()), Child::kill)?,
        }
        let mut all = self.stalled.drain(..);
        all.try_for_each(|(_, child)| child.finish())
    }

    /// Takes the file system away, which ends the server; nobody may have its file open.
    pub fn unmount(mut self) -> Check {
        unmount(0)?;
        self.server.take().map_or(Ok(()), Child::finish)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        drop(self.server.take());
        self.stalled.clear();
        // The test has its verdict already. After `unmount` there is nothing to take away.
        let _ = unmount(libc::MNT_DETACH);
    }
}

fn unmount(flags: libc::c_int) -> Check {
    let folder = CString::new(FOLDER)?;
    // SAFETY: The path is a C string.
    call(unsafe { libc::umount2(folder.as_ptr(), flags) })?;
    Ok(())
}

/// The server: says that it is there, and where each read begins; answers when it gets a message.
fn serve(link: &Link, content: &[u8]) -> Check {
    let waiting = Mutex::new(Some(Unanswered::new()));
    let files = Files {
        link,
        content,
        waiting: &waiting,
    };
    let options = [MountOption::RO, MountOption::FSName(NAME.into())];
    let mut session = Session::new(files, FOLDER, &options)?;
    link.send(0)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Or the test is over, and answers are owed to nobody.
            if !matches!(link.receive(), Ok(Message::Number(_))) {
                return;
            }
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for (reply, part) in waiting.take().into_iter().flatten() {
                reply.data(&content[part]);
            }
        });
        Ok(session.run()?)
    })
}

/// Reads that wait, each with the bytes of the file that it is about.
type Unanswered = Vec<(ReplyData, Range<usize>)>;

/// What the server serves.
struct Files<'a> {
    link: &'a Link,
    content: &'a [u8],
    /// The reads that were not answered; none from when on they are.
    waiting: &'a Mutex<Option<Unanswered>>,
}

impl Files<'_> {
    fn attributes(&self, inode: u64) -> FileAttr {
        let (kind, size) = match inode {
            ROOT => (FileType::Directory, 0),
            _ => (FileType::RegularFile, self.content.len() as u64),
        };
        let time = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Files<'_> {
    /// The kernel may ask for more before anything is answered.
    fn init(&mut self, _: &Request<'_>, config: &mut KernelConfig) -> Result<(), libc::c_int> {
        config
            .set_max_background(u16::MAX)
            .map_err(|_| libc::EINVAL)?;
        Ok(())
    }

    fn lookup(&mut self, _: &Request<'_>, _: u64, name: &OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&FOREVER, &self.attributes(FILE), 0),
            false => reply.error(libc::ENOENT),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, inode: u64, _: Option<u64>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(inode));
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        let place = |byte: usize| byte.min(self.content.len());
        let from = place(offset as usize);
        let part = from..place(from + size as usize);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.as_mut() {
            None => reply.data(&self.content[part]),
            Some(waiting) => {
                waiting.push((reply, part));
                // Without a test there is nobody to tell, and this process ends.
                let _ = self.link.send(offset as u64);
            }
        }
    }
}
