//! Anthropic Messages and the error shape of Anthropic's API.
//!
//! Source: Anthropic's API documentation, "Streaming messages" and "Errors"; what SDKs do with it was tried.

use super::{Seen, fields};
use crate::reason::Reason;
use bytes::Bytes;
use serde_json::json;

/// `event: message_stop` ends a stream, `event: error` fails it; SDKs go by the SSE field `event`, not by the JSON `type`.
pub(super) fn scan(events: &[u8], seen: &mut Seen) {
    for event in fields(events, b"event:") {
        seen.terminal |= event.starts_with(b"message_stop");
        seen.error |= event.starts_with(b"error");
    }
}

/// SDKs raise on `event: error`.
pub(super) fn failure_event(reason: Reason, message: &str, request_id: &str) -> Bytes {
    let text = json!({
        "type": "error",
        "error": {"type": "api_error", "message": message, "code": reason.name()},
        "request_id": request_id,
    });
    Bytes::from(format!("event: error\ndata: {text}\n\n"))
}

/// The body of an error answer.
pub(super) fn error_body(reason: Reason, message: &str, request_id: &str) -> Bytes {
    let text = json!({
        "type": "error",
        "error": {"type": kind(reason), "message": message, "code": reason.name()},
        "request_id": request_id,
    });
    Bytes::from(text.to_string())
}

fn kind(reason: Reason) -> &'static str {
    match reason.status().as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        408 | 504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
