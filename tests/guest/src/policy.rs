// SPDX-License-Identifier: GPL-2.0

//! Memory policies, of this task and of mappings, and the CPU that it runs on.

use std::{mem, ptr};

use crate::map::Map;
use crate::{call, Check, Errno};

/// Bits of a node mask that is passed to the kernel.
const BITS: usize = 64;

/// A memory policy: `MPOL_…` and its nodes.
#[derive(Debug, Clone)]
pub struct Policy {
    mode: libc::c_int,
    nodes: Vec<usize>,
}

/// include/uapi/linux/mempolicy.h; libc has no names for these.
const MPOL_PREFERRED_MANY: libc::c_int = 5;
const MPOL_WEIGHTED_INTERLEAVE: libc::c_int = 6;
const SYS_SET_MEMPOLICY_HOME_NODE: libc::c_long = 450;

impl Policy {
    fn new(mode: libc::c_int, nodes: &[usize]) -> Self {
        let nodes = nodes.to_vec();
        Self { mode, nodes }
    }

    /// No policy: that of the task, if a mapping has it.
    pub fn none() -> Self {
        Self::new(libc::MPOL_DEFAULT, &[])
    }

    pub fn local() -> Self {
        Self::new(libc::MPOL_LOCAL, &[])
    }

    pub fn preferred(node: usize) -> Self {
        Self::new(libc::MPOL_PREFERRED, &[node])
    }

    pub fn preferred_many(nodes: &[usize]) -> Self {
        Self::new(MPOL_PREFERRED_MANY, nodes)
    }

    pub fn bind(nodes: &[usize]) -> Self {
        Self::new(libc::MPOL_BIND, nodes)
    }

    pub fn interleave(nodes: &[usize]) -> Self {
        Self::new(libc::MPOL_INTERLEAVE, nodes)
    }

    pub fn weighted_interleave(nodes: &[usize]) -> Self {
        Self::new(MPOL_WEIGHTED_INTERLEAVE, nodes)
    }

    /// One of each mode, over `nodes` or the last of them.
    pub fn each(nodes: &[usize]) -> Vec<Self> {
        let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
        vec![
            Self::local(),
            Self::preferred(first),
            Self::preferred(last),
            Self::preferred_many(nodes),
            Self::preferred_many(&[last]),
            Self::bind(nodes),
            Self::bind(&[first]),
            Self::bind(&[last]),
            Self::interleave(nodes),
            Self::interleave(&[last]),
            Self::weighted_interleave(nodes),
        ]
    }

    /// Those that say where a page had better lie, and leave none out of which `nodes` are all: a page
    /// that is reserved can be had.
    pub fn each_wish(nodes: &[usize]) -> Vec<Self> {
        let mut all = Self::each(nodes);
        all.retain(|policy| policy.mode != libc::MPOL_BIND || policy.nodes == nodes);
        all
    }

    pub fn nodes(&self) -> &[usize] {
        &self.nodes
    }

    fn mask(&self) -> u64 {
        self.nodes.iter().fold(0, |mask, node| mask | (1 << node))
    }

    /// Makes it this task's, until the result is dropped.
    pub fn set(&self) -> Check<TaskPolicy> {
        let mask = self.mask();
        // SAFETY: The kernel reads as many bits as there are; it looks at one less than it is told.
        call(unsafe { libc::syscall(libc::SYS_set_mempolicy, self.mode, &mask, BITS + 1) })?;
        Ok(TaskPolicy(()))
    }

    /// Makes it the mapping's (mbind).
    pub fn set_on(&self, map: &Map) -> Check {
        self.set_on_part(map, 0, map.pages())
    }

    /// Makes it that of `pages` pages of the mapping from page `first` on.
    pub fn set_on_part(&self, map: &Map, first: usize, pages: usize) -> Check {
        let page = map.page_bytes();
        Ok(self.bind_range(map.at(first * page), pages * page, 0)?)
    }

    /// mbind of `bytes` bytes from `base` on, with `flags`.
    pub fn bind_range(
        &self,
        base: *mut u8,
        bytes: usize,
        flags: libc::c_uint,
    ) -> Result<(), Errno> {
        let mask = self.mask();
        // SAFETY: As in `set`; mbind changes where pages are, not what they hold.
        call(unsafe {
            libc::syscall(
                libc::SYS_mbind,
                base.addr(),
                bytes,
                self.mode,
                &mask,
                BITS + 1,
                flags,
            )
        })?;
        Ok(())
    }
}

/// Gives the mapping a home node (set_mempolicy_home_node); its policy must be one that can have it.
pub fn set_home(map: &Map, node: usize) -> Check {
    // SAFETY: The range is the mapping's.
    call(unsafe {
        libc::syscall(
            SYS_SET_MEMPOLICY_HOME_NODE,
            map.base(),
            map.bytes(),
            node,
            0,
        )
    })?;
    Ok(())
}

/// A policy that this task has, until this is dropped.
#[must_use]
pub struct TaskPolicy(());

impl Drop for TaskPolicy {
    fn drop(&mut self) {
        let none = ptr::null::<u64>();
        // SAFETY: The default policy has no nodes to read.
        unsafe { libc::syscall(libc::SYS_set_mempolicy, libc::MPOL_DEFAULT, none, 0) };
    }
}

/// Keeps this task, and its children, on one CPU.
pub fn run_on_cpu(cpu: usize) -> Check {
    // SAFETY: All zeroes is the empty set, which CPU_SET adds to; the call reads the set.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        call(libc::sched_setaffinity(0, mem::size_of_val(&set), &set))?;
    }
    Ok(())
}
