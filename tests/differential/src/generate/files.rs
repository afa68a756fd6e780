// SPDX-License-Identifier: GPL-2.0

//! Files: their pages and sizes.

use crate::generate::Generator;
use crate::op::{FilePages, Op};
use crate::pair::Pair;
use crate::size::FILE_PAGES;

impl Generator {
    pub(super) fn open(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let file = self.file(pair, who, false)?;
        Some(Op::Open { file })
    }

    pub(super) fn close(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let file = self.file(pair, who, true)?;
        Some(Op::Close { file })
    }

    pub(super) fn set_size(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let file = self.file(pair, who, true)?;
        let pages = self.random.u64(..=FILE_PAGES as u64);
        Some(Op::SetSize { file, pages })
    }

    pub(super) fn punch(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        Some(Op::Punch(self.file_pages(pair, who)?))
    }

    pub(super) fn preallocate(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        Some(Op::Preallocate(self.file_pages(pair, who)?))
    }

    pub(super) fn info(&mut self, pair: &Pair, who: usize) -> Option<Op> {
        let file = self.file(pair, who, true)?;
        Some(Op::Info { file })
    }

    /// Some pages of an open file; once in a while none, which is refused.
    fn file_pages(&mut self, pair: &Pair, who: usize) -> Option<FilePages> {
        let file = self.file(pair, who, true)?;
        let first = self.random.u64(..FILE_PAGES as u64);
        let most = FILE_PAGES as u64 - first;
        let count = match self.random.u32(..20) {
            0 => 0,
            1..=6 => most,
            _ => self.random.u64(1..=most.min(4)),
        };
        Some(FilePages { file, first, count })
    }
}
