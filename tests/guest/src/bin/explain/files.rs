// SPDX-License-Identifier: GPL-2.0

//! The files: who may read them, and that they are as documented.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use guest::child::{become_user, in_child};
use guest::kmod::{unload, users};
use guest::pool::{online_nodes, write_once};
use guest::{check, debugfs, poll, refused, same, Check, Errno};

use crate::text::{GIGANTIC, LARGE};

fn all() -> Check<Vec<String>> {
    let mut paths = Vec::new();
    for size in [LARGE, GIGANTIC] {
        for name in ["explain", "can_grow"] {
            paths.push(size.pool.file(name));
            for node in online_nodes()? {
                paths.push(size.pool.node_file(node, name));
            }
        }
        paths.push(size.map_file());
    }
    Ok(paths)
}

pub fn modes_and_users() -> Check {
    debugfs::mount()?;
    for path in all()? {
        let file = fs::metadata(&path)?;
        let mode = file.permissions().mode() & 0o7777;
        same!((mode, file.uid(), file.gid()), (0o400, 0, 0), "{path}");
        check!(write_once(&path, b"1").is_err(), "writing {path} succeeded");
    }
    in_child(|| {
        become_user(1000)?;
        for path in all()? {
            let opened = File::open(&path).map(drop).map_err(Errno::from);
            refused!(opened, libc::EACCES, "uid 1000 opens {path}");
        }
        Ok(())
    })
}

/// Every line, and no address but the map's frames.
pub fn lines_are_as_documented() -> Check {
    for size in [LARGE, GIGANTIC] {
        let told = size.explain()?;
        check!(!told.facts.is_empty(), "no zone");
        let (all, nodes) = size.can_grow()?;
        same!(
            all.now,
            nodes.iter().map(|(_, prospect)| prospect.now).sum::<u64>(),
            "what all nodes have now"
        );
        for node in online_nodes()? {
            let of_node = size.explain_of(node)?;
            check!(
                of_node.facts.iter().all(|fact| fact.node == node),
                "another node in the file of node {node}"
            );
            same!(
                of_node.sum("ranges", None),
                told.sum("ranges", Some(node)),
                "ranges of node {node}"
            );
            size.can_grow_of(node)?;
            for name in ["explain", "can_grow"] {
                for path in [size.pool.file(name), size.pool.node_file(node, name)] {
                    let text = fs::read_to_string(&path)?;
                    check!(
                        !text.contains("0x") && !text.contains("ffff"),
                        "{path} has an address: {text}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// The file belongs to the module, which must not go before it is closed.
pub fn an_open_map_keeps_the_module() -> Check {
    debugfs::mount()?;
    poll::until("users of the module", users, |count| *count == 0)?;
    let mut file = File::open(LARGE.map_file())?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    same!(users()?, 1, "users of the module");
    refused!(unload(), libc::EAGAIN, "rmmod with the map open");
    file.read_exact(&mut byte)?;
    drop(file);
    poll::until("users of the module", users, |count| *count == 0).map(drop)
}
