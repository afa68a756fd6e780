// SPDX-License-Identifier: GPL-2.0

//! Who may read and write the pool's files.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use guest::child::{become_user, in_child};
use guest::pool::{online_nodes, write_once, HUGETLB, OURS};
use guest::{check, refused, same, Check, Errno};

/// The files that both pools have, ours first.
fn pairs() -> Check<Vec<(String, String)>> {
    let names = ["nr_hugepages", "free_hugepages", "surplus_hugepages"];
    let mut pairs = Vec::new();
    for name in [
        "nr_hugepages_mempolicy",
        "nr_overcommit_hugepages",
        "resv_hugepages",
    ] {
        pairs.push((OURS.file(name), HUGETLB.file(name)));
    }
    for name in names {
        pairs.push((OURS.file(name), HUGETLB.file(name)));
        for node in online_nodes()? {
            pairs.push((OURS.node_file(node, name), HUGETLB.node_file(node, name)));
        }
    }
    Ok(pairs)
}

pub fn modes_are_hugetlbs() -> Check {
    for (ours, hugetlbs) in pairs()? {
        let [seen, want] = [fs::metadata(&ours)?, fs::metadata(hugetlbs)?]
            .map(|file| (file.permissions().mode(), file.uid(), file.gid()));
        same!(seen, want, "mode and owner of {ours}");
    }
    Ok(())
}

pub fn root_cannot_write_read_only_files() -> Check {
    for (ours, hugetlbs) in pairs()? {
        let name = ours.rsplit('/').next().unwrap_or_default();
        if name.starts_with("nr_") {
            continue;
        }
        let [seen, want] = [&ours, &hugetlbs].map(|path| write_once(path, b"1"));
        same!(seen, want, "writing {ours}");
        check!(seen.is_err(), "writing {ours} succeeded");
    }
    refused!(
        write_once(&OURS.file("pinned_hugepages"), b"1"),
        libc::EACCES,
        "writing pinned_hugepages"
    );
    Ok(())
}

pub fn other_users_read_but_do_not_write() -> Check {
    in_child(|| {
        become_user(1000)?;
        for (ours, hugetlbs) in pairs()? {
            let [seen, want] =
                [&ours, &hugetlbs].map(|path| OpenOptions::new().write(true).open(path));
            let [seen, want] = [seen, want].map(|file| file.map(drop).map_err(Errno::from));
            same!(seen, want, "uid 1000 opens {ours} for writing");
            refused!(seen, libc::EACCES, "uid 1000 opens {ours} for writing");
            same!(
                fs::read_to_string(&ours).is_ok(),
                fs::read_to_string(&hugetlbs).is_ok(),
                "uid 1000 reads {ours}"
            );
        }
        OURS.nr()?;
        Ok(())
    })
}
