//! OpenAI Realtime: JSON events, each a text message of a WebSocket.
//!
//! Source: OpenAI's OpenAPI description, server events of the Realtime API.

use crate::reason::Reason;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

/// What a server event tells of the session; all others only pass by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `response.created`: a response is under way.
    ResponseBegun,
    /// `response.done`: it is over, whatever its status; always sent. Its usage counts for itself: a session's is the sum.
    ResponseDone(Spent),
    /// `error`: the session usually stays open.
    Failed {
        /// By a request of the client that can't be served, which is no failure of the provider.
        by_client: bool,
    },
}

/// The tokens of a response; absent ones count as 0, and a response that failed may have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// `input_tokens`, cached ones included.
    pub input: u64,
    /// `output_tokens`.
    pub output: u64,
    /// `input_token_details.cached_tokens`.
    pub cached: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default, borrow)]
    error: Option<Failure<'a>>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_token_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<Cow<'a, str>>,
}

/// Reads a text message of the server. `None`: an event that tells nothing here, or no JSON.
pub fn event(message: &[u8]) -> Option<Event> {
    // Most messages are pieces of audio and text: a search spares them the parser.
    const NAMES: [&[u8]; 3] = [b"\"response.created\"", b"\"response.done\"", b"\"error\""];
    if !NAMES.iter().any(|name| memmem::find(message, name).is_some()) {
        return None;
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    match &*message.kind {
        "response.created" => Some(Event::ResponseBegun),
        "response.done" => {
            let usage = message.response.and_then(|response| response.usage);
            Some(Event::ResponseDone(usage.map(Spent::from).unwrap_or_default()))
        }
        "error" => {
            let kind = message.error.and_then(|error| error.kind);
            Some(Event::Failed { by_client: kind.as_deref() == Some("invalid_request_error") })
        }
        _ => None,
    }
}

impl From<Usage> for Spent {
    fn from(usage: Usage) -> Self {
        let cached = usage.input_token_details.and_then(|details| details.cached_tokens);
        Self {
            input: usage.input_tokens.unwrap_or_default(),
            output: usage.output_tokens.unwrap_or_default(),
            cached: cached.unwrap_or_default(),
        }
    }
}

/// The event that tells a client that the session failed; a Close frame follows. `event_id` is the relay's name of the request.
pub fn failure_event(reason: Reason, message: &str, request_id: &str) -> Bytes {
    let error =
        json!({"type": "server_error", "code": reason.name(), "message": message, "param": null, "event_id": null});
    Bytes::from(json!({"type": "error", "event_id": request_id, "error": error}).to_string())
}
