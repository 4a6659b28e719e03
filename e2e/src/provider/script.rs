//! What the provider says: the same words and the same bytes every time, so that a test knows the whole
//! answer from its length.
//!
//! The same in Python:
//!
//! ```python
//! def text(n):
//!     return " ".join(WORDS[(7 * i + i // 32) % 32] for i in range(n))
//!
//! def audio(n):                     # splitmix64 of the counter, little endian
//!     out, m = bytearray(), (1 << 64) - 1
//!     for i in range((n + 7) // 8):
//!         z = (i + 1) * 0x9E3779B97F4A7C15 & m
//!         z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & m
//!         z = (z ^ z >> 27) * 0x94D049BB133111EB & m
//!         out += (z ^ z >> 31).to_bytes(8, "little")
//!     return bytes(out[:n])
//! ```
//!
//! or over HTTP: `GET /_fake/script?tokens=N`, `GET /_fake/audio-sha256?bytes=N`.

use aws_lc_rs::digest;
use bytes::Bytes;

/// The words of the script. A few are of two to four bytes per letter, so that a write may end inside one.
/// None needs escaping in JSON.
pub const WORDS: [&str; 32] = [
    "water", "finds", "its", "way", "over", "stones", "größer", "than", "any", "river", "流れ", "and", "carries",
    "light", "to", "the", "sea", "where", "naïve", "boats", "wait", "🌊", "for", "morning", "while", "two", "herons",
    "count", "slow", "waves", "until", "dusk",
];

/// Word `i` of the script, without a space.
pub fn word(i: usize) -> &'static str {
    WORDS[(7 * i + i / 32) % 32]
}

/// Token `i`: the word, with a space before it unless it is the first.
pub fn token(i: usize) -> String {
    let space = if i == 0 { "" } else { " " };
    format!("{space}{}", word(i))
}

/// The whole text of an answer of `n` tokens.
pub fn text(n: usize) -> String {
    (0..n).map(token).collect()
}

/// `length` bytes of the audio from byte `start` on. Any two readings agree, wherever they begin.
pub fn audio(start: usize, length: usize) -> Bytes {
    let skip = start % 8;
    let mut bytes = Vec::with_capacity(length + 16);
    let mut block = (start / 8) as u64;
    while bytes.len() < skip + length {
        bytes.extend_from_slice(&splitmix(block).to_le_bytes());
        block += 1;
    }
    Bytes::from(bytes).slice(skip..skip + length)
}

/// SHA-256 of the first `length` bytes of the audio, in lower-case hex.
pub fn audio_sha256(length: usize) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(64 << 10);
        hash.update(&audio(done, piece));
        done += piece;
    }
    hex::encode(hash.finish())
}

/// SHA-256 of `bytes`, in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// splitmix64 (Steele, Lea, Flood 2014) of a counter.
fn splitmix(counter: u64) -> u64 {
    let z = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
