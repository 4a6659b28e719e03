//! OpenAI Chat Completions, and the error shape of OpenAI's API and its clones.
//!
//! Source: OpenAI's API reference, "Streaming" and "Error codes"; what SDKs do with it was tried.

use super::{Seen, fields};
use crate::reason::Reason;
use bytes::Bytes;
use serde_json::json;

/// `data: [DONE]` ends a stream; an event with a top-level `error` fails it, also where `[DONE]` follows (vLLM, SGLang).
pub(super) fn scan(events: &[u8], seen: &mut Seen) {
    for data in fields(events, b"data:") {
        seen.terminal |= data.starts_with(b"[DONE]");
        seen.error |= data.starts_with(br#"{"error""#);
    }
}

/// `data: [DONE]` ends a stream also where the blank line behind it is missing: SDKs stop at the line (tried).
pub(super) fn ends_in(tail: &[u8]) -> bool {
    let last = tail.trim_ascii_end().rsplit(|byte| matches!(byte, b'\n' | b'\r')).next();
    matches!(last, Some(b"data: [DONE]" | b"data:[DONE]"))
}

/// SDKs raise `APIError` for an event with a top-level `error` object. No `[DONE]` behind it: the stream did not end well.
pub(super) fn failure_event(reason: Reason, message: &str) -> Bytes {
    Bytes::from(format!("data: {}\n\n", error(reason, message)))
}

/// The body of an error answer.
pub(super) fn error_body(reason: Reason, message: &str) -> Bytes {
    Bytes::from(error(reason, message).to_string())
}

fn error(reason: Reason, message: &str) -> serde_json::Value {
    json!({"error": {"message": message, "type": kind(reason), "param": null, "code": reason.name()}})
}

fn kind(reason: Reason) -> &'static str {
    match reason.status().as_u16() {
        429 => "requests",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}
