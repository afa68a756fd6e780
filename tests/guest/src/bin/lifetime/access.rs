// SPDX-License-Identifier: GPL-2.0

//! Who may open the device nodes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use guest::child::{become_user, in_child};
use guest::device::{open_with, NODES};
use guest::{check, refused, same, Check};

pub fn other_users_cannot_open_the_nodes() -> Check {
    for node in NODES {
        let file = fs::metadata(node)?;
        check!(
            file.file_type().is_char_device(),
            "{node} is no character device"
        );
        let mode = file.permissions().mode() & 0o7777;
        same!(
            (mode, file.uid(), file.gid()),
            (0o600, 0, 0),
            "mode and owner of {node}"
        );
        open_with(node, libc::O_RDWR)?;
    }
    in_child(|| {
        become_user(1000)?;
        for node in NODES {
            for access in [libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY] {
                refused!(
                    open_with(node, access),
                    libc::EACCES,
                    "uid 1000 opens {node}"
                );
            }
        }
        Ok(())
    })
}
