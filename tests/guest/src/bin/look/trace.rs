// SPDX-License-Identifier: GPL-2.0

//! Reading and writing another process's pages: ptrace, /proc/PID/mem, process_vm_readv and
//! process_vm_writev, whatever that process may do with them itself.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use guest::beside::{beside, Side};
use guest::child::{fork, Child};
use guest::kind::{beside_both, stamped, Kind};
use guest::map::{Map, Request, NONE, READ, WRITE};
use guest::{call, ptrace, same, word, Check, Errno, HUGE};

const PROTECTIONS: [libc::c_int; 3] = [READ | WRITE, READ, NONE];

/// Where words are read and written: in a page that was written, one that was read, one that was
/// not touched.
const PLACES: [usize; 6] = [0, HUGE - 8, HUGE, 2 * HUGE - 8, 2 * HUGE, 3 * HUGE - 8];

/// How a word of another process is read and written.
struct Way {
    name: &'static str,
    /// Whether it does what the process itself may not do.
    forces: bool,
    read: fn(&Target, usize) -> Result<u64, Errno>,
    write: fn(&Target, usize, u64) -> Result<(), Errno>,
}

/// The other process, stopped for ptrace.
struct Target {
    child: Child,
    base: *mut u8,
}

impl Target {
    fn at(&self, offset: usize) -> *mut u8 {
        self.base.wrapping_add(offset)
    }
}

const WAYS: [Way; 3] = [
    Way {
        name: "ptrace",
        forces: true,
        read: |target, offset| {
            let mut word = 0_u64;
            // SAFETY: The system call, unlike libc's function, puts the word where it is told.
            call(unsafe {
                libc::syscall(
                    libc::SYS_ptrace,
                    libc::PTRACE_PEEKDATA,
                    target.child.pid(),
                    target.at(offset),
                    &mut word,
                )
            })?;
            Ok(word)
        },
        write: |target, offset, word| {
            // SAFETY: The word is the mapping's in the other process.
            call(unsafe {
                libc::syscall(
                    libc::SYS_ptrace,
                    libc::PTRACE_POKEDATA,
                    target.child.pid(),
                    target.at(offset),
                    word,
                )
            })
            .map(drop)
        },
    },
    Way {
        name: "/proc/PID/mem",
        forces: true,
        read: |target, offset| {
            let mut word = [0; 8];
            let file = OpenOptions::new().read(true).open(target.mem())?;
            file.read_exact_at(&mut word, target.at(offset) as u64)?;
            Ok(u64::from_ne_bytes(word))
        },
        write: |target, offset, word| {
            let file = OpenOptions::new().write(true).open(target.mem())?;
            file.write_all_at(&word.to_ne_bytes(), target.at(offset) as u64)?;
            Ok(())
        },
    },
    Way {
        name: "process_vm",
        forces: false,
        read: |target, offset| {
            let mut word = 0_u64;
            target.transfer(offset, (&raw mut word).cast(), 8, libc::process_vm_readv)?;
            Ok(word)
        },
        write: |target, offset, mut word| {
            target.transfer(offset, (&raw mut word).cast(), 8, libc::process_vm_writev)?;
            Ok(())
        },
    },
];

/// process_vm_readv or process_vm_writev.
type Transfer = unsafe extern "C" fn(
    libc::pid_t,
    *const libc::iovec,
    libc::c_ulong,
    *const libc::iovec,
    libc::c_ulong,
    libc::c_ulong,
) -> isize;

impl Target {
    fn mem(&self) -> String {
        format!("/proc/{}/mem", self.child.pid())
    }

    /// Copies between `bytes` bytes here and as many there.
    fn transfer(
        &self,
        offset: usize,
        here: *mut libc::c_void,
        bytes: usize,
        transfer: Transfer,
    ) -> Result<i64, Errno> {
        let here = libc::iovec {
            iov_base: here,
            iov_len: bytes,
        };
        let there = libc::iovec {
            iov_base: self.at(offset).cast(),
            iov_len: bytes,
        };
        // SAFETY: There is as much room here; the other addresses are the child's.
        call(unsafe { transfer(self.child.pid(), &here, 1, &there, 1, 0) } as i64)
    }

    /// A child with a mapping of three pages, one written and one read; it stops here.
    fn start(side: &Side, kind: Kind, protection: libc::c_int) -> Check<Self> {
        let (range, base) = Map::reserve(3)?;
        let request = Request {
            address: base,
            flags: kind.pages(3).flags | libc::MAP_FIXED,
            ..kind.pages(3)
        };
        let file = side.open()?;
        let child = fork(|link| {
            let map = request.map(&file)?;
            map.fill(0, 10);
            map.read(HUGE);
            map.protect(0, 3 * HUGE, protection)?;
            link.send(1)?;
            link.number()?;
            for place in PLACES {
                link.send(word::load(&map, place).unwrap_or(u64::MAX))?;
            }
            link.number().map(drop)
        })?;
        drop((range, file));
        child.link.number()?;
        ptrace::trace(&child, libc::PTRACE_ATTACH, 0)?;
        ptrace::stopped(&child)?;
        Ok(Self { child, base })
    }

    /// Lets it go on until its end: what it sees at each place.
    fn finish(self) -> Check<Vec<u64>> {
        ptrace::trace(&self.child, libc::PTRACE_DETACH, 0)?;
        self.child.link.send(1)?;
        let words = PLACES.iter().map(|_| self.child.link.number());
        let words = words.collect::<Check<_>>()?;
        self.child.link.send(1)?;
        self.child.finish()?;
        Ok(words)
    }
}

pub fn words_of_another_process() -> Check {
    beside_both(6, |side, kind| {
        for way in &WAYS {
            for protection in PROTECTIONS {
                let what = format!("{}, protection {protection}", way.name);
                let target = Target::start(side, kind, protection)?;
                for place in PLACES {
                    let seen = (way.read)(&target, place);
                    side.note(format_args!("{what}, read at {place}"), seen);
                }
                side.note_counts(format_args!("{what}, read"))?;
                side.note(format_args!("{what}, itself"), target.finish()?);
                if kind == Kind::Private && protection & WRITE == 0 && way.forces {
                    continue;
                }
                // Written without being read before.
                let target = Target::start(side, kind, protection)?;
                for place in PLACES {
                    let seen = (way.write)(&target, place, 70);
                    side.note(format_args!("{what}, write at {place}"), seen);
                }
                side.note_counts(format_args!("{what}, written"))?;
                for place in PLACES {
                    let seen = (way.read)(&target, place);
                    side.note(format_args!("{what}, read back at {place}"), seen);
                }
                side.note(format_args!("{what}, itself"), target.finish()?);
            }
        }
        Ok(())
    })
}

/// What DEVIATIONS.md lists: a breakpoint in a private mapping that is not writable. Ours is not
/// written to, and whoever tries does not try for ever.
pub fn forced_writes() -> Check {
    beside(6, |side| {
        for way in WAYS.iter().filter(|way| way.forces) {
            for protection in [READ, NONE] {
                let target = Target::start(side, Kind::Private, protection)?;
                for place in PLACES {
                    side.deviates(
                        format_args!("{}, {protection}, write at {place}", way.name),
                        (way.write)(&target, place, 70),
                        Ok(()),
                        Err(Errno(libc::EIO)),
                    )?;
                }
                let words = target.finish()?;
                if protection == READ {
                    let unharmed = [10, 10, 0, 0, 0, 0];
                    side.deviates("itself", words, vec![70; 6], unharmed.to_vec())?;
                }
            }
        }
        Ok(())
    })
}

/// More than a page at once, over the border of pages and over the end of the mapping.
pub fn many_bytes_of_another_process() -> Check {
    const BYTES: usize = HUGE + 8192;
    beside_both(6, |side, kind| {
        let target = Target::start(side, kind, READ | WRITE)?;
        for offset in [0, HUGE - 4096, 2 * HUGE - 4096, 3 * HUGE - 8192] {
            let mut bytes = vec![0x55_u8; BYTES];
            let here = bytes.as_mut_ptr().cast();
            let read = target.transfer(offset, here, BYTES, libc::process_vm_readv);
            let tens = bytes.iter().filter(|byte| **byte == 10).count();
            let zeroes = bytes.iter().filter(|byte| **byte == 0).count();
            side.note(format_args!("read at {offset}"), (read, tens, zeroes));
            side.note_counts(format_args!("read at {offset}"))?;
        }
        for offset in [HUGE - 4096, 3 * HUGE - 8192] {
            let mut bytes = vec![0x66_u8; BYTES];
            let here = bytes.as_mut_ptr().cast();
            let written = target.transfer(offset, here, BYTES, libc::process_vm_writev);
            side.note(format_args!("written at {offset}"), written);
            side.note_counts(format_args!("written at {offset}"))?;
        }
        side.note("itself", target.finish()?);
        Ok(())
    })
}

/// With no page left, the one who asks gets the error, and the process lives on.
pub fn a_page_that_cannot_be_had() -> Check {
    beside_both(3, |side, kind| {
        let target = Target::start(side, kind, READ | WRITE)?;
        // What was promised to the child it can have; this is of nobody.
        let file = side.open()?;
        let other = kind.pages(2).unreserved().map(&file)?;
        side.note("write by the kernel", word::store(&other, 0, 1));
        side.note("read by the kernel", word::load(&other, HUGE));
        same!(
            (WAYS[0].write)(&target, 2 * HUGE, 9),
            Ok(()),
            "poke to a promised page"
        );
        side.note_counts("poked")?;
        side.note("itself", target.finish()?);
        Ok(())
    })
}

/// A process that reads and writes itself so, where it may not.
pub fn own_words() -> Check {
    beside_both(6, |side, kind| {
        for protection in PROTECTIONS {
            let (_file, map) = stamped(side, kind, 2)?;
            map.protect(0, 2 * HUGE, protection)?;
            let mem = OpenOptions::new()
                .read(true)
                .write(true)
                .open("/proc/self/mem")?;
            let at = map.base() as u64;
            let mut word = [0; 8];
            let what = format!("protection {protection}");
            let read = mem.read_exact_at(&mut word, at).map_err(Errno::from);
            side.note(format_args!("{what}, read"), (read, word));
            let written = mem.write_all_at(&[7; 8], at).map_err(Errno::from);
            side.note(format_args!("{what}, write"), written);
            side.note_counts(&what)?;
            map.protect(0, 2 * HUGE, READ)?;
            side.note(format_args!("{what}, word"), word::load(&map, 0));
        }
        Ok(())
    })
}
