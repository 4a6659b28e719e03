//! Cuts a byte stream at the ends of Server-Sent Events.
//!
//! A client acts on whole events only (WHATWG HTML, "Parsing an event stream": a block without its blank line is discarded). So the tail of an
//! unfinished event is held and goes out with its end: nothing visible is later, and there is always a clean place to say that a stream failed.

use super::held::Held;
use bytes::Bytes;

/// Holds back unfinished events. The bytes that come out are those that went in, in order.
#[derive(Debug)]
pub struct EventSplitter {
    held: Held,
    /// The current line has no byte yet: one more line end is a blank line.
    line_is_empty: bool,
    /// The last byte was CR: an LF behind it belongs to the same line end.
    after_cr: bool,
}

impl Default for EventSplitter {
    fn default() -> Self {
        Self { held: Held::default(), line_is_empty: true, after_cr: false }
    }
}

impl EventSplitter {
    /// Takes a piece and gives what can go out now; often the piece itself, not copied. May be empty.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let end = self.last_boundary(&piece);
        self.held.push(piece, end)
    }

    /// Where in `piece` the last event ends; events that began in earlier pieces count.
    fn last_boundary(&mut self, piece: &[u8]) -> Option<usize> {
        let mut boundary = None;
        let mut next = 0;
        for at in memchr::memchr2_iter(b'\n', b'\r', piece) {
            if at > next {
                self.line_is_empty = false;
                self.after_cr = false;
            }
            let is_lf = piece.get(at) == Some(&b'\n');
            if is_lf && self.after_cr {
                // The second half of CR LF: it belongs to the line that ended, and to the event if that ended with it.
                if boundary == Some(at) || (at == 0 && self.held.is_between()) {
                    boundary = Some(at + 1);
                }
            } else {
                if self.line_is_empty {
                    boundary = Some(at + 1);
                }
                self.line_is_empty = true;
            }
            self.after_cr = !is_lf;
            next = at + 1;
        }
        if piece.len() > next {
            self.line_is_empty = false;
            self.after_cr = false;
        }
        boundary
    }

    /// The unfinished event, at the stream's end.
    pub fn take_tail(&mut self) -> Bytes {
        self.held.take()
    }

    /// Whether what went out ends between two events.
    pub const fn is_at_boundary(&self) -> bool {
        self.held.is_at_boundary()
    }

    /// Whether an event of the relay's own may stand here: nothing is held, and no LF may follow that belongs to a CR which went out. Hence never
    /// in a stream whose lines end with CR alone; no provider sends one.
    pub fn is_between(&self) -> bool {
        self.held.is_between() && !self.after_cr
    }
}
