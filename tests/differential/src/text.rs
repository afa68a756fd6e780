// SPDX-License-Identifier: GPL-2.0

//! What is written to a file: counts, and what is none.

use std::fmt;

/// The bytes of one write(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A count, in decimal.
    Count(u64),
    /// These very bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a seed. They do not parse as a count.
    Noise { seed: u64, length: usize },
    /// A count after so many zeroes.
    Padded { zeroes: usize, count: u64 },
}

/// What people and scripts might write, right and wrong, and the edges between. Valid
/// ones are small: they are written to sizes.
pub const ODD: &[&[u8]] = &[
    b"",
    b"\n",
    b"\0",
    b" ",
    b"+",
    b"-",
    b"+3",
    b"++3",
    b"+-3",
    b"-0",
    b"-1",
    b"0",
    b"00",
    b"010",
    b"0x10",
    b"0X1",
    b"0b1",
    b"1e1",
    b"3.0",
    b"7\n",
    b"7\n\n",
    b"7\r\n",
    b"7 ",
    b" 7",
    b"\t7",
    b"7\t",
    b"7 8",
    b"7\n8",
    b"7\0",
    b"9\0xyz",
    b"\x009",
    b"9\n\0",
    b"9\n\0x",
    b"9\0\n",
    b"five",
    b"2M",
    b"1k",
    b"\xff\xfe",
    b"18446744073709551616",
    b"+18446744073709551616",
    b"184467440737095516150",
    b"99999999999999999999999999",
    b"-18446744073709551615",
];

/// Counts at the edges of unsigned long, for the overcommit file: it alone takes them without
/// taking the guest's memory.
pub const VAST: &[u64] = &[
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 32,
    u32::MAX as u64,
];

impl Text {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Count(count) => count.to_string().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Noise { seed, length } => {
                let mut random = fastrand::Rng::with_seed(*seed);
                let mut bytes: Vec<u8> = (0..*length).map(|_| random.u8(..)).collect();
                if let Some(first) = bytes.first_mut() {
                    // A count begins with a digit or a plus sign.
                    *first |= 0x80;
                }
                bytes
            }
            Self::Padded { zeroes, count } => {
                let mut bytes = vec![b'0'; *zeroes];
                bytes.extend(count.to_string().bytes());
                bytes
            }
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) => {
                f.write_str("\"")?;
                for &byte in bytes {
                    if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) {
                        write!(f, "{}", byte as char)?;
                    } else {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                f.write_str("\"")
            }
            Self::Noise { seed, length } => write!(f, "noise:{seed}:{length}"),
            Self::Padded { zeroes, count } => write!(f, "zeroes:{zeroes}:{count}"),
        }
    }
}

impl std::str::FromStr for Text {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let bad = || format!("{word}: neither a count nor \"...\", noise:.. or zeroes:..");
        if let Some(quoted) = word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            return unescape(quoted).map(Self::Bytes).ok_or_else(bad);
        }
        let fields: Vec<&str> = word.split(':').collect();
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        match fields[..] {
            [count] => Ok(Self::Count(number(count)?)),
            ["noise", seed, length] => Ok(Self::Noise {
                seed: number(seed)?,
                length: number(length)? as usize,
            }),
            ["zeroes", zeroes, count] => Ok(Self::Padded {
                zeroes: number(zeroes)? as usize,
                count: number(count)?,
            }),
            _ => Err(bad()),
        }
    }
}

fn unescape(quoted: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = quoted.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\\' {
            let digits = after.strip_prefix(b"x")?.get(..2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    Some(bytes)
}
