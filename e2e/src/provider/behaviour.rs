//! What the provider does with a request, written in the request's `model` name.
//!
//! `fake-` is followed by words of [`TABLE`], joined by `-`, each with its value behind it:
//! `fake-tokens-200-gap-50ms-crlf-cut-at-3`. Words combine freely; of two endings the last one counts.

use std::fmt::Write as _;
use std::time::Duration;

/// Most tokens that one answer may have.
pub const MAX_TOKENS: usize = 1_000_000;
/// Largest size that a name may ask for, in bytes: 64 MiB.
pub const MAX_SIZE: usize = 64 << 20;

/// One word of the model-name language.
#[derive(Debug)]
pub struct Row {
    /// The word, itself possibly with dashes.
    pub word: &'static str,
    /// What may follow it.
    value: Value,
    effect: Effect,
    /// Meaning, for people.
    pub meaning: &'static str,
}

/// The value behind a word and what it is when left out.
#[derive(Debug, Clone, Copy)]
enum Value {
    None,
    Count(Option<usize>),
    Size(Option<usize>),
    Time(Option<Duration>),
}

#[derive(Debug, Clone, Copy)]
enum Effect {
    Nothing,
    Tokens,
    Gap,
    Bytes,
    Chunk,
    At,
    SlowFirst,
    SlowBody,
    Stall,
    StallInside,
    End(Fault),
    Html,
    After,
    AfterNone,
    Lines(LineEnd),
    Bom,
    Comments,
    Split,
    Bytewise,
    Flush,
    BigEvent,
    Usage(Usage),
    Gzip,
}

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
}

/// How the text of an event stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    /// Line ends.
    pub line_end: LineEnd,
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
    /// How the answer fails before it begins.
    pub failure: Failure,
    /// How events are written.
    pub text: Text,
    /// How bytes are handed out.
    pub writes: Writes,
    /// When usage is told.
    pub usage: Usage,
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
            Effect::Html => self.failure.html = true,
            Effect::After => self.failure.retry_after = RetryAfter::Wait(read.time),
            Effect::AfterNone => self.failure.retry_after = RetryAfter::Never,
            Effect::Lines(end) => self.text.line_end = end,
            Effect::Bom => self.text.bom = true,
            Effect::Comments => self.text.comments = true,
            Effect::Split => self.writes.split = Some(read.number.max(1)),
            Effect::Bytewise => self.writes.split = Some(1),
            Effect::Flush => self.writes.flush = true,
            Effect::BigEvent => self.text.big_event = Some(read.number),
            Effect::Usage(usage) => self.usage = usage,
            Effect::Gzip => self.writes.gzip = true,
        }
    }

    /// After how many of `count` tokens the fault or the stall comes.
    pub fn at(&self, count: usize) -> usize {
        self.at.unwrap_or(count / 2).min(count)
    }
}

/// The longest word that begins here, and of how many parts it is.
fn row_at(parts: &[&str]) -> Option<(&'static Row, usize)> {
    (1..=parts.len().min(3)).rev().find_map(|length| {
        let word = parts[..length].join("-");
        TABLE.iter().find(|row| row.word == word).map(|row| (row, length))
    })
}

#[derive(Debug, Default, Clone, Copy)]
struct Read {
    number: usize,
    time: Duration,
}

impl Value {
    /// The value and how many parts of the name it took; none when it is needed and not there.
    fn read(self, part: Option<&str>) -> Option<(Read, usize)> {
        let number = |number| Read { number, ..Read::default() };
        let time = |time| Read { time, ..Read::default() };
        let (found, default) = match self {
            Self::None => return Some((Read::default(), 0)),
            Self::Count(default) => (part.and_then(count).map(number), default.map(number)),
            Self::Size(default) => (part.and_then(size).map(number), default.map(number)),
            Self::Time(default) => (part.and_then(duration).map(time), default.map(time)),
        };
        found.map(|read| (read, 1)).or(default.map(|read| (read, 0)))
    }

    fn kind(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Count(_) => "a number up to 1000000",
            Self::Size(_) => "a size up to 64m, such as 4096, 64k or 2m",
            Self::Time(_) => "a duration, such as 50ms, 5s or 2m",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Count(None) => "-N",
            Self::Count(Some(_)) => "[-N]",
            Self::Size(None) => "-SIZE",
            Self::Size(Some(_)) => "[-SIZE]",
            Self::Time(None) => "-TIME",
            Self::Time(Some(_)) => "[-TIME]",
        }
    }
}

fn count(part: &str) -> Option<usize> {
    part.parse().ok().filter(|count| *count <= MAX_TOKENS)
}

/// `4096`, `64k` (KiB), `2m` (MiB); at most [`MAX_SIZE`].
fn size(part: &str) -> Option<usize> {
    let (digits, shift) = match part.strip_suffix('k') {
        Some(digits) => (digits, 10),
        None => part.strip_suffix('m').map_or((part, 0), |digits| (digits, 20)),
    };
    let units: usize = digits.parse().ok()?;
    units.checked_mul(1 << shift).filter(|size| *size <= MAX_SIZE)
}

/// `500us`, `50ms`, `5s`, `2m`, `1h`.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    match &text[split..] {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// The table as lines of text, for `--help`.
pub fn table_text() -> String {
    let mut text = String::from(
        "Model names (in Azure Speech: the voice name). A name is `fake-` and words of this table joined by `-`;\n\
         any name without `fake-` is a good answer. TIME: 500us, 50ms, 5s, 2m, 1h. SIZE: 4096, 64k, 2m.\n\n",
    );
    for row in TABLE {
        let word = format!("{}{}", row.word, row.value.sign());
        let _ = writeln!(text, "  {word:<20} {}", row.meaning);
    }
    text.push_str("\nExample: fake-tokens-200-gap-50ms, fake-slow-first-5s, fake-429-after-2s, fake-crlf-cut-at-3\n");
    text
}

const SECOND: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(3600);

const fn row(word: &'static str, value: Value, effect: Effect, meaning: &'static str) -> Row {
    Row { word, value, effect, meaning }
}

/// The words of a `fake-` model name, and the statuses 400 to 599, which are words too (`fake-503`).
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("ok", Value::None, Effect::Nothing, "a good answer; what every unknown name gets"),
    row("tokens", Value::Count(None), Effect::Tokens, "N tokens (default: --tokens); max_tokens still bounds it"),
    row("gap", Value::Time(None), Effect::Gap, "pause before each token or piece of audio but the first (default: --gap)"),
    row("bytes", Value::Size(None), Effect::Bytes, "bytes of audio (default 64k)"),
    row("chunk", Value::Size(None), Effect::Chunk, "bytes per piece of audio (default 4k)"),
    row("at", Value::Count(None), Effect::At, "faults and stalls come after N tokens or pieces (default: half of them)"),
    row("slow-first", Value::Time(Some(Duration::from_secs(5))), Effect::SlowFirst, "no response head until then (5s)"),
    row("slow-body", Value::Time(Some(Duration::from_secs(5))), Effect::SlowBody, "head at once, first byte late (5s)"),
    row("stall", Value::Time(Some(STALL)), Effect::Stall, "one silence between two events (1h)"),
    row("stall-inside", Value::Time(Some(STALL)), Effect::StallInside, "one silence in the middle of an event (1h)"),
    row("truncated", Value::None, Effect::End(Fault::Truncated), "clean end without the terminal event"),
    row("half-event", Value::None, Effect::End(Fault::HalfEvent), "half an event, then a clean end"),
    row("cut", Value::None, Effect::End(Fault::Cut), "half an event, then closed without the last chunk (h2: RST_STREAM)"),
    row("reset", Value::None, Effect::End(Fault::Reset), "half an event, then a TCP RST of the connection"),
    row("cut-after-done", Value::None, Effect::End(Fault::CutAfterDone), "the whole answer, then closed without the last chunk"),
    row("error-first", Value::None, Effect::End(Fault::ErrorFirst), "200, then only the family's error event (not streamed: 500)"),
    row("error-midway", Value::None, Effect::End(Fault::ErrorMidway), "the family's error event midway, clean end (not streamed: 500)"),
    row("error-then-done", Value::None, Effect::End(Fault::ErrorThenDone), "the error event midway, then the terminal event (vLLM)"),
    row("html", Value::None, Effect::Html, "the status (502) with an HTML page: fake-html-502"),
    row("after", Value::Time(Some(SECOND)), Effect::After, "retry-after of the status: fake-429-after-5s (a bare 429 says 1)"),
    row("after-none", Value::None, Effect::AfterNone, "no retry-after: fake-429-after-none"),
    row("crlf", Value::None, Effect::Lines(LineEnd::Crlf), "events with CR LF line ends"),
    row("cr", Value::None, Effect::Lines(LineEnd::Cr), "events with CR line ends"),
    row("bom", Value::None, Effect::Bom, "a byte order mark first"),
    row("comments", Value::None, Effect::Comments, "comment lines before every event and inside each"),
    row("bytewise", Value::None, Effect::Bytewise, "one byte per write"),
    row("split", Value::Size(None), Effect::Split, "SIZE bytes per write, across events"),
    row("flush", Value::None, Effect::Flush, "each event its own write"),
    row("big-event", Value::Size(Some(2 << 20)), Effect::BigEvent, "one event bigger by SIZE (2m), in a field `obfuscation`"),
    row("usage-every-chunk", Value::None, Effect::Usage(Usage::EveryChunk), "running usage in every chunk (SiliconFlow)"),
    row("usage-never", Value::None, Effect::Usage(Usage::Never), "no usage though asked for"),
    row("gzip", Value::None, Effect::Gzip, "content-encoding: gzip, asked or not"),
];

#[cfg(test)]
mod tests;
