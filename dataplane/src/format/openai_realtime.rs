//! OpenAI Realtime: to HTTP a request that asks to go on as a WebSocket; there JSON events, each a text message.
//!
//! Source: OpenAI's OpenAPI description, server events of the Realtime API.

use super::family::Family;
use super::tokens::Tokens;
use super::{Rules, Usage, Weight, is_openai, json, opaque};
use crate::reason::Reason;
use bytes::Bytes;
use memchr::memmem::{self, Finder};
use relay_snapshot::WireFormat;
use serde_json::json;
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::OpenAIRealtime,
    is_spoken: |provider, path| is_openai(provider) && path.ends_with("/realtime"),
    family: Some(Family::OpenAI),
    allows_upgrade: true,
    tokens: Tokens::Told,
    ..opaque::RULES
};

/// What a server event tells of the session; all others only pass by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `response.created`: a response is under way.
    ResponseBegun,
    /// `response.done`: it is over, whatever its status; always sent. Its usage counts for itself: a session's is the sum.
    ResponseDone(Usage),
    /// `error`: the session usually stays open.
    Failed {
        /// By a request of the client that can't be served, which is no failure of the provider.
        by_client: bool,
    },
}

/// Reads a text message of the server. `None`: an event that tells nothing here, or no JSON.
pub(crate) fn event(message: &[u8]) -> Option<Event> {
    // Most messages are pieces of audio and text: a search spares them the rest.
    const NAMES: [&[u8]; 3] = [b"\"response.created\"", b"\"response.done\"", b"\"error\""];
    if !NAMES.iter().any(|name| memmem::find(message, name).is_some()) || !json::is_whole(message.trim_ascii()) {
        return None;
    }
    match json::text(json::member(message, b"type")?) {
        b"response.created" => Some(Event::ResponseBegun),
        b"response.done" => {
            let mut usage = Usage::default();
            if let Some(told) = json::member(message, b"response").and_then(|response| json::member(response, b"usage"))
            {
                usage.read_openai(told);
            }
            Some(Event::ResponseDone(usage))
        }
        b"error" => {
            let kind = json::member(message, b"error").and_then(|error| json::member(error, b"type"));
            Some(Event::Failed { by_client: kind.map(json::text) == Some(b"invalid_request_error") })
        }
        _ => None,
    }
}

/// What the text weighs that the model made in a message of the server: of its answer, of its speech, of what it calls. Audio weighs nothing, nor does
/// what the client was heard to say, which another model writes.
pub(crate) fn text_of(message: &[u8]) -> Weight {
    static DELTA: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""delta""#));
    static OTHERS: LazyLock<[Finder<'_>; 2]> =
        LazyLock::new(|| [r#"audio.delta""#, r#"input_audio_transcription.delta""#].map(Finder::new));
    let is_other = OTHERS.iter().any(|other| other.find(message).is_some());
    if is_other { Weight::NONE } else { Weight::of_member(message, &DELTA) }
}

/// The event that tells a client that the session failed; a Close frame follows. `event_id` is the relay's name of the request.
pub(crate) fn failure_event(reason: Reason, message: &str, request_id: &str) -> Bytes {
    let error =
        json!({"type": "server_error", "code": reason.name(), "message": message, "param": null, "event_id": null});
    Bytes::from(json!({"type": "error", "event_id": request_id, "error": error}).to_string())
}
