// SPDX-License-Identifier: GPL-2.0

//! What the calls of a process leave behind for later ones: descriptors and mappings, in slots.

use crate::user::User;
use crate::values;

/// A mapping, as far as later calls know.
#[derive(Clone, Copy, Default)]
pub struct Mapping {
    pub address: usize,
    pub bytes: usize,
}

pub struct State<'a> {
    pub files: [i32; 4],
    pub mappings: [Mapping; 4],
    pub pipe: [i32; 2],
    /// Processes that may still be made: they all go on with the sequence.
    pub forks: u32,
    /// Who does it, if not root.
    pub user: Option<User<'a>>,
}

impl<'a> State<'a> {
    pub fn new(user: Option<User<'a>>) -> Self {
        let mut pipe = [-1; 2];
        // SAFETY: There is room for two descriptors.
        unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        Self {
            files: [-1; 4],
            mappings: [Mapping::default(); 4],
            pipe,
            forks: 2,
            user,
        }
    }

    pub fn file(&self, number: u8) -> i32 {
        values::pick(&self.files, number)
    }

    /// Puts a descriptor into a slot, and closes the one that was there.
    pub fn put_file(&mut self, number: u8, fd: i64) {
        let slot = &mut self.files[usize::from(number) % 4];
        // SAFETY: A number.
        unsafe { libc::close(*slot) };
        *slot = fd as i32;
    }

    pub fn mapping(&self, number: u8) -> Mapping {
        values::pick(&self.mappings, number)
    }

    /// Notes a mapping in a slot; the one that was there stays until the process ends.
    pub fn put_mapping(&mut self, number: u8, address: i64, bytes: u64) {
        if address > 0 {
            self.mappings[usize::from(number) % 4] = Mapping {
                address: address as usize,
                bytes: bytes as usize,
            };
        }
    }

    /// An address in a mapping, and how far the call goes from there; both may be nonsense.
    pub fn part(&self, mapping: u8, offset: u8, length: u8) -> (usize, usize) {
        let Mapping { address, bytes } = self.mapping(mapping);
        let start = address.wrapping_add(values::offset(offset) as usize);
        let length = match length {
            0..=31 => bytes,
            _ => values::length(length) as usize,
        };
        (start, length)
    }
}
