// SPDX-License-Identifier: GPL-2.0

//! The files themselves: names, modes, what they take and what they say to what they do not take.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use crate::backend::{Backend, Knob};
use crate::ktap::Check;
use crate::machine::Machine;
use crate::op::Op;
use crate::pair::Pair;
use crate::text::{Text, ODD, VAST};

/// The module's own files, which hugetlb has not: of the whole pool, and of a node.
const OWN: [&str; 11] = [
    "pinned_hugepages",
    "poisoned_hugepages",
    "zeroed_hugepages",
    "faults_cleared",
    "faults_found_zero",
    "scrub_percent",
    "oom_floor",
    "explain",
    "can_grow",
    "promote",
    "promotable_hugepages",
];
const OWN_OF_NODE: [&str; 6] = [
    "poisoned_hugepages",
    "zeroed_hugepages",
    "explain",
    "can_grow",
    "promote",
    "promotable_hugepages",
];

/// Each folder has hugetlb's files and no others but the module's own; type, mode, owner and size
/// are the same, and the modes those of the contract.
pub fn names_and_modes(machine: &Machine) -> Check {
    for knob in Knob::all(&machine.nodes) {
        let [expected, seen] = Backend::BOTH.map(|backend| {
            let path = backend.path(knob);
            fs::symlink_metadata(&path)
                .map(|meta| {
                    (
                        meta.mode(),
                        meta.uid(),
                        meta.gid(),
                        meta.nlink(),
                        meta.size(),
                    )
                })
                .map_err(|error| format!("{path}: {error}"))
        });
        let (expected, seen) = (expected?, seen?);
        same(knob, "mode, owner, links, size", &expected, &seen)?;
        let mode = libc::S_IFREG | if knob.is_writable() { 0o644 } else { 0o444 };
        same(knob, "mode", &mode, &seen.0)?;
    }
    for knob in [Knob::Nr]
        .into_iter()
        .chain(machine.nodes.iter().map(|&node| Knob::NodeNr(node)))
    {
        let [expected, mut seen] = Backend::BOTH.map(|backend| names_beside(&backend.path(knob)));
        let own: &[_] = match knob {
            Knob::Nr => &OWN,
            _ => &OWN_OF_NODE,
        };
        if let Ok(names) = &mut seen {
            for name in own {
                if !names.remove(*name) {
                    return Err(format!("{knob}: no file {name} beside it"));
                }
            }
        }
        same(knob, "files in its folder", &expected?, &seen?)?;
    }
    Ok(())
}

fn names_beside(path: &str) -> Check<BTreeSet<String>> {
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let entries = fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(|error| format!("{folder}: {error}"))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// Each file takes and refuses the same texts with the same errno, and does the same with them.
pub fn texts(pair: &mut Pair, machine: &Machine) -> Check {
    let mut texts: Vec<Text> = ODD.iter().map(|odd| Text::Bytes(odd.to_vec())).collect();
    // The file system takes 4096 bytes at most.
    for zeroes in [1, 19, 20, 64, 4094, 4095, 4096, 5 << 10] {
        texts.push(Text::Padded { zeroes, count: 5 });
    }
    for (seed, length) in [
        (1, 1),
        (2, 8),
        (3, 4095),
        (4, 4096),
        (5, 4097),
        (6, 5 << 10),
    ] {
        texts.push(Text::Noise { seed, length });
    }
    for knob in Knob::all(&machine.nodes) {
        pair.reset()?;
        let vast = VAST.iter().filter(|_| knob == Knob::Overcommit);
        for text in texts
            .iter()
            .cloned()
            .chain(vast.map(|count| Text::Count(*count)))
        {
            let op = Op::Write { knob, text };
            pair.step(&op)
                .map_err(|difference| format!("{op}: {}", String::from(difference)))?;
        }
    }
    Ok(pair.reset()?)
}

/// Open flags, offsets, short reads, and users who are not root.
pub fn access(machine: &Machine) -> Check {
    for knob in Knob::all(&machine.nodes) {
        let [expected, seen] = Backend::BOTH.map(|backend| tries(&backend.path(knob)));
        for (expected, seen) in expected.into_iter().zip(seen) {
            same(knob, "a way to use it", &expected, &seen)?;
        }
    }
    Ok(())
}

/// What comes of the ways to use a file, each with its name.
fn tries(path: &str) -> Vec<(&'static str, Result<String, i32>)> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(0);
    let opened = |options: &OpenOptions, used: &dyn Fn(&mut File) -> std::io::Result<String>| {
        let mut file = options.open(path).map_err(errno)?;
        used(&mut file).map_err(errno)
    };
    let read_only = OpenOptions::new().read(true).clone();
    let write_only = OpenOptions::new().write(true).clone();
    let both = OpenOptions::new().read(true).write(true).clone();
    let nothing = |_: &mut File| Ok(String::new());
    let read = |file: &mut File| {
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    };
    vec![
        ("open O_RDONLY", opened(&read_only, &nothing)),
        ("open O_WRONLY", opened(&write_only, &nothing)),
        ("open O_RDWR", opened(&both, &nothing)),
        (
            "open O_WRONLY|O_TRUNC",
            opened(write_only.clone().truncate(true), &nothing),
        ),
        (
            "open O_WRONLY|O_APPEND, write",
            opened(&OpenOptions::new().append(true).clone(), &|file| {
                file.write(b"1").map(|length| length.to_string())
            }),
        ),
        (
            "open O_CREAT|O_EXCL",
            opened(write_only.clone().create_new(true), &nothing),
        ),
        (
            "open O_DIRECTORY",
            opened(read_only.clone().custom_flags(libc::O_DIRECTORY), &nothing),
        ),
        ("read", opened(&read_only, &read)),
        ("write what was opened for reading", {
            opened(&read_only, &|file| file.write(b"1").map(|n| n.to_string()))
        }),
        (
            "read what was opened for writing",
            opened(&write_only, &read),
        ),
        (
            "read byte by byte",
            opened(&read_only, &|file| {
                let bytes: Result<Vec<u8>, _> = file.bytes().collect();
                Ok(String::from_utf8_lossy(&bytes?).into_owned())
            }),
        ),
        (
            "read at 1",
            opened(&read_only, &|file| {
                let mut buffer = [0; 8];
                let length = file.read_at(&mut buffer, 1)?;
                Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
            }),
        ),
        (
            "read at 5000",
            opened(&read_only, &|file| {
                file.read_at(&mut [0; 8], 5000).map(|n| n.to_string())
            }),
        ),
        (
            "write at 3, read",
            opened(&both, &|file| {
                let length = file.write_at(b"2\n", 3)?;
                Ok(format!("{length} {}", read(file)?))
            }),
        ),
        (
            "write twice, read",
            opened(&both, &|file| {
                let lengths = (file.write(b"3")?, file.write(b"0")?);
                file.sync_all()
                    .or_else(|error| match error.raw_os_error() {
                        Some(libc::EINVAL) => Ok(()),
                        _ => Err(error),
                    })?;
                Ok(format!("{lengths:?} {:?}", read(file)))
            }),
        ),
        (
            "truncate",
            opened(&write_only, &|file| file.set_len(0).map(|()| String::new())),
        ),
        (
            "as nobody: open O_RDONLY",
            as_nobody(|| opened(&read_only, &nothing)),
        ),
        (
            "as nobody: open O_WRONLY",
            as_nobody(|| opened(&write_only, &nothing)),
        ),
    ]
}

/// Does something with another user's rights on files.
fn as_nobody<T>(tried: impl FnOnce() -> T) -> T {
    // SAFETY: Both take a number. root becomes nobody and, what it may always, root again.
    unsafe {
        libc::setfsuid(65534);
        let result = tried();
        libc::setfsuid(0);
        result
    }
}

fn same<T: PartialEq + std::fmt::Debug>(knob: Knob, what: &str, expected: &T, seen: &T) -> Check {
    match expected == seen {
        true => Ok(()),
        false => Err(format!("{knob}: {what}: {seen:?}, not {expected:?}")),
    }
}
