//! Wire formats: what an answer looks like, when it is complete, and how a client is told that it failed.
//!
//! Adding a format is one file here and one row in [`Format::of`].

mod anthropic;
mod openai;
pub mod realtime;
#[cfg(test)]
mod tests;

use crate::reason::Reason;
use bytes::Bytes;
use relay_snapshot::Provider;

/// The wire format of a request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI Chat Completions: SSE that ends with `data: [DONE]`.
    OpenAIChat,
    /// OpenAI speech: binary audio.
    OpenAISpeech,
    /// OpenAI Realtime: a WebSocket of JSON events.
    OpenAIRealtime,
    /// Anthropic Messages: named SSE events that end with `message_stop`.
    AnthropicMessages,
    /// Azure Speech: SSML in, binary audio out.
    AzureSpeech,
    /// Anything else: relayed as it is; its end is the end of its framing.
    Opaque,
}

/// Whose error shape a client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `{"error":{"message","type","param","code"}}`.
    OpenAI,
    /// `{"type":"error","error":{"type","message"},"request_id"}`.
    Anthropic,
}

/// What whole events of a stream told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The format's own end.
    pub terminal: bool,
    /// An error event of the provider.
    pub error: bool,
}

impl Format {
    /// The format of a request, by the provider and the path that goes to it.
    pub fn of(provider: Provider, path: &str) -> Self {
        match provider {
            Provider::OpenAI | Provider::SiliconFlow | Provider::Custom if path.ends_with("/chat/completions") => {
                Self::OpenAIChat
            }
            Provider::OpenAI | Provider::SiliconFlow | Provider::Custom if path.ends_with("/audio/speech") => {
                Self::OpenAISpeech
            }
            Provider::OpenAI | Provider::Custom if path.ends_with("/realtime") => Self::OpenAIRealtime,
            Provider::Anthropic | Provider::Custom if path.ends_with("/messages") => Self::AnthropicMessages,
            Provider::AzureSpeech => Self::AzureSpeech,
            _ => Self::Opaque,
        }
    }

    /// Whether the upstream is asked not to compress, so that events can be seen.
    pub const fn wants_identity(self) -> bool {
        !matches!(self, Self::Opaque)
    }

    /// Whether a client may ask for a WebSocket.
    pub const fn allows_upgrade(self) -> bool {
        matches!(self, Self::OpenAIRealtime)
    }

    /// Looks through whole events that pass by. Keeps nothing, changes nothing.
    pub fn scan(self, events: &[u8], seen: &mut Seen) {
        match self {
            Self::OpenAIChat => openai::scan(events, seen),
            Self::AnthropicMessages => anthropic::scan(events, seen),
            Self::OpenAISpeech | Self::OpenAIRealtime | Self::AzureSpeech | Self::Opaque => {}
        }
    }

    /// Whether the stream ended although the last event, which is not whole, lacks its blank line: where clients take it all the same.
    pub fn ends_in(self, tail: &[u8]) -> bool {
        match self {
            Self::OpenAIChat => openai::ends_in(tail),
            // Clients discard it without the blank line, and miss it.
            Self::AnthropicMessages | Self::OpenAISpeech | Self::OpenAIRealtime | Self::AzureSpeech | Self::Opaque => {
                false
            }
        }
    }

    /// Whether an event stream of this format has an end of its own, so that its absence means that it was cut.
    pub const fn has_terminal(self) -> bool {
        matches!(self, Self::OpenAIChat | Self::AnthropicMessages)
    }

    /// The event that tells a client, at an event boundary, that the stream failed. `None`: only breaking the framing tells it.
    pub fn failure_event(self, reason: Reason, message: &str, request_id: &str) -> Option<Bytes> {
        match self {
            Self::OpenAIChat => Some(openai::failure_event(reason, message)),
            Self::AnthropicMessages => Some(anthropic::failure_event(reason, message, request_id)),
            Self::OpenAISpeech | Self::OpenAIRealtime | Self::AzureSpeech | Self::Opaque => None,
        }
    }
}

impl Family {
    /// The family of a request, before a route is known or where the route does not tell.
    pub fn of_path(path: &str) -> Self {
        if path.ends_with("/messages") || path.contains("/messages/") { Self::Anthropic } else { Self::OpenAI }
    }

    /// The body of an answer that the relay makes.
    pub fn error_body(self, reason: Reason, message: &str, request_id: &str) -> Bytes {
        match self {
            Self::OpenAI => openai::error_body(reason, message),
            Self::Anthropic => anthropic::error_body(reason, message, request_id),
        }
    }
}

/// What stands behind `name` (with its colon) at the beginning of lines, less one space; to the end of `events`, not of the line.
/// A byte order mark before the first line does not count (WHATWG HTML, "Parsing an event stream").
fn fields<'a>(events: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let first = if events.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let starts = std::iter::once(first).chain(memchr::memchr2_iter(b'\n', b'\r', events).map(|end| end + 1));
    starts.filter_map(move |start| {
        let value = events.get(start..)?.strip_prefix(name)?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    })
}
