//! Where a stream of each framing can be cut.

use super::events::EventSplitter;
use super::lines::LineSplitter;
use crate::format::Framing;
use bytes::Bytes;

/// Gives what can go out of what came in: the same bytes in the same order, up to the end of the last whole unit.
#[derive(Debug)]
pub enum Splitter {
    /// Server-Sent Events.
    Events(EventSplitter),
    /// Lines of NDJSON.
    Lines(LineSplitter),
    /// Everything at once, and nowhere a place to cut.
    Bytes,
}

impl Splitter {
    /// The one for this framing.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Events => Self::Events(EventSplitter::default()),
            Framing::Lines => Self::Lines(LineSplitter::default()),
            Framing::Bytes => Self::Bytes,
        }
    }

    /// Takes a piece and gives what can go out now; may be empty.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        match self {
            Self::Events(events) => events.push(piece),
            Self::Lines(lines) => lines.push(piece),
            Self::Bytes => piece,
        }
    }

    /// What is held of an unfinished unit, at the stream's end.
    pub fn take_tail(&mut self) -> Bytes {
        match self {
            Self::Events(events) => events.take_tail(),
            Self::Lines(lines) => lines.take_tail(),
            Self::Bytes => Bytes::new(),
        }
    }

    /// Whether what went out ends between two units.
    pub const fn is_at_boundary(&self) -> bool {
        match self {
            Self::Events(events) => events.is_at_boundary(),
            Self::Lines(lines) => lines.is_at_boundary(),
            Self::Bytes => false,
        }
    }

    /// Whether an SSE comment may stand here.
    pub fn takes_comment(&self) -> bool {
        matches!(self, Self::Events(events) if events.is_between())
    }
}
