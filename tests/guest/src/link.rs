// SPDX-License-Identifier: GPL-2.0

//! The line between a test and another process: numbers, descriptors, SIGBUS, and why it failed.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::{call, fail, Check, Errno, Fail};

/// One end of the line between a test and its child.
pub struct Link(OwnedFd);

/// What arrives on a [`Link`].
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Number(u64),
    /// A SIGBUS at `address`, with its si_code.
    Bus {
        address: usize,
        code: i32,
    },
    Failed(String),
    /// The other side is gone.
    End,
}

const NUMBER: u8 = b'n';
const BUS: u8 = b'b';
const FAILED: u8 = b'f';

impl Link {
    /// Both ends of a new line.
    pub fn pair() -> Check<(Self, Self)> {
        let mut ends: [RawFd; 2] = [-1; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: There is room for two descriptors.
        call(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
        // SAFETY: socketpair made both, and nobody else has them.
        Ok(unsafe {
            (
                Self(OwnedFd::from_raw_fd(ends[0])),
                Self(OwnedFd::from_raw_fd(ends[1])),
            )
        })
    }

    pub fn send(&self, number: u64) -> Check {
        let mut packet = vec![NUMBER];
        packet.extend(number.to_ne_bytes());
        send_packet(self.0.as_raw_fd(), &packet)?;
        Ok(())
    }

    /// Says why this process failed, shortened to what a message holds.
    pub fn send_failure(&self, why: &str) -> Check {
        let mut packet = vec![FAILED];
        packet.extend(why.bytes().take(500));
        send_packet(self.0.as_raw_fd(), &packet)?;
        Ok(())
    }

    /// Waits for whatever arrives next.
    pub fn receive(&self) -> Check<Message> {
        let mut packet = [0; 512];
        // SAFETY: There is room for the bytes.
        let length = call(unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                packet.as_mut_ptr().cast(),
                packet.len(),
                0,
            )
        } as i64);
        let length = match length {
            // The child died with messages of ours unread.
            Err(Errno(libc::ECONNRESET)) => 0,
            other => other? as usize,
        };
        let word = |from: usize| {
            let bytes = packet[from..from + 8].try_into().unwrap_or_default();
            u64::from_ne_bytes(bytes)
        };
        Ok(match packet[..length] {
            [] => Message::End,
            [NUMBER, ..] => Message::Number(word(1)),
            [BUS, ..] => Message::Bus {
                address: word(1) as usize,
                code: word(9) as i32,
            },
            _ => Message::Failed(String::from_utf8_lossy(&packet[1..length]).into_owned()),
        })
    }

    /// Whether something arrived, or the other side is gone.
    pub fn has_message(&self) -> Check<bool> {
        let mut poll = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: There is one pollfd.
        Ok(call(unsafe { libc::poll(&mut poll, 1, 0) })? != 0)
    }

    /// Waits for a number; anything else fails the test.
    pub fn number(&self) -> Check<u64> {
        match self.receive()? {
            Message::Number(number) => Ok(number),
            Message::Failed(why) => Err(Fail(why)),
            other => Err(Fail(format!("the other process: {other:?}"))),
        }
    }

    /// Passes a descriptor, by SCM_RIGHTS.
    pub fn send_descriptor(&self, fd: &impl AsRawFd) -> Check {
        let mut byte = 0_u8;
        let mut part = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let mut control = [0_u64; 4];
        // SAFETY: The header's pointers stay valid through the call, and there is room for one
        // descriptor in `control`.
        unsafe {
            let header = message_header(&mut part, &mut control);
            let first = libc::CMSG_FIRSTHDR(&header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(first)
                .cast::<RawFd>()
                .write_unaligned(fd.as_raw_fd());
            call(libc::sendmsg(self.0.as_raw_fd(), &header, 0) as i64)?;
        }
        Ok(())
    }

    /// Takes a descriptor that the other side passed.
    pub fn receive_descriptor(&self) -> Check<OwnedFd> {
        let mut byte = 0_u8;
        let mut part = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let mut control = [0_u64; 4];
        // SAFETY: As in `send_descriptor`; a descriptor that arrives is nobody else's.
        unsafe {
            let mut header = message_header(&mut part, &mut control);
            call(libc::recvmsg(self.0.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) as i64)?;
            let first = libc::CMSG_FIRSTHDR(&header);
            if first.is_null() || (*first).cmsg_type != libc::SCM_RIGHTS {
                fail!("no descriptor arrived");
            }
            let fd = libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned();
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// A header for one byte and one descriptor.
///
/// # Safety
///
/// The header is used only while both arguments live.
unsafe fn message_header(part: &mut libc::iovec, control: &mut [u64; 4]) -> libc::msghdr {
    // SAFETY: All zeroes is a valid msghdr; CMSG_SPACE only calculates.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: As above.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    header
}

fn send_packet(fd: RawFd, packet: &[u8]) -> Result<i64, Errno> {
    // SAFETY: The bytes are there.
    call(unsafe { libc::send(fd, packet.as_ptr().cast(), packet.len(), libc::MSG_NOSIGNAL) } as i64)
}

/// Says a SIGBUS on the line with descriptor `fd`. Fit for a signal handler: it only calls send.
pub fn send_bus(fd: RawFd, address: usize, code: i32) {
    let mut packet = [BUS; 17];
    packet[1..9].copy_from_slice(&address.to_ne_bytes());
    packet[9..].copy_from_slice(&(code as u64).to_ne_bytes());
    let _ = send_packet(fd, &packet);
}

/// The line's descriptor, for [`send_bus`].
impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The end of a line that a program was started with.
impl From<OwnedFd> for Link {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}
