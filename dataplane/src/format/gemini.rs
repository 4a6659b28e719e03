//! Gemini's `streamGenerateContent` with `alt=sse`; without it the answer is one JSON array, which is not cut, and that of `generateContent` one
//! object.
//!
//! Source: Google's reference of the Gemini API, "GenerateContentResponse"; what SDKs do with it was tried.
//!
//! | | |
//! |---|---|
//! | complete | a `finishReason` for every candidate, or a `blockReason` for the prompt; and then a clean end of the framing |
//! | usage | the last `usageMetadata`: it counts in every chunk |
//! | failed | a chunk with a top-level `error` |
//!
//! Its Python SDK fails on comments.

use super::family::{Family, gemini_error};
use super::framing::Framing;
use super::rules::{Failure, Reading, Rules};
use super::tokens::{self, Tokens};
use super::units::Unit;
use super::weight::Weight;
use super::{json, opaque};
use bytes::Bytes;
use http::StatusCode;
use memchr::memmem::Finder;
use relay_snapshot::{Provider, WireFormat};
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::GeminiStream,
    is_spoken: |provider, path| {
        matches!(provider, Provider::Gemini | Provider::Custom)
            && (path.ends_with(":streamGenerateContent") || path.ends_with(":generateContent"))
    },
    family: Some(Family::Gemini),
    framing: Framing::Events,
    has_terminal: true,
    wants_identity: true,
    streams: |path, _| path.ends_with(":streamGenerateContent"),
    tokens: Tokens::Text {
        asks: tokens::of_gemini,
        unit: |unit| Weight::of_member(&unit.data, &TEXT),
        body: |body| Weight::of_member(body, &TEXT),
    },
    read,
    read_body,
    failure: Some(failure),
    ..opaque::RULES
};

/// What a model writes, thoughts too.
static TEXT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""text""#));

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    if unit.whole {
        read_chunk(reading, &unit.data);
    } else {
        reading.seen.content = true;
        reading.seen.error |= unit.data.starts_with(br#"{"error""#);
    }
}

fn read_body(reading: &mut Reading, body: &[u8]) {
    if body.starts_with(b"[") {
        json::elements(body).for_each(|chunk| read_chunk(reading, chunk));
    } else {
        read_chunk(reading, body);
    }
}

fn read_chunk(reading: &mut Reading, chunk: &[u8]) {
    for (key, value) in json::members(chunk) {
        match key {
            b"error" => reading.seen.error |= json::is_something(value),
            b"usageMetadata" => reading.read_gemini(value),
            b"candidates" => {
                for candidate in json::elements(value) {
                    reading.seen.content = true;
                    let index = json::member(candidate, b"index").and_then(json::number).unwrap_or(0);
                    let finish = json::member(candidate, b"finishReason").map(json::text).unwrap_or_default();
                    // The first value of the enum stands for none.
                    reading.saw_choice(index, !matches!(finish, b"" | b"FINISH_REASON_UNSPECIFIED"));
                }
            }
            b"promptFeedback" if json::member(value, b"blockReason").is_some_and(json::is_something) => {
                reading.seen.content = true;
                reading.saw_choice(0, true);
            }
            _ => {}
        }
    }
}

/// SDKs raise `ServerError` for a top-level `error` whose code is 5xx, and `ClientError` for 4xx: a budget is spent by the client.
fn failure(failure: &Failure<'_>) -> Bytes {
    let status = match failure.reason.status() {
        StatusCode::TOO_MANY_REQUESTS => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let error = gemini_error(failure.reason, status, failure.message, failure.request_id);
    Bytes::from(format!("data: {error}\r\n\r\n"))
}
