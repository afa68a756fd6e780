// SPDX-License-Identifier: GPL-2.0

//! A sysfs file that is open already, so that to read or to write it is one system call.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use guest::pool::Pool;
use guest::{same, Check};

use crate::clock::time;

/// An open file with a count.
pub struct Knob(File);

impl Knob {
    /// One of a pool's files, to be written to: some cannot be read.
    pub fn writable(pool: Pool, name: &str) -> Check<Self> {
        let file = OpenOptions::new().write(true).open(pool.file(name));
        Ok(Self(file?))
    }

    /// One of a pool's files.
    pub fn readable(pool: Pool, name: &str) -> Check<Self> {
        Ok(Self(File::open(pool.file(name))?))
    }

    /// What it takes to write `count`.
    pub fn write(&self, count: usize) -> Check<u64> {
        let text = count.to_string();
        let (span, written) = time(|| self.0.write_at(text.as_bytes(), 0));
        same!(written?, text.len(), "bytes written to a count");
        Ok(span)
    }

    /// What it takes to read the count.
    pub fn read(&self) -> Check<u64> {
        let mut text = [0; 32];
        let (span, length) = time(|| self.0.read_at(&mut text, 0));
        length?;
        Ok(span)
    }
}

/// What it takes to give `pool` exactly `pages` pages by its `nr_hugepages`, which is `knob`.
pub fn resize(pool: Pool, knob: &Knob, pages: usize) -> Check<u64> {
    let span = knob.write(pages)?;
    same!(pool.nr()?, pages as u64, "nr_hugepages after a resize");
    Ok(span)
}
