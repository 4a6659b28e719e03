//! What is held back of a stream: the tail of a unit, an event or a line, whose end has not come.

use bytes::{Bytes, BytesMut};

/// The longest tail that is held, in bytes. A longer unit goes through in pieces.
pub(super) const MAX_TAIL: usize = 64 * 1024;

/// The unfinished unit of a stream. The bytes that come out are those that went in, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    tail: BytesMut,
    /// What went out ends inside a unit that was too long to hold.
    inside: bool,
}

impl Held {
    /// Takes a piece in which the last unit ends at `end`, if one does, and gives what can go out now; often the piece itself, not copied.
    pub(super) fn push(&mut self, piece: Bytes, end: Option<usize>) -> Bytes {
        let (mut out, rest) = match end {
            None => (Bytes::new(), piece),
            Some(end) => {
                self.inside = false;
                let mut head = piece;
                let rest = head.split_off(end);
                (self.joined(head), rest)
            }
        };
        self.tail.extend_from_slice(&rest);
        if self.tail.len() > MAX_TAIL {
            self.inside = true;
            let tail = self.take();
            out = if out.is_empty() { tail } else { [out, tail].concat().into() };
        }
        out
    }

    /// What was held, and `head` behind it.
    fn joined(&mut self, head: Bytes) -> Bytes {
        if self.tail.is_empty() {
            return head;
        }
        self.tail.extend_from_slice(&head);
        self.take()
    }

    /// The unfinished unit, at the stream's end.
    pub(super) fn take(&mut self) -> Bytes {
        self.tail.split().freeze()
    }

    /// Whether what went out ends between two units.
    pub(super) const fn is_at_boundary(&self) -> bool {
        !self.inside
    }

    /// Whether, moreover, nothing is held.
    pub(super) fn is_between(&self) -> bool {
        !self.inside && self.tail.is_empty()
    }
}
