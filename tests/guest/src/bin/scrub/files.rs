// SPDX-License-Identifier: GPL-2.0

//! The files themselves.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use guest::pool::{online_nodes, write_once, OURS};
use guest::scrub::Share;
use guest::{refused, same, Check};

const COUNTS: [&str; 3] = ["zeroed_hugepages", "faults_cleared", "faults_found_zero"];

pub fn modes() -> Check {
    let mut paths: Vec<_> = COUNTS.map(|name| (OURS.file(name), 0o444)).into();
    for node in online_nodes()? {
        paths.push((OURS.node_file(node, COUNTS[0]), 0o444));
    }
    paths.push((OURS.file("scrub_percent"), 0o644));
    for (path, mode) in paths {
        let file = fs::metadata(&path)?;
        let seen = (file.permissions().mode() & 0o7777, file.uid(), file.gid());
        same!(seen, (mode, 0, 0), "mode and owner of {path}");
        if mode == 0o444 {
            refused!(write_once(&path, b"1"), libc::EACCES, "writing {path}");
        }
    }
    Ok(())
}

pub fn percents_are_parsed() -> Check {
    let path = OURS.file("scrub_percent");
    let _share = Share::of(OURS, 7)?;
    for (text, errno) in [
        ("101", libc::EINVAL),
        ("256", libc::EINVAL),
        ("356", libc::EINVAL),
        ("18446744073709551615", libc::EINVAL),
        ("18446744073709551616", libc::ERANGE),
        ("-1", libc::EINVAL),
        ("1.5", libc::EINVAL),
        ("ten", libc::EINVAL),
        ("\n", libc::EINVAL),
        ("5%", libc::EINVAL),
    ] {
        refused!(
            write_once(&path, text.as_bytes()),
            errno,
            "writing {text:?}"
        );
        same!(fs::read_to_string(&path)?, "7\n", "after writing {text:?}");
    }
    for (text, read) in [
        ("0", "0\n"),
        ("1\n", "1\n"),
        ("099", "99\n"),
        ("100", "100\n"),
    ] {
        same!(
            write_once(&path, text.as_bytes()),
            Ok(text.len()),
            "writing {text:?}"
        );
        same!(fs::read_to_string(&path)?, read, "after writing {text:?}");
    }
    Ok(())
}
