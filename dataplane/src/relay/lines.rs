//! Cuts a byte stream at the ends of lines: NDJSON, where every line is a value of its own.

use super::events::MAX_TAIL;
use bytes::{Bytes, BytesMut};

/// Holds back unfinished lines, of at most [`MAX_TAIL`] bytes. The bytes that come out are those that went in, in order.
#[derive(Debug, Default)]
pub struct LineSplitter {
    tail: BytesMut,
    /// What went out ends inside a line that was too long to hold.
    inside: bool,
}

impl LineSplitter {
    /// Takes a piece and gives what can go out now; often the piece itself, not copied. May be empty.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let (mut out, rest) = match memchr::memrchr(b'\n', &piece) {
            None => (Bytes::new(), piece),
            Some(end) => {
                self.inside = false;
                let mut head = piece;
                let rest = head.split_off(end + 1);
                (joined(&mut self.tail, head), rest)
            }
        };
        self.tail.extend_from_slice(&rest);
        if self.tail.len() > MAX_TAIL {
            self.inside = true;
            let tail = self.tail.split().freeze();
            out = if out.is_empty() { tail } else { [out, tail].concat().into() };
        }
        out
    }

    /// The unfinished line, at the stream's end.
    pub fn take_tail(&mut self) -> Bytes {
        self.tail.split().freeze()
    }

    /// Whether what went out ends between two lines.
    pub const fn is_at_boundary(&self) -> bool {
        !self.inside
    }
}

/// What was held, and `head` behind it.
pub(super) fn joined(tail: &mut BytesMut, head: Bytes) -> Bytes {
    if tail.is_empty() {
        return head;
    }
    tail.extend_from_slice(&head);
    tail.split().freeze()
}
