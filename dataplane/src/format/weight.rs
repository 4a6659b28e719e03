//! How much a text weighs in tokens, where nobody who has the model's tokenizer says.
//!
//! | text | tokens |
//! |---|---|
//! | ASCII | one for 4 characters, as OpenAI's help page "What are tokens" has it for English |
//! | any other code point | one |
//! | what is not known to be text | one for 4 bytes |
//!
//! A tokenizer of the model's own would be nearer by some 20 %, costs a hundred times more, and is another one for each model. The estimate holds only until
//! the provider tells the truth; where it never does, it is marked.

use super::json;
use memchr::memchr;
use memchr::memmem::Finder;
use std::ops::{Add, AddAssign};

/// What an ASCII character weighs, in quarters of a token.
const ASCII: u8 = 1;
/// What any other code point weighs.
const OTHER: u8 = 4;
/// So many bytes weigh less than a byte can count.
const COUNTED_AT_ONCE: usize = 32;

/// Quarters of a token. Sums are exact; [`tokens`](Self::tokens) rounds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u64);

impl Weight {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Of so many tokens.
    pub const fn of_tokens(tokens: u64) -> Self {
        Self(tokens.saturating_mul(4))
    }

    /// Of so many quarters of a token.
    pub const fn of_quarters(quarters: u64) -> Self {
        Self(quarters)
    }

    /// Of so many bytes that are not looked into.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Of a text in UTF-8. It may be a part of one: what lies on both sides of a cut weighs the same as the whole.
    pub fn of_text(text: &[u8]) -> Self {
        if text.is_ascii() {
            return Self(text.len() as u64 * u64::from(ASCII));
        }
        let chunk = |bytes: &[u8]| bytes.iter().copied().map(of_byte).sum::<u8>();
        Self(text.chunks(COUNTED_AT_ONCE).map(|bytes| u64::from(chunk(bytes))).sum())
    }

    /// Of what stands between the quotes of a JSON string: an escape is the character that it stands for.
    pub(super) fn of_string(mut text: &[u8]) -> Self {
        let mut weight = Self::NONE;
        while let Some(at) = memchr(b'\\', text) {
            weight += Self::of_text(&text[..at]);
            let (escape, length) = of_escape(&text[at..]);
            weight += escape;
            text = text.get(at + length..).unwrap_or_default();
        }
        weight + Self::of_text(text)
    }

    /// Of all strings behind `json`'s beginning that are values of a member with one of these names, at any depth.
    pub(super) fn of_members(json: &[u8], names: &[&[u8]]) -> Self {
        let (mut weight, mut name) = (Self::NONE, &b""[..]);
        for (string, is_key) in json::strings(json) {
            if is_key {
                name = string;
            } else if names.contains(&name) {
                weight += Self::of_string(string);
            }
        }
        weight
    }

    /// Of all strings in `json` that are values of the one member that `finder` looks for, in quotes, at any depth.
    pub(super) fn of_member(json: &[u8], finder: &Finder<'_>) -> Self {
        let mut weight = Self::NONE;
        for at in finder.find_iter(json) {
            let value = json::behind_colon(json, at + finder.needle().len()).and_then(json::leading_text);
            weight += value.map_or(Self::NONE, Self::of_string);
        }
        weight
    }

    /// Whole tokens, rounded up.
    pub const fn tokens(self) -> u64 {
        self.0.div_ceil(4)
    }

    /// Quarters of a token.
    pub const fn quarters(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The first byte of a code point weighs for all of it.
const fn of_byte(byte: u8) -> u8 {
    match byte {
        0x00..=0x7F => ASCII,
        0x80..=0xBF => 0,
        _ => OTHER,
    }
}

/// The weight and the length of the escape that `text` begins with (RFC 8259, section 7). Of two that are one code point, the first weighs for both.
pub(super) fn of_escape(text: &[u8]) -> (Weight, usize) {
    if text.get(1) != Some(&b'u') {
        return (Weight(u64::from(ASCII)), 2);
    }
    let digits = text.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
    let weight = match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
        Some(0..=0x7F) | None => ASCII,
        Some(0xDC00..=0xDFFF) => 0,
        Some(_) => OTHER,
    };
    (Weight(u64::from(weight)), 6)
}
