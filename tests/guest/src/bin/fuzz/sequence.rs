// SPDX-License-Identifier: GPL-2.0

//! Some calls, one after the other, each with four numbers that say what its arguments are.

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;
use guest::Fail;

use crate::calls::CALLS;

/// More calls make it no more likely that some of them meet.
const MOST: usize = 24;
/// What a sequence of a user begins with in print.
const USER: &str = "user,";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which of [`CALLS`].
    pub number: usize,
    pub arguments: [u8; 4],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    pub calls: Vec<Call>,
    /// Whether an unprivileged user does it, with files that root opened.
    pub by_user: bool,
}

impl Call {
    fn random(random: &mut Rng) -> Self {
        Self {
            number: random.usize(..CALLS.len()),
            arguments: [(); 4].map(|()| random.u8(..)),
        }
    }
}

impl Sequence {
    /// A file, a mapping of it, and anything.
    pub fn random(random: &mut Rng) -> Self {
        let calls = random.usize(4..MOST);
        let mut this = Self::default();
        for begin in ["open", "map"] {
            let number = CALLS.iter().position(|(name, _)| *name == begin);
            let mut call = Call::random(random);
            call.number = number.unwrap_or_default();
            this.calls.push(call);
        }
        this.calls.extend((2..calls).map(|_| Call::random(random)));
        this
    }

    /// Another one made of it, or of it and `other`.
    pub fn mutated(&self, other: &Self, random: &mut Rng) -> Self {
        let mut calls = self.calls.clone();
        for _ in 0..=random.usize(..3) {
            let place = random.usize(..=calls.len());
            match random.u8(..6) {
                0 | 1 => calls.insert(place, Call::random(random)),
                2 if place < calls.len() => drop(calls.remove(place)),
                3 | 4 if place < calls.len() => {
                    calls[place].arguments[random.usize(..4)] = random.u8(..);
                }
                5 => {
                    let from = random.usize(..=other.calls.len());
                    calls.truncate(place);
                    calls.extend(&other.calls[from..]);
                }
                _ => {}
            }
        }
        calls.truncate(MOST);
        Self {
            calls,
            by_user: self.by_user,
        }
    }
}

/// `open:0.1.2.3,map:4.5.6.7`; of a user `user,open:0.1.2.3`
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_user {
            write!(f, "{USER}")?;
        }
        for (place, call) in self.calls.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let (name, [a, b, c, d]) = (CALLS[call.number].0, call.arguments);
            write!(f, "{comma}{name}:{a}.{b}.{c}.{d}")?;
        }
        Ok(())
    }
}

impl FromStr for Sequence {
    type Err = Fail;

    fn from_str(text: &str) -> Result<Self, Fail> {
        let call = |text: &str| {
            let (name, numbers) = text.split_once(':')?;
            let numbers: Vec<u8> = numbers
                .split('.')
                .map_while(|number| number.parse().ok())
                .collect();
            Some(Call {
                number: CALLS.iter().position(|(known, _)| *known == name)?,
                arguments: numbers.try_into().ok()?,
            })
        };
        let (by_user, text) = match text.strip_prefix(USER) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let calls = text.split(',').map(|part| {
            call(part)
                .ok_or_else(|| Fail(format!("{part:?} is no call with four numbers up to 255")))
        });
        Ok(Self {
            calls: calls.collect::<Result<_, _>>()?,
            by_user,
        })
    }
}
