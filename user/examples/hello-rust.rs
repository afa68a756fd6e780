// SPDX-License-Identifier: GPL-2.0 OR MIT

//! hello-rust: the same huge pages seen from Rust.
//!
//! Alone it maps pages, writes the pattern of `hello-c` and reads it back. With `--fd` it maps the
//! descriptor that a parent passed and only reads. Each page's first and last word is printed, and
//! every word is checked.

use std::os::fd::RawFd;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use rust_hugetlb::{pool, HugeMapping, DEVICE_2M, HUGE_PAGE_SIZE};

const WORDS: usize = HUGE_PAGE_SIZE / size_of::<u64>();

const USAGE: &str = "\
Usage: hello-rust [--fd N] [--pages COUNT] [--help]
Maps COUNT pages of 2 MiB (4 unless told) of /dev/rust_hugetlb-2M, writes a pattern and reads it back.
  --fd N         read only, the pattern that the parent wrote through descriptor N
  --pages COUNT  how many pages
Exit status: 0 when every word is as it must be, 1 when not, 2 for wrong arguments.
";

struct Arguments {
    fd: Option<RawFd>,
    pages: usize,
    help: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            fd: None,
            pages: 4,
            help: false,
        };
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().ok_or(format!("{word} needs a number"))?;
                value
                    .parse::<u16>()
                    .map_err(|_| format!("{word} {value}: no number from 0 to 65535"))
            };
            match word.as_str() {
                "--fd" => parsed.fd = Some(number()?.into()),
                "--pages" => parsed.pages = number()?.into(),
                "--help" => parsed.help = true,
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(parsed)
    }
}

/// The pattern, which `hello-c` knows too: the page from 1, and the word's index in it.
fn pattern(page: usize, word: usize) -> u64 {
    ((page as u64 + 1) << 32) | word as u64
}

fn write_pattern(mapping: &HugeMapping) {
    for (page, words) in mapping.chunks_exact(WORDS).enumerate() {
        for (index, word) in words.iter().enumerate() {
            word.store(pattern(page, index), Relaxed);
        }
    }
}

/// Checks all words, prints the ends of each page.
fn read_pattern(mapping: &HugeMapping) -> Result<(), String> {
    for (page, words) in mapping.chunks_exact(WORDS).enumerate() {
        for (index, word) in words.iter().enumerate() {
            let (seen, want) = (word.load(Relaxed), pattern(page, index));
            if seen != want {
                return Err(format!(
                    "word {index} of page {page} is {seen:#018x}, not {want:#018x}: was the pattern written before?"
                ));
            }
        }
        let [first, last] = [&words[0], &words[WORDS - 1]].map(|word| word.load(Relaxed));
        println!(
            "hello-rust: page {page}: {first:#018x} .. {last:#018x}, {WORDS} words as written"
        );
    }
    Ok(())
}

fn read_passed(fd: RawFd, pages: usize) -> Result<(), String> {
    // SAFETY: The number is the parent's to give, and this program opens nothing before.
    let mapping = unsafe { HugeMapping::from_inherited(fd, pages) }.map_err(|e| e.to_string())?;
    println!("hello-rust: {pages} pages mapped from descriptor {fd}");
    read_pattern(&mapping)
}

fn write_and_read(pages: usize) -> Result<(), String> {
    let mapping = HugeMapping::new(pages).map_err(|e| e.to_string())?;
    mapping.populate().map_err(|e| e.to_string())?;
    write_pattern(&mapping);
    println!("hello-rust: {pages} pages mapped from {DEVICE_2M}, pattern written");
    let free = pool::free().map_err(|e| e.to_string())?;
    println!("hello-rust: free_hugepages: {free} now");
    read_pattern(&mapping)
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("hello-rust: {error}: see hello-rust --help");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let result = match arguments.fd {
        Some(fd) => read_passed(fd, arguments.pages),
        None => write_and_read(arguments.pages),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello-rust: {error}");
            ExitCode::FAILURE
        }
    }
}
