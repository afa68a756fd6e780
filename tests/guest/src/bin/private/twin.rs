// SPDX-License-Identifier: GPL-2.0

//! A forked child that does to its copy of a mapping what the test says.

use guest::child::{self, Child};
use guest::map::Map;
use guest::{word, Check, Errno, HUGE};

const LOAD: u64 = 1;
const STORE: u64 = 2;
const UNMAP: u64 = 3;
const END: u64 = 4;

/// Says that an answer is an errno.
const FAILED: u64 = 1 << 63;

pub struct Twin(Child);

impl Twin {
    /// Forks.
    pub fn of(map: &Map) -> Check<Self> {
        let child = child::fork(|link| loop {
            let (act, page, value) = (link.number()?, link.number()? as usize, link.number()?);
            let offset = page * HUGE;
            let answer = match act {
                LOAD => word::load(map, offset),
                STORE => word::store(map, offset, value).map(|()| 0),
                UNMAP => map.unmap(offset, HUGE).map(|_| 0),
                _ => return Ok(()),
            };
            link.send(answer.unwrap_or_else(|Errno(errno)| FAILED | errno as u64))?;
        })?;
        Ok(Self(child))
    }

    /// The first word of a page, as the child sees it.
    pub fn load(&self, page: usize) -> Check<Result<u64, Errno>> {
        self.ask(LOAD, page, 0)
    }

    pub fn store(&self, page: usize, value: u64) -> Check<Result<u64, Errno>> {
        self.ask(STORE, page, value)
    }

    pub fn unmap(&self, page: usize) -> Check<Result<u64, Errno>> {
        self.ask(UNMAP, page, 0)
    }

    /// Lets it exit.
    pub fn end(self) -> Check {
        self.say(END, 0, 0)?;
        self.0.finish()
    }

    pub fn kill(self) -> Check {
        self.0.kill()
    }

    fn ask(&self, act: u64, page: usize, value: u64) -> Check<Result<u64, Errno>> {
        self.say(act, page, value)?;
        let answer = self.0.link.number()?;
        Ok(if answer & FAILED != 0 {
            Err(Errno((answer & !FAILED) as i32))
        } else {
            Ok(answer)
        })
    }

    fn say(&self, act: u64, page: usize, value: u64) -> Check {
        for number in [act, page as u64, value] {
            self.0.link.send(number)?;
        }
        Ok(())
    }
}
