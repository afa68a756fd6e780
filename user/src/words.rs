// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bytes in and out of memory that others may change meanwhile.
//!
//! Every access is one of a whole, aligned 64-bit word. Atomic accesses of different sizes to the
//! same bytes must not race in Rust, so a write of part of a word is a read-modify-write of all of
//! it, and the neighbours' bytes survive.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// Copies `into.len()` bytes, from byte `offset` of `words`, into `into`.
///
/// # Panics
///
/// When the range does not lie inside `words`.
pub(crate) fn read(words: &[AtomicU64], offset: usize, into: &mut [u8]) {
    let words = covering(words, offset, into.len());
    let skip = offset % WORD;
    let head = into.len().min((WORD - skip) % WORD);
    let (first, rest) = into.split_at_mut(head);
    let words = match first {
        [] => words,
        first => {
            first.copy_from_slice(&load(&words[0])[skip..skip + head]);
            &words[1..]
        }
    };
    let mut chunks = rest.chunks_exact_mut(WORD);
    for (chunk, word) in (&mut chunks).zip(words) {
        chunk.copy_from_slice(&load(word));
    }
    if let (last @ [_, ..], Some(word)) = (chunks.into_remainder(), words.last()) {
        let count = last.len();
        last.copy_from_slice(&load(word)[..count]);
    }
}

/// Copies `from` to byte `offset` of `words`.
///
/// # Panics
///
/// When the range does not lie inside `words`.
pub(crate) fn write(words: &[AtomicU64], offset: usize, from: &[u8]) {
    let words = covering(words, offset, from.len());
    let skip = offset % WORD;
    let head = from.len().min((WORD - skip) % WORD);
    let (first, rest) = from.split_at(head);
    let words = match first {
        [] => words,
        first => {
            merge(&words[0], skip, first);
            &words[1..]
        }
    };
    let chunks = rest.chunks_exact(WORD);
    let last = chunks.remainder();
    for (chunk, word) in chunks.zip(words) {
        let mut bytes = [0; WORD];
        bytes.copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
    if let (false, Some(word)) = (last.is_empty(), words.last()) {
        merge(word, 0, last);
    }
}

/// The words that hold bytes `offset .. offset + len`, after checking that they exist.
fn covering(words: &[AtomicU64], offset: usize, len: usize) -> &[AtomicU64] {
    let end = offset
        .checked_add(len)
        .filter(|&end| end <= size_of_val(words))
        .unwrap_or_else(|| {
            panic!(
                "{len} bytes at offset {offset} of a mapping of {} bytes",
                size_of_val(words)
            )
        });
    if len == 0 {
        return &[];
    }
    &words[offset / WORD..end.div_ceil(WORD)]
}

fn load(word: &AtomicU64) -> [u8; WORD] {
    word.load(Relaxed).to_ne_bytes()
}

/// Puts `bytes` at byte `skip` of one word and leaves its other bytes as they are.
fn merge(word: &AtomicU64, skip: usize, bytes: &[u8]) {
    let mut old = word.load(Relaxed);
    loop {
        let mut new = old.to_ne_bytes();
        new[skip..skip + bytes.len()].copy_from_slice(bytes);
        match word.compare_exchange_weak(old, u64::from_ne_bytes(new), Relaxed, Relaxed) {
            Ok(_) => return,
            Err(now) => old = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: &[u8; 32]) -> Vec<AtomicU64> {
        bytes
            .chunks_exact(WORD)
            .map(|chunk| AtomicU64::new(u64::from_ne_bytes(chunk.try_into().unwrap())))
            .collect()
    }

    #[test]
    fn every_range_reads_as_a_slice_does() {
        let plain: [u8; 32] = std::array::from_fn(|i| i as u8 + 1);
        let words = memory(&plain);
        for offset in 0..=32 {
            for len in 0..=32 - offset {
                let mut into = vec![0; len];
                read(&words, offset, &mut into);
                assert_eq!(into, plain[offset..offset + len], "{len} at {offset}");
            }
        }
    }

    #[test]
    fn every_range_is_written_and_nothing_beside_it() {
        let from = [0xaa; 32];
        for offset in 0..=32 {
            for len in 0..=32 - offset {
                let mut plain: [u8; 32] = std::array::from_fn(|i| i as u8);
                let words = memory(&plain);
                write(&words, offset, &from[..len]);
                plain[offset..offset + len].copy_from_slice(&from[..len]);
                let mut now = [0; 32];
                read(&words, 0, &mut now);
                assert_eq!(now, plain, "{len} at {offset}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "2 bytes at offset 31 of a mapping of 32 bytes")]
    fn a_range_past_the_end_panics() {
        read(&memory(&[0; 32]), 31, &mut [0; 2]);
    }

    #[test]
    #[should_panic(expected = "of a mapping of 32 bytes")]
    fn a_range_that_overflows_panics() {
        write(&memory(&[0; 32]), usize::MAX, &[0; 2]);
    }
}
