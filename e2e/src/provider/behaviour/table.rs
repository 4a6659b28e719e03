//! The words of a `fake-` model name and how their values are read: the one place that lists them.

use std::fmt::Write as _;
use std::time::Duration;

use super::{ErrorShape, Fault, LineEnd, MAX_SIZE, MAX_TOKENS, Usage};

/// One word of the model-name language.
#[derive(Debug)]
pub struct Row {
    /// The word, itself possibly with dashes.
    pub word: &'static str,
    /// What may follow it.
    pub(super) value: Value,
    pub(super) effect: Effect,
    /// Meaning, for people.
    pub meaning: &'static str,
}

/// The value behind a word and what it is when left out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    None,
    Count(Option<usize>),
    Size(Option<usize>),
    Time(Option<Duration>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
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
    Shape(ErrorShape),
    Html,
    AsOk,
    After,
    AfterDate,
    AfterNone,
    Lines(LineEnd),
    Bom,
    Comments,
    Split,
    Bytewise,
    Flush,
    BigEvent,
    Usage(Usage),
    Reasoning,
    Cached,
    Gzip,
}

/// The table as lines of text, for `--help`.
pub fn table_text() -> String {
    let mut text = String::from(
        "Model names (Azure Speech: the voice name; Gemini: in the path; Azure OpenAI: the deployment). A name is `fake-` and words of this table joined by `-`;\n\
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
const STALL: Duration = Duration::from_hours(1);

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
    row("error-first", Value::None, Effect::End(Fault::ErrorFirst), "200, then only the family's error event (JSON, audio: 500)"),
    row("error-midway", Value::None, Effect::End(Fault::ErrorMidway), "the family's error event midway, clean end (JSON: 500, audio: cut)"),
    row("error-then-done", Value::None, Effect::End(Fault::ErrorThenDone), "the error event midway, then the terminal event (vLLM)"),
    row("short-length", Value::None, Effect::End(Fault::ShortLength), "content-length of the whole answer, half of it, then closed (h2: END_STREAM)"),
    row("bad-chunk", Value::None, Effect::End(Fault::BadChunk), "half an event, then bytes that are no chunk (h2: no frame)"),
    row("error-string", Value::None, Effect::Shape(ErrorShape::Text), "errors in the stream are `error`: a text; without a place: midway"),
    row("error-flat", Value::None, Effect::Shape(ErrorShape::Flat), "... are fields at the top"),
    row("error-nested", Value::None, Effect::Shape(ErrorShape::Nested), "... are an object `error`"),
    row("error-dual", Value::None, Effect::Shape(ErrorShape::Dual), "... are flat and nested at once"),
    row("error-chunk", Value::None, Effect::Shape(ErrorShape::Chunk), "... are a chunk with finish_reason error (OpenRouter)"),
    row("error-failed", Value::None, Effect::Shape(ErrorShape::Failed), "... are response.failed (Responses)"),
    row("error-json", Value::None, Effect::AsOk, "200 and the error as one JSON text, though a stream was asked for"),
    row("html", Value::None, Effect::Html, "the status (502) with an HTML page: fake-html-502"),
    row("after", Value::Time(Some(SECOND)), Effect::After, "retry-after of the status: fake-429-after-5s (a bare 429 says 1)"),
    row("after-date", Value::Time(Some(SECOND)), Effect::AfterDate, "retry-after as a date: fake-503-after-date-5s"),
    row("after-none", Value::None, Effect::AfterNone, "no retry-after: fake-429-after-none"),
    row("lf", Value::None, Effect::Lines(LineEnd::Lf), "events with LF line ends (what all but Gemini send anyway)"),
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
    row("reasoning", Value::Count(None), Effect::Reasoning, "N tokens of reasoning, counted as output; SiliconFlow shows them"),
    row("cached", Value::Count(None), Effect::Cached, "N tokens of the prompt came out of a cache, as usage tells"),
    row("gzip", Value::None, Effect::Gzip, "content-encoding: gzip, asked or not"),
];

/// The longest word that begins here, and of how many parts it is.
pub(super) fn row_at(parts: &[&str]) -> Option<(&'static Row, usize)> {
    (1..=parts.len().min(3)).rev().find_map(|length| {
        let word = parts[..length].join("-");
        TABLE.iter().find(|row| row.word == word).map(|row| (row, length))
    })
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Read {
    pub(super) number: usize,
    pub(super) time: Duration,
}

impl Value {
    /// The value and how many parts of the name it took; none when it is needed and not there.
    pub(super) fn read(self, part: Option<&str>) -> Option<(Read, usize)> {
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

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Count(_) => "a number up to 1000000",
            Self::Size(_) => "a size up to 64m, such as 4096, 64k or 2m",
            Self::Time(_) => "a duration, such as 50ms, 5s or 2m",
        }
    }

    pub(super) fn sign(self) -> &'static str {
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
