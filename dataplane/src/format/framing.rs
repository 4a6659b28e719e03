//! How an answer is cut into units.

/// How an answer is cut into units that clients act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-Sent Events: each ends with an empty line.
    Events,
    /// One JSON text a line.
    Lines,
    /// Not cut: passed on as it comes.
    Bytes,
}

impl Framing {
    /// By the value of `content-type` (RFC 9110, section 8.3.1: case does not count, parameters follow a semicolon).
    pub(super) fn of(content_type: &[u8]) -> Self {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &&[u8]| essence.eq_ignore_ascii_case(name);
        if is(&&b"text/event-stream"[..]) {
            Self::Events
        } else if JSON_LINES.iter().any(is) {
            Self::Lines
        } else {
            Self::Bytes
        }
    }
}

/// Nobody registered a name for it with IANA; these are in use.
const JSON_LINES: [&[u8]; 5] = [
    b"application/x-ndjson",
    b"application/ndjson",
    b"application/jsonl",
    b"application/x-jsonl",
    b"application/jsonlines",
];
