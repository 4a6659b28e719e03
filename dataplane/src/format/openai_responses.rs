//! OpenAI Responses.
//!
//! Source: OpenAI's API reference, "Streaming events"; what SDKs do with it was tried.
//!
//! | | |
//! |---|---|
//! | complete | `response.completed`, `response.incomplete`; `response.failed` ends it too |
//! | usage | `response.usage` in the event that ends it |
//! | failed | `response.failed`; `error`, flat as the reference shows it or nested as it is sent |
//! | lead-in | `response.created`, `response.queued`, `response.in_progress` |

use super::family::{Family, openai_kind};
use super::framing::Framing;
use super::rules::{Failure, Reading, Rules};
use super::tokens::{self, Tokens};
use super::units::Unit;
use super::weight::Weight;
use super::{is_openai, json, opaque};
use bytes::Bytes;
use memchr::memmem::Finder;
use relay_snapshot::WireFormat;
use serde_json::json;
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::OpenAIResponses,
    is_spoken: |provider, path| is_openai(provider) && path.ends_with("/responses"),
    family: Some(Family::OpenAI),
    framing: Framing::Events,
    has_terminal: true,
    takes_comments: true,
    wants_identity: true,
    tokens: Tokens::Text {
        asks: tokens::of_responses,
        unit: text_of_event,
        body: |body| Weight::of_members(body, TEXT),
    },
    read,
    failure: Some(failure),
    ..opaque::RULES
};

/// What a model writes: its answer and its thoughts, what it calls, why it does not.
const TEXT: &[&[u8]] = &[b"text", b"arguments", b"refusal"];

/// Pieces stand in `delta`, and what is whole afterwards once more in other members.
fn text_of_event(unit: &Unit<'_>) -> Weight {
    static DELTA: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""delta""#));
    if unit.name.ends_with(b"audio.delta") {
        return Weight::NONE;
    }
    Weight::of_member(&unit.data, &DELTA)
}

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    static SEQUENCE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""sequence_number""#));
    if let Some(number) = json::number_at(&SEQUENCE, &unit.data) {
        reading.sequence = Some(number);
    }
    if !unit.whole {
        saw(reading, unit.name);
    } else if !reading.seen.content || is_marked(&unit.data) {
        read_event(reading, unit);
    }
}

/// Whether an event may end the stream or fail it.
fn is_marked(data: &[u8]) -> bool {
    static MARKS: LazyLock<[Finder<'_>; 4]> = LazyLock::new(|| {
        [r#""response.completed""#, r#""response.incomplete""#, r#""response.failed""#, r#""error""#].map(Finder::new)
    });
    MARKS.iter().any(|mark| json::stands(mark, data, |value| !value.starts_with(b"null")))
}

fn read_event(reading: &mut Reading, unit: &Unit<'_>) {
    // SDKs go by `type`.
    let mut kind = unit.name;
    for (key, value) in json::members(&unit.data) {
        match key {
            b"type" => kind = json::text(value),
            b"error" => reading.seen.error |= json::is_something(value),
            b"response" => {
                if let Some(usage) = json::member(value, b"usage") {
                    reading.read_openai(usage);
                }
            }
            _ => {}
        }
    }
    saw(reading, kind);
}

fn saw(reading: &mut Reading, kind: &[u8]) {
    let seen = &mut reading.seen;
    match kind {
        b"response.completed" | b"response.incomplete" => seen.terminal = true,
        b"response.failed" => {
            seen.terminal = true;
            seen.error = true;
        }
        b"error" => seen.error = true,
        b"" | b"response.created" | b"response.queued" | b"response.in_progress" => {}
        _ => seen.content = true,
    }
}

/// Both forms in one event: the flat one of the reference, which SDKs hand out, and the nested one, which they raise.
fn failure(failure: &Failure<'_>) -> Bytes {
    let (code, message) = (failure.reason.name(), failure.message);
    let mut event = json!({
        "type": "error",
        "code": code,
        "message": message,
        "param": null,
        "error": {"type": openai_kind(failure.reason), "code": code, "message": message, "param": null},
    });
    if let (Some(number), Some(event)) = (failure.sequence, event.as_object_mut()) {
        event.insert("sequence_number".to_owned(), number.into());
    }
    Bytes::from(format!("event: error\ndata: {event}\n\n"))
}
