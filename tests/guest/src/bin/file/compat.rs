// SPDX-License-Identifier: GPL-2.0

//! The calls as a program of 32 bits makes them: by int 0x80, with pointers of 32 bits.

use std::arch::asm;
use std::os::fd::AsRawFd;

use guest::child::in_child;
use guest::file::{Huge, INFO, PREALLOCATE, PUNCH_HOLE, SET_SIZE};
use guest::map::{Map, Request};
use guest::pool::{Resized, OURS};
use guest::{same, Check, Errno, Fail, HUGE};

use crate::pages;

/// arch/x86/entry/syscalls/syscall_32.tbl
const IOCTL: u32 = 54;
const GETPID: u32 = 20;

pub fn programs_of_32_bits() -> Check {
    // Without CONFIG_IA32_EMULATION the instruction is a fault.
    in_child(|| {
        let pid = call_32(GETPID, [0; 3])?;
        same!(pid, std::process::id(), "getpid");
        Ok(())
    })
    .map_err(|Fail(why)| Fail(format!("calls of 32 bits: {why}")))?;
    let _pool = Resized::ours(3)?;
    let file = Huge::new(OURS)?;
    let memory = Request {
        bytes: 4096,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
        ..Request::pages(1)
    }
    .map_fd(-1)?;
    let ioctl = |number, words: &[u64]| ioctl_32(&file, &memory, number, words);
    ioctl(SET_SIZE, &[pages(4)])?;
    ioctl(PREALLOCATE, &[pages(1), pages(2)])?;
    same!(
        file.info()?,
        [pages(1), pages(4), pages(2), 0],
        "the file preallocated"
    );
    ioctl(INFO, &[0; 4])?;
    for (word, want) in [pages(1), pages(4), pages(2), 0].into_iter().enumerate() {
        same!(memory.read(word * 8), want, "word {word} of the info");
    }
    ioctl(PUNCH_HOLE, &[pages(2), pages(1)])?;
    same!(file.info()?[2], pages(1), "bytes allocated with a hole");
    same!(OURS.free()?, 2, "free_hugepages");
    let huge = HUGE as u64;
    let refused = [
        (SET_SIZE, [1, 0], libc::EINVAL),
        (PUNCH_HOLE, [huge, 0], libc::EINVAL),
        (PREALLOCATE, [1 << 63, huge], libc::EFBIG),
        (libc::_IO(0xE6, 9), [0, 0], libc::ENOTTY),
    ];
    for (number, words, errno) in refused {
        same!(
            ioctl(number, &words),
            Err(Errno(errno)),
            "call {number:#x} with {words:x?}"
        );
    }
    let nowhere = call_32(IOCTL, [fd(&file), INFO as u32, u32::MAX - 7]);
    same!(nowhere, Err(Errno(libc::EFAULT)), "with a bad pointer");
    Ok(())
}

fn ioctl_32(file: &Huge, memory: &Map, number: libc::c_ulong, words: &[u64]) -> Result<(), Errno> {
    for (index, word) in words.iter().enumerate() {
        memory.write(index * 8, *word);
    }
    let address = memory.base() as usize as u32;
    call_32(IOCTL, [fd(file), number as u32, address]).map(drop)
}

fn fd(file: &Huge) -> u32 {
    file.as_raw_fd() as u32
}

/// A system call of 32 bits.
fn call_32(number: u32, [one, two, three]: [u32; 3]) -> Result<u32, Errno> {
    let result: i32;
    // SAFETY: Callers pass pointers to memory of their own. RBX is the compiler's, so it is put back.
    unsafe {
        asm!(
            "xchg {one:r}, rbx",
            "int 0x80",
            "xchg {one:r}, rbx",
            one = inout(reg) u64::from(one) => _,
            inout("eax") number => result,
            in("ecx") two,
            in("edx") three,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    match result {
        -4095..=-1 => Err(Errno(-result)),
        value => Ok(value as u32),
    }
}
