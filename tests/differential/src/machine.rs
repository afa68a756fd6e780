// SPDX-License-Identifier: GPL-2.0

//! The guest that the program finds itself in.

use std::fs;

use crate::sys::call;

/// What operations may refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The nodes with memory, ascending. All online nodes have some in a guest of `qemu/run`.
    pub nodes: Vec<usize>,
    /// How many CPUs there are, numbered from 0.
    pub cpus: usize,
}

impl Machine {
    /// Looks at the guest.
    pub fn look() -> Result<Self, String> {
        let online = node_list("online")?;
        let nodes = node_list("has_memory")?;
        if online != nodes {
            return Err(format!(
                "nodes {nodes:?} of {online:?} have memory: give every node some"
            ));
        }
        // SAFETY: sysconf takes a number.
        let cpus = call(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) })
            .map_err(|errno| format!("sysconf: errno {errno}"))?;
        Ok(Self {
            nodes,
            cpus: cpus as usize,
        })
    }
}

fn node_list(name: &str) -> Result<Vec<usize>, String> {
    let path = format!("/sys/devices/system/node/{name}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut nodes = Vec::new();
    for range in text.trim_end().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bound = |text: &str| text.parse::<usize>().map_err(|e| format!("{path}: {e}"));
        nodes.extend(bound(first)?..=bound(last)?);
    }
    Ok(nodes)
}
