//! Reads one answer as it comes in and compares it, byte by byte, with what the upstream sent.

use super::content::{self, END, EVENT, JSON, Plan};
use super::http1;

/// Why an answer is not the one that was sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("the status is not 200: {0}")]
    Status(String),
    #[error("the framing is broken")]
    Framing,
    #[error("other bytes than the upstream's")]
    Bytes,
    #[error("bytes behind the end")]
    Trailing,
}

/// How the body is framed, and what comes next of it.
enum Framing {
    Head,
    /// Bytes that are left of a body of known length.
    Length(usize),
    /// The digits of a chunk's size so far.
    Size(usize),
    /// Bytes that are left of a chunk, its line end included.
    Chunk(usize),
    /// The line end behind the last chunk; so many bytes of it are there.
    Last(usize),
    End,
}

/// One answer.
pub(super) struct Reader {
    plan: Plan,
    framing: Framing,
    head: Vec<u8>,
    /// The event that is being received, or the plain answer.
    part: Vec<u8>,
    events: u32,
    markers: u32,
}

impl Reader {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, framing: Framing::Head, head: Vec::new(), part: Vec::with_capacity(EVENT), events: 0, markers: 0 }
    }

    /// Whole events and end markers so far.
    pub(super) const fn seen(&self) -> (u32, u32) {
        (self.events, self.markers)
    }

    /// Whether the answer is over and has all its parts.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.framing, Framing::End) && self.seen() == self.plan.parts() && self.part.is_empty()
    }

    /// Whether the answer is over, by its framing.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.framing, Framing::End)
    }

    /// Takes what came in, and tells of each event when it was sent.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut event: impl FnMut(u64)) -> Result<(), Wrong> {
        while !bytes.is_empty() {
            let used = match self.framing {
                Framing::Head => self.push_head(bytes)?,
                Framing::Size(size) => {
                    self.framing = after_size_byte(size, bytes[0])?;
                    1
                }
                Framing::Length(left) => {
                    let used = left.min(bytes.len());
                    self.push_body(&bytes[..used], &mut event)?;
                    self.framing = if used == left { Framing::End } else { Framing::Length(left - used) };
                    used
                }
                Framing::Chunk(left) => {
                    let used = left.min(bytes.len());
                    self.push_body(&bytes[..used.min(left.saturating_sub(2))], &mut event)?;
                    self.framing = if used == left { Framing::Size(0) } else { Framing::Chunk(left - used) };
                    used
                }
                Framing::Last(1) => {
                    self.framing = Framing::End;
                    1
                }
                Framing::Last(had) => {
                    self.framing = Framing::Last(had + 1);
                    1
                }
                Framing::End => return Err(Wrong::Trailing),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn push_head(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let known = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(length) = http1::head_length(&self.head) else { return Ok(bytes.len()) };
        let head = String::from_utf8_lossy(&self.head[..length]);
        if head.split(' ').nth(1) != Some("200") {
            return Err(Wrong::Status(head.lines().next().unwrap_or_default().to_owned()));
        }
        self.framing = match http1::header(&head, "content-length") {
            Some(length) => Framing::Length(length.parse().map_err(|_| Wrong::Framing)?),
            None if http1::header(&head, "transfer-encoding") == Some("chunked") => Framing::Size(0),
            None => return Err(Wrong::Framing),
        };
        Ok(length - known)
    }

    fn push_body(&mut self, mut bytes: &[u8], event: &mut impl FnMut(u64)) -> Result<(), Wrong> {
        while !bytes.is_empty() {
            let whole = match self.plan {
                Plan::Json => JSON.len(),
                _ if self.events == self.plan.parts().0 => END.len(),
                _ => EVENT,
            };
            let used = (whole - self.part.len()).min(bytes.len());
            self.part.extend_from_slice(&bytes[..used]);
            bytes = &bytes[used..];
            if self.part.len() == whole {
                self.end_part(event)?;
            }
        }
        Ok(())
    }

    fn end_part(&mut self, event: &mut impl FnMut(u64)) -> Result<(), Wrong> {
        let (events, markers) = self.plan.parts();
        if self.events < events {
            if self.plan == Plan::Json {
                (self.part == JSON.as_bytes()).then_some(()).ok_or(Wrong::Bytes)?;
            } else {
                event(content::sent_ns(&self.part).ok_or(Wrong::Bytes)?);
            }
            self.events += 1;
        } else if self.markers < markers && self.part == END {
            self.markers += 1;
        } else {
            return Err(Wrong::Bytes);
        }
        self.part.clear();
        Ok(())
    }
}

/// A byte of a chunk's size line. Extensions are not taken: no proxy here sends any.
fn after_size_byte(size: usize, byte: u8) -> Result<Framing, Wrong> {
    match (byte, char::from(byte).to_digit(16)) {
        (_, Some(digit)) if size < 1 << 24 => Ok(Framing::Size(size * 16 + digit as usize)),
        (b'\r', _) => Ok(Framing::Size(size)),
        (b'\n', _) if size == 0 => Ok(Framing::Last(0)),
        // The chunk's own line end is counted with it.
        (b'\n', _) => Ok(Framing::Chunk(size + 2)),
        _ => Err(Wrong::Framing),
    }
}
