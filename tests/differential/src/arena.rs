// SPDX-License-Identifier: GPL-2.0

//! The part of the address space that a pool's mappings are in: the same in all processes, far from
//! everything else, with a place for each page of each slot. What happens at an address is then told
//! as a page's number, which is the same for both pools; and whatever is mapped there is a mapping
//! of this program's making.

use std::ptr;

use crate::backend::Backend;
use crate::op::{Pages, Place, MAPS, SLOT_PAGES};
use crate::sys::{call, Returned};
use crate::HUGE;

/// Pages of all slots.
pub const PAGES: usize = MAPS * SLOT_PAGES;

// A number of a page, and one past them, fit into an event.
const _: () = assert!(PAGES < u16::MAX as usize);

/// A pool's part of the address space.
#[derive(Debug, Clone, Copy)]
pub struct Arena {
    base: usize,
}

impl Arena {
    /// The one of `backend`: a multiple of 1 GiB, far below where the kernel puts mappings.
    pub fn of(backend: Backend) -> Self {
        Self {
            base: match backend {
                Backend::Hugetlb => 0x1000_0000_0000,
                Backend::Ours => 0x1100_0000_0000,
            },
        }
    }

    /// Where a page is.
    pub fn address(self, place: Place) -> usize {
        self.base + place.number() * HUGE
    }

    /// Address and length of some pages.
    pub fn range(self, at: Pages) -> (usize, usize) {
        (self.address(at.place()), at.count * HUGE)
    }

    /// Address and length of all.
    pub fn whole(self) -> (usize, usize) {
        (self.base, PAGES * HUGE)
    }

    /// The number of the page around an address; none if it is outside.
    pub fn number(self, address: usize) -> Option<usize> {
        let number = address.checked_sub(self.base)? / HUGE;
        (number < PAGES).then_some(number)
    }

    /// Puts a base page past the slots, in the same GiB: whatever is mapped and unmapped there, the
    /// page table that huge pages are entered into stays. (Without it mincore tells what a file of
    /// hugetlb has, with it what is mapped: it asks the page table if there is one.)
    pub fn anchor(self) -> Returned {
        let (base, length) = self.whole();
        // SAFETY: Nothing is there, or an anchor that was put there before.
        unsafe {
            let anchor = call(libc::mmap(
                (base + length) as *mut _,
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            ) as i64)?;
            ptr::write_volatile(anchor as *mut u64, 1);
        }
        Ok(0)
    }
}
