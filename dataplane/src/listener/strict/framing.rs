//! Follows a connection from request to request, and says of every byte whether it may go on.

use super::chunks::{EXTENSIONS_MAX, Trailers, size_line};
use super::head::{BodyFraming, Head, Whole};
use super::violation::Violation;
use http::Method;

/// Where the connection stands. Pure: bytes in, verdicts out; how the bytes were cut into pieces makes no difference.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The message ends with a wait for the answer to its request to upgrade.
    asks_to_upgrade: bool,
    upgrades: u32,
}

#[derive(Debug)]
enum State {
    Head(Head),
    /// Bytes left of a body of known length, or of a chunk.
    Data {
        left: u64,
        chunk: Option<Chunks>,
    },
    /// A chunk's size line is next.
    Size(Chunks),
    /// The CR LF behind a chunk's data is next.
    DataEnd(Chunks),
    Trailers(Trailers),
    /// The answer to a request to upgrade decides what the bytes behind it are.
    Upgrade,
    /// Nothing passes any more.
    Broken,
}

/// What is kept of a body in chunks.
#[derive(Clone, Copy, Debug, Default)]
struct Chunks {
    extensions: usize,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// What may go on of the bytes that were looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// So many from the front. The others must come again, with more behind them.
    pub(super) bytes: usize,
    /// What is wrong with those behind. Nothing passes after it.
    pub(super) fault: Option<Fault>,
}

/// Where a rule was broken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// In a head: its request is known to nobody yet.
    Head(Refused),
    /// In the body of a request that is under way.
    Body(Violation),
}

/// A request that must not be read further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::listener) struct Refused {
    /// Why.
    pub(in crate::listener) violation: Violation,
    /// Its method; GET where that is not known.
    pub(in crate::listener) method: Method,
    /// Its path without the query; empty where that is not known.
    pub(in crate::listener) path: String,
}

impl Framing {
    /// Looks at all bytes that have not passed yet.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Passed {
        let mut passed = Passed::default();
        while passed.bytes < bytes.len() {
            let rest = &bytes[passed.bytes..];
            match self.step(rest) {
                Ok(0) => break,
                Ok(more) => passed.bytes += more,
                Err(violation) => {
                    passed.fault = Some(self.fault(violation, rest));
                    self.state = State::Broken;
                    break;
                }
            }
        }
        passed
    }

    /// Whether the next byte is one of a head.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// How many requests to upgrade there were, if the answer to the last of them is waited for.
    pub(super) fn waits_for_answer(&self) -> Option<u32> {
        matches!(self.state, State::Upgrade).then_some(self.upgrades)
    }

    /// The request to upgrade was not accepted: the connection goes on as it was (RFC 9110, section 7.8).
    pub(super) fn goes_on(&mut self) {
        self.state = State::default();
    }

    /// Why the head that `held` begins with is refused, if it is.
    pub(super) fn refused(&self, violation: Violation, held: &[u8]) -> Refused {
        let told = if let State::Head(head) = &self.state { head.told(held) } else { None };
        let (method, path) = told.unwrap_or_default();
        Refused { violation, method, path }
    }

    fn fault(&self, violation: Violation, rest: &[u8]) -> Fault {
        if self.is_in_head() { Fault::Head(self.refused(violation, rest)) } else { Fault::Body(violation) }
    }

    /// How many bytes pass at once; 0: more must come first.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        match &mut self.state {
            State::Head(head) => {
                let Some(whole) = head.scan(rest)? else { return Ok(0) };
                Ok(self.begin_body(&whole))
            }
            State::Data { left, chunk } => {
                let more = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left -= more as u64;
                if *left == 0 {
                    match *chunk {
                        Some(chunks) => self.state = State::DataEnd(chunks),
                        None => self.end_message(),
                    }
                }
                Ok(more)
            }
            State::Size(chunks) => {
                let Some(line) = size_line(rest, EXTENSIONS_MAX - chunks.extensions)? else { return Ok(0) };
                chunks.extensions += line.extensions;
                self.state = match line.data {
                    0 => State::Trailers(Trailers::default()),
                    left => State::Data { left, chunk: Some(*chunks) },
                };
                Ok(line.line)
            }
            State::DataEnd(chunks) => match rest {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size(*chunks);
                    Ok(2)
                }
                [b'\r'] => Ok(0),
                _ => Err(Violation::Chunk),
            },
            State::Trailers(trailers) => {
                let Some(bytes) = trailers.scan(rest)? else { return Ok(0) };
                self.end_message();
                Ok(bytes)
            }
            State::Upgrade | State::Broken => Ok(0),
        }
    }

    fn begin_body(&mut self, whole: &Whole) -> usize {
        self.asks_to_upgrade = whole.asks_to_upgrade;
        self.upgrades += u32::from(whole.asks_to_upgrade);
        match whole.body {
            BodyFraming::Length(0) => self.end_message(),
            BodyFraming::Length(left) => self.state = State::Data { left, chunk: None },
            BodyFraming::Chunked => self.state = State::Size(Chunks::default()),
        }
        whole.bytes
    }

    fn end_message(&mut self) {
        self.state = if self.asks_to_upgrade { State::Upgrade } else { State::default() };
    }
}
