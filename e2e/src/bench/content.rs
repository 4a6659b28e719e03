//! What the upstream answers, known to both ends: the load generator compares every byte with it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of an event in bytes, its blank line included.
pub const EVENT: usize = 269;
/// The event that ends a stream.
pub const END: &[u8] = b"data: [DONE]\n\n";
/// The plain answer.
pub const JSON: &str = concat!(
    r#"{"id":"chatcmpl-benchmark","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"#,
    r#""message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog, again and again, until it is late."},"#,
    r#""finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":21,"total_tokens":30}}"#
);
/// The request's body.
pub const REQUEST: &str =
    r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hello, how are you today?"}]}"#;

const HEAD: &[u8] = br#"data: {"id":"chatcmpl-benchmark","object":"chat.completion.chunk","sent":""#;
const MIDDLE: &[u8] = br#"","model":"gpt-4o","choices":[{"index":0,"delta":{"content":""#;
const FOOT: &[u8] = b"\"}}]}\n\n";
/// Digits of the time in an event.
const DIGITS: usize = 20;

/// How one request is answered. Its text form stands in the request's target, where every proxy passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// [`JSON`] with its length.
    Json,
    /// So many events, then [`END`]. A gap of zero: as fast as possible.
    Stream {
        /// How many.
        events: u32,
        /// Between two of them.
        gap: Duration,
    },
    /// One event, then silence until the client goes.
    Silent,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("json"),
            Self::Stream { events, gap } => write!(f, "stream.{events}.{}", gap.as_millis()),
            Self::Silent => f.write_str("silent"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no plan: write json, silent or stream.EVENTS.GAP_MS");
        match text {
            "json" => return Ok(Self::Json),
            "silent" => return Ok(Self::Silent),
            _ => {}
        }
        let numbers = text.strip_prefix("stream.").and_then(|rest| rest.split_once('.')).ok_or_else(wrong)?;
        match (numbers.0.parse(), numbers.1.parse()) {
            (Ok(events), Ok(gap)) => Ok(Self::Stream { events, gap: Duration::from_millis(gap) }),
            _ => Err(wrong()),
        }
    }
}

impl Plan {
    /// The request's target.
    pub fn target(self) -> String {
        format!("/v1/chat/completions?bench={self}")
    }

    /// The plan of a request's target.
    pub fn of_target(target: &str) -> Option<Self> {
        target.split_once("?bench=")?.1.parse().ok()
    }

    /// How many events and end markers a whole answer has; a plain answer counts as one event without marker.
    pub const fn parts(self) -> (u32, u32) {
        match self {
            Self::Json | Self::Silent => (1, 0),
            Self::Stream { events, .. } => (events, 1),
        }
    }
}

/// Nanoseconds of the system's clock, which upstream and load generator share.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// Appends an event that was sent at `sent_ns`.
pub fn push_event(out: &mut Vec<u8>, sent_ns: u64) {
    let end = out.len() + EVENT;
    out.extend_from_slice(HEAD);
    out.extend_from_slice(format!("{sent_ns:0DIGITS$}").as_bytes());
    out.extend_from_slice(MIDDLE);
    out.resize(end - FOOT.len(), b'x');
    out.extend_from_slice(FOOT);
}

/// When the event was sent; `None` where it is not an event that [`push_event`] made.
pub fn sent_ns(event: &[u8]) -> Option<u64> {
    let (digits, rest) = event.strip_prefix(HEAD)?.split_at_checked(DIGITS)?;
    let padding = rest.strip_prefix(MIDDLE)?.strip_suffix(FOOT)?;
    let whole = event.len() == EVENT && padding.iter().all(|byte| *byte == b'x');
    std::str::from_utf8(digits).ok().filter(|_| whole)?.parse().ok()
}
