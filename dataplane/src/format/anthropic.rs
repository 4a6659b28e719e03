//! Anthropic Messages.
//!
//! Source: Anthropic's API documentation, "Streaming messages" and "Errors"; what SDKs do with it was tried.
//!
//! | | |
//! |---|---|
//! | complete | `event: message_stop` |
//! | usage | `message_start`, then `message_delta`, whose counts are cumulative |
//! | failed | `event: error` |
//! | lead-in | `message_start`, `ping` |
//!
//! SDKs go by the SSE field `event`, not by the JSON `type`, and skip events without it.

use super::family::Family;
use super::framing::Framing;
use super::rules::{Failure, Reading, Rules};
use super::tokens::{self, Tokens};
use super::units::Unit;
use super::weight::Weight;
use super::{json, opaque};
use bytes::Bytes;
use relay_snapshot::{Provider, WireFormat};
use serde_json::json;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::AnthropicMessages,
    is_spoken: |provider, path| {
        matches!(provider, Provider::Anthropic | Provider::Custom) && path.ends_with("/messages")
    },
    family: Some(Family::Anthropic),
    framing: Framing::Events,
    has_terminal: true,
    takes_comments: true,
    wants_identity: true,
    tokens: Tokens::Text {
        asks: tokens::of_messages,
        unit: text_of_event,
        body: |body| Weight::of_members(body, TEXT),
    },
    read,
    read_body,
    failure: Some(failure),
    ..opaque::RULES
};

/// What a model writes: its answer, its thoughts, what it calls.
const TEXT: &[&[u8]] = &[b"text", b"thinking", b"partial_json"];

fn text_of_event(unit: &Unit<'_>) -> Weight {
    if unit.name == b"content_block_delta" { Weight::of_members(&unit.data, TEXT) } else { Weight::NONE }
}

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    match unit.name {
        b"" | b"ping" => {}
        b"message_start" => {
            if let Some(usage) = json::member(&unit.data, b"message").and_then(|text| json::member(text, b"usage")) {
                reading.read_anthropic(usage);
            }
        }
        b"message_delta" => {
            reading.seen.content = true;
            if let Some(usage) = json::member(&unit.data, b"usage") {
                reading.read_anthropic(usage);
            }
        }
        b"message_stop" => reading.seen.terminal = true,
        b"error" => reading.seen.error = true,
        _ => reading.seen.content = true,
    }
}

fn read_body(reading: &mut Reading, body: &[u8]) {
    for (key, value) in json::members(body) {
        match key {
            b"usage" => reading.read_anthropic(value),
            b"error" => reading.seen.error |= json::is_something(value),
            _ => {}
        }
    }
}

/// SDKs raise on `event: error`.
fn failure(failure: &Failure<'_>) -> Bytes {
    let text = json!({
        "type": "error",
        "error": {"type": "api_error", "message": failure.message, "code": failure.reason.name()},
        "request_id": failure.request_id,
    });
    Bytes::from(format!("event: error\ndata: {text}\n\n"))
}
