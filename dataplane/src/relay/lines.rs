//! Cuts a byte stream at the ends of lines: NDJSON, where every line is a value of its own.

use super::held::Held;
use bytes::Bytes;

/// Holds back unfinished lines, of at most 64 KiB. The bytes that come out are those that went in, in order.
#[derive(Debug, Default)]
pub struct LineSplitter {
    held: Held,
}

impl LineSplitter {
    /// Takes a piece and gives what can go out now; often the piece itself, not copied. May be empty.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let end = memchr::memrchr(b'\n', &piece).map(|end| end + 1);
        self.held.push(piece, end)
    }

    /// The unfinished line, at the stream's end.
    pub fn take_tail(&mut self) -> Bytes {
        self.held.take()
    }

    /// Whether what went out ends between two lines.
    pub const fn is_at_boundary(&self) -> bool {
        self.held.is_at_boundary()
    }
}
