//! How the requests of a route and their answers are handled.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What becomes of the top-level `model` of a JSON request body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelRewrite {
    /// It goes up as it came.
    #[default]
    None,
    /// Every request asks for this one.
    To(String),
    /// The keys become their values; others go up as they came.
    Map(BTreeMap<String, String>),
}

impl ModelRewrite {
    /// Whether nothing is rewritten.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// How the requests of a route and their answers are handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// The wire format; `None`: by the provider and the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<WireFormat>,
    /// Replaces the matched prefix of the path; `None`: the path goes up unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_prefix: Option<String>,
    /// Pause of an event stream, in milliseconds, after which a comment keeps the connection alive; 0: none is sent.
    pub keep_alive_ms: u64,
    /// When a failed attempt is followed by another.
    pub retries: Retries,
    /// When a second backend is asked while the first is silent; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// How long the upstream is read on after the client went away, in milliseconds; 0: not at all, it is cancelled.
    pub drain_ms: u64,
    /// Tokens of an answer that are reserved for a request that names no maximum itself, 1 to 10,000,000.
    pub max_output: u64,
    /// True: Chat Completions are asked to tell their usage, and the event that tells it is dropped where the client did not ask.
    pub ask_usage: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            format: None,
            rewrite_prefix: None,
            keep_alive_ms: 0,
            retries: Retries::default(),
            hedge: None,
            drain_ms: 0,
            max_output: 4096,
            ask_usage: false,
        }
    }
}

/// A wire format by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum WireFormat {
    OpenAIChat,
    OpenAIResponses,
    OpenAISpeech,
    OpenAIRealtime,
    AnthropicMessages,
    GeminiStream,
    AzureSpeech,
    ElevenLabsSpeech,
    NDJSON,
    Opaque,
}

/// When a failed attempt is followed by another; always before the first byte to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// How many further attempts a request has; 0: none.
    pub attempts: u32,
    /// Statuses of an upstream that count as a failed attempt. In order, each once.
    pub statuses: Vec<u16>,
    /// How many retries there may be for 100 requests of the route.
    pub budget_percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 2, statuses: vec![429, 502, 503, 529], budget_percent: 20 }
    }
}

/// When a second backend is asked while the first is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hedge {
    /// After this many milliseconds without a first byte.
    pub after_ms: u64,
    /// For at most so many of 100 requests of the route.
    pub max_percent: u32,
}
