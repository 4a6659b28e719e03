//! Wire formats: what an answer looks like, when it is complete, what it counts, and how a client is told that it failed.
//!
//! Adding a format is one file with its [`Rules`] and one row of the table below.

mod anthropic;
pub mod asking;
mod azure_speech;
pub mod characters;
mod elevenlabs;
mod family;
mod framing;
mod gemini;
mod json;
mod ndjson;
mod observer;
mod opaque;
mod openai_chat;
pub(crate) mod openai_realtime;
mod openai_responses;
mod openai_speech;
mod prompt;
mod rules;
#[cfg(test)]
mod tests;
mod tokens;
mod units;
mod usage;
mod weight;

pub use family::Family;
pub use framing::Framing;
pub use observer::Observer;
pub use prompt::{Content, Prompt};
pub use rules::Seen;
pub use tokens::Asked;
pub use usage::Usage;
pub use weight::Weight;

use crate::reason::Reason;
use bytes::Bytes;
use relay_snapshot::{Provider, WireFormat};
use rules::{Failure, Reading, Rules};

/// Makes the closed set of formats from one table.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $module:ident,)+) => {
        /// The wire format of a request and its answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Format { $($(#[$doc])* $name,)+ }

        impl Format {
            /// Every format.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn rules(self) -> &'static Rules {
                match self { $(Self::$name => &$module::RULES,)+ }
            }
        }
    };
}

// In the order in which they are asked whether a request is theirs.
formats! {
    /// OpenAI Chat Completions: events that end with `[DONE]`.
    OpenAIChat = openai_chat,
    /// OpenAI Responses: named events that end with `response.completed`.
    OpenAIResponses = openai_responses,
    /// OpenAI speech: binary audio, or events that end with `speech.audio.done`.
    OpenAISpeech = openai_speech,
    /// OpenAI Realtime: a WebSocket.
    OpenAIRealtime = openai_realtime,
    /// Anthropic Messages: named events that end with `message_stop`.
    AnthropicMessages = anthropic,
    /// Gemini's `streamGenerateContent`: events that end with a `finishReason`.
    GeminiStream = gemini,
    /// Azure Speech: SSML in, binary audio out.
    AzureSpeech = azure_speech,
    /// ElevenLabs speech: binary audio.
    ElevenLabsSpeech = elevenlabs,
    /// Ollama: lines that end with `done: true`.
    Ndjson = ndjson,
    /// Anything else: relayed as it is; its end is the end of its framing.
    Opaque = opaque,
}

impl Format {
    /// The format of a request: the one that its route names, else by the provider and the path that goes to it (without the query).
    pub fn of(provider: Provider, path: &str, configured: Option<WireFormat>) -> Self {
        let mut all = Self::ALL.iter().copied();
        let found = match configured {
            Some(name) => all.find(|format| format.rules().name == name),
            None => all.find(|format| (format.rules().is_spoken)(provider, path)),
        };
        found.unwrap_or(Self::Opaque)
    }

    /// Whose error bodies the clients of such a request read. Where the backend is known, [`Family::of`] knows more.
    pub fn family(self, path: &str) -> Family {
        self.own_family().unwrap_or_else(|| Family::of_path(path))
    }

    const fn own_family(self) -> Option<Family> {
        self.rules().family
    }

    /// How an answer of this type is cut. One whose type is not that of the format's streams passes as it comes; but events are events.
    pub fn framing(self, content_type: &[u8]) -> Framing {
        match (Framing::of(content_type), self.rules().framing) {
            (Framing::Events, Framing::Events | Framing::Bytes) => Framing::Events,
            (Framing::Lines, Framing::Lines) => Framing::Lines,
            _ => Framing::Bytes,
        }
    }

    /// Whether the upstream is asked not to compress, so that events can be seen.
    pub const fn wants_identity(self) -> bool {
        self.rules().wants_identity
    }

    /// Whether a stream of events or lines in this format has an end of its own, so that its absence means that it was cut. Where clean ends
    /// of the framing count too, [`Observer::is_whole`] knows it.
    pub const fn has_terminal(self) -> bool {
        self.rules().has_terminal
    }

    /// Whether the stream ended although its last unit, which is `tail`, is not whole: where clients take it all the same.
    pub fn ends_in(self, tail: &[u8]) -> bool {
        let mut reading = Reading::default();
        observer::read_unfinished(self.rules(), &mut reading, tail);
        reading.seen.terminal
    }

    /// Whether clients take comments between events: not where the SDK fails on them, nor where it is not known.
    pub const fn takes_comments(self) -> bool {
        self.rules().takes_comments
    }

    /// Whether the characters that its provider bills are those of the request's body.
    pub const fn counts_requests(self) -> bool {
        matches!(self.rules().characters, characters::Characters::Asked(_))
    }

    /// Whether requests may ask to go on in another protocol.
    pub const fn allows_upgrade(self) -> bool {
        self.rules().allows_upgrade
    }

    /// What tells a client, between two units, that the stream failed; a clean end of the framing follows. `None`: only breaking the framing tells it.
    pub fn failure_event(self, reason: Reason, message: &str, request_id: &str) -> Option<Bytes> {
        self.rules().failure.map(|failure| failure(&Failure { reason, message, request_id, sequence: None }))
    }
}

/// Providers that speak OpenAI's API at OpenAI's paths, whatever stands before them.
const fn is_openai(provider: Provider) -> bool {
    matches!(provider, Provider::OpenAI | Provider::SiliconFlow | Provider::AzureOpenAI | Provider::Custom)
}
