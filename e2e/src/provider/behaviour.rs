//! What the provider does with a request, written in the request's `model` name.
//!
//! `fake-` is followed by words of [`TABLE`], joined by `-`, each with its value behind it:
//! `fake-tokens-200-gap-50ms-crlf-cut-at-3`. Words combine freely; of two endings the last one counts.

use std::time::Duration;

mod table;

use table::{Effect, Read, row_at};
pub use table::{Row, TABLE, duration, table_text};

/// Most tokens that one answer may have.
pub const MAX_TOKENS: usize = 1_000_000;
/// Largest size that a name may ask for, in bytes: 64 MiB.
pub const MAX_SIZE: usize = 64 << 20;

/// How a stream goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Ends cleanly without a terminal event.
    Truncated,
    /// Ends cleanly in the middle of an event.
    HalfEvent,
    /// Half an event, then the framing breaks off: h1 closes without the last chunk, h2 resets the stream.
    Cut,
    /// Half an event, then a TCP RST of the whole connection.
    Reset,
    /// Everything, then the framing breaks off.
    CutAfterDone,
    /// The family's error event in place of the answer, then a clean end.
    ErrorFirst,
    /// The family's error event midway, then a clean end.
    ErrorMidway,
    /// The error event midway and then the terminal event, as vLLM and SGLang do.
    ErrorThenDone,
    /// A content-length that promises the whole answer, half of it, then a clean end: h1 closes, h2 ends the stream.
    ShortLength,
    /// Half an event, then bytes that are no HTTP: h1 a chunk size that is none, h2 no frame.
    BadChunk,
}

/// The shape of an error inside an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorShape {
    /// As the family does it.
    #[default]
    Usual,
    /// `"error":"text"`.
    Text,
    /// The fields of the error at the top.
    Flat,
    /// `"error":{...}`.
    Nested,
    /// Flat and nested in one.
    Dual,
    /// An ordinary chunk with `finish_reason` "error" and a top-level `error`, as OpenRouter does; elsewhere as usual.
    Chunk,
    /// `response.failed`, where the format has it; elsewhere as usual.
    Failed,
}

/// Line ends of an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// LF, what the real ones send.
    #[default]
    Lf,
    /// CR LF.
    Crlf,
    /// CR alone.
    Cr,
}

impl LineEnd {
    /// The bytes of one line end.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// When usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// As the family does it.
    #[default]
    AsAsked,
    /// Running, in every chunk.
    EveryChunk,
    /// Never.
    Never,
}

/// The `retry-after` header of a 429 or 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// One second on 429, none otherwise.
    #[default]
    Usual,
    /// None at all, as with a spent budget.
    Never,
    /// This long; below whole seconds as `retry-after-ms` too.
    Wait(Duration),
    /// Until this long from now, as a date.
    Date(Duration),
}

/// A silence in the middle of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// How long.
    pub wait: Duration,
    /// In the middle of an event rather than between two.
    pub inside: bool,
}

/// How an answer fails before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failure {
    /// Status to answer with, 400 to 599; none is success.
    pub status: Option<u16>,
    /// A proxy's HTML page instead of the family's JSON.
    pub html: bool,
    /// What `retry-after` says.
    pub retry_after: RetryAfter,
    /// 200 and the error as one JSON text, though events were asked for.
    pub as_ok: bool,
}

/// How the text of an event stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    /// Line ends; none is what the family sends.
    pub line_end: Option<LineEnd>,
    /// Begin with U+FEFF.
    pub bom: bool,
    /// Comment lines between and inside events.
    pub comments: bool,
    /// Blow one event up by this many bytes.
    pub big_event: Option<usize>,
}

/// How bytes are handed to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// Pieces of so many bytes, whatever the events are, each its own write.
    pub split: Option<usize>,
    /// Each event its own write.
    pub flush: bool,
    /// `content-encoding: gzip`, whatever the client accepts.
    pub gzip: bool,
}

/// Everything that a model name says. The default is a good answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// Number of tokens; none is the provider's default.
    pub tokens: Option<usize>,
    /// Pause before every token (or piece of audio) but the first; none is the provider's default.
    pub gap: Option<Duration>,
    /// Bytes of audio; none is 65,536.
    pub bytes: Option<usize>,
    /// Bytes per piece of audio; none is 4,096.
    pub chunk: Option<usize>,
    /// After how many tokens the fault or the stall comes; none is half of them.
    pub at: Option<usize>,
    /// Wait before the response head.
    pub slow_first: Duration,
    /// Wait between the head and the first byte.
    pub slow_body: Duration,
    /// A silence midway.
    pub stall: Option<Stall>,
    /// How the stream goes wrong.
    pub fault: Option<Fault>,
    /// How an error inside the answer is written.
    pub shape: ErrorShape,
    /// How the answer fails before it begins.
    pub failure: Failure,
    /// How events are written.
    pub text: Text,
    /// How bytes are handed out.
    pub writes: Writes,
    /// When usage is told.
    pub usage: Usage,
    /// Tokens of reasoning in front of the answer; they count as output.
    pub reasoning: usize,
    /// Tokens of the prompt that came out of a cache.
    pub cached: usize,
}

/// A `fake-` name that says something the provider does not know. Refused rather than ignored: a test with a
/// slip in the name would otherwise pass against an answer that behaves well.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// No such word.
    #[error("the fake provider knows no word '{word}' in model '{model}'; see relay-provider --help")]
    UnknownWord {
        /// Where the name stops making sense.
        word: String,
        /// The whole name.
        model: String,
    },
    /// The word needs a value that is missing, malformed or out of bounds.
    #[error("'{word}' in model '{model}' needs {kind} behind it")]
    Value {
        /// The word.
        word: &'static str,
        /// The whole name.
        model: String,
        /// What it needs.
        kind: &'static str,
    },
}

impl Behaviour {
    /// Reads a model name. A name without the prefix `fake-` is a good answer, so that real names work.
    pub fn parse(model: &str) -> Result<Self, NameError> {
        let mut behaviour = Self::default();
        let Some(rest) = model.strip_prefix("fake-") else { return Ok(behaviour) };
        let parts: Vec<&str> = rest.split('-').collect();
        let mut next = 0;
        while let Some(part) = parts.get(next) {
            if let Some(status) = part.parse().ok().filter(|status| (400..600).contains(status)) {
                behaviour.failure.status = Some(status);
                next += 1;
                continue;
            }
            let Some((row, length)) = row_at(&parts[next..]) else {
                return Err(NameError::UnknownWord { word: (*part).to_owned(), model: model.to_owned() });
            };
            next += length;
            let Some((read, used)) = row.value.read(parts.get(next).copied()) else {
                return Err(NameError::Value { word: row.word, model: model.to_owned(), kind: row.value.kind() });
            };
            next += used;
            behaviour.apply(row.effect, read);
        }
        if behaviour.failure.html && behaviour.failure.status.is_none() {
            behaviour.failure.status = Some(502);
        }
        if behaviour.shape != ErrorShape::Usual && behaviour.fault.is_none() {
            behaviour.fault = Some(Fault::ErrorMidway);
        }
        Ok(behaviour)
    }

    fn apply(&mut self, effect: Effect, read: Read) {
        match effect {
            Effect::Nothing => {}
            Effect::Tokens => self.tokens = Some(read.number),
            Effect::Gap => self.gap = Some(read.time),
            Effect::Bytes => self.bytes = Some(read.number),
            Effect::Chunk => self.chunk = Some(read.number.max(1)),
            Effect::At => self.at = Some(read.number),
            Effect::SlowFirst => self.slow_first = read.time,
            Effect::SlowBody => self.slow_body = read.time,
            Effect::Stall => self.stall = Some(Stall { wait: read.time, inside: false }),
            Effect::StallInside => self.stall = Some(Stall { wait: read.time, inside: true }),
            Effect::End(fault) => self.fault = Some(fault),
            Effect::Shape(shape) => self.shape = shape,
            Effect::AsOk => self.failure.as_ok = true,
            Effect::Html => self.failure.html = true,
            Effect::After => self.failure.retry_after = RetryAfter::Wait(read.time),
            Effect::AfterDate => self.failure.retry_after = RetryAfter::Date(read.time),
            Effect::AfterNone => self.failure.retry_after = RetryAfter::Never,
            Effect::Lines(end) => self.text.line_end = Some(end),
            Effect::Bom => self.text.bom = true,
            Effect::Comments => self.text.comments = true,
            Effect::Split => self.writes.split = Some(read.number.max(1)),
            Effect::Bytewise => self.writes.split = Some(1),
            Effect::Flush => self.writes.flush = true,
            Effect::BigEvent => self.text.big_event = Some(read.number),
            Effect::Reasoning => self.reasoning = read.number,
            Effect::Cached => self.cached = read.number,
            Effect::Usage(usage) => self.usage = usage,
            Effect::Gzip => self.writes.gzip = true,
        }
    }

    /// After how many of `count` tokens the fault or the stall comes.
    pub fn at(&self, count: usize) -> usize {
        self.at.unwrap_or(count / 2).min(count)
    }
}

#[cfg(test)]
mod tests;
