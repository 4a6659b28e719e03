//! How the requests of a RelayRoute and their answers are handled.

use crate::rules;
use crate::scalars::{ByteSize, Duration};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::REWRITE_FORM))]
pub struct Rewrite {
    /// Replaces the prefix by which the route matched: of `/team/v1/models` with the match `/team` and the rewrite `/api` becomes
    /// `/api/v1/models`; `/` drops the prefix. Needs matches by prefix.
    #[schemars(length(min = 1, max = 1024))]
    pub prefix: String,
}

/// The wire format of the answers: it decides how the relay reads usage, knows that an answer is complete, and tells that one failed.
/// Auto (default): by the provider and the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WireFormat {
    /// By the provider and the path.
    #[default]
    Auto,
    /// Chat Completions of OpenAI and of those who speak like it.
    OpenAIChat,
    /// Responses of OpenAI.
    OpenAIResponses,
    /// Speech of OpenAI: audio, or events with audio.
    OpenAISpeech,
    /// Realtime of OpenAI: a WebSocket.
    OpenAIRealtime,
    /// Messages of Anthropic.
    AnthropicMessages,
    /// streamGenerateContent of Gemini.
    GeminiStream,
    /// Text to speech of Azure.
    AzureSpeech,
    /// Text to speech of ElevenLabs.
    ElevenLabsSpeech,
    /// JSON lines, as of Ollama.
    #[allow(clippy::upper_case_acronyms)]
    NDJSON,
    /// Bytes that the relay does not look into.
    Opaque,
}

/// How long the relay waits for the upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection to a backend, TLS included. Default: 5s. 0s switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// From the end of the request to the first byte of the answer's body, all attempts together. Default: 120s. 0s switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer's body. Default: 120s. 0s switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// From the request to the last byte of its answer. Default: none, like 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

/// Comment lines in event streams whose upstream is silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::KEEP_ALIVE_BOUND))]
pub struct KeepAlive {
    /// After so long a silence a comment is sent, between events only: 1s to 1h. Not with Gemini, whose SDK fails on comments.
    pub interval: Duration,
}

/// When a failed attempt is followed by another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retries {
    /// How many further attempts a request has. 0: none. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub attempts: Option<u32>,
    /// Statuses of an upstream that count as a failed attempt, besides failures to connect. Default: 429, 502, 503, 529; an empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(range(min = 400, max = 599)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub statuses: Option<Vec<u16>>,
    /// How many retries there may be for 100 requests of the route. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: Option<u32>,
}

/// When a second backend is asked while the first is silent. The first of the two to answer wins, the other is cancelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::HEDGE_AFTER))]
pub struct Hedge {
    /// After so long without a first byte, such as 800ms; more than 0s. What both backends do is paid for.
    pub after: Duration,
    /// For at most so many of 100 requests of the route. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<u32>,
}

/// What becomes of the upstream's answer when the client goes away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::DRAIN_LIMIT))]
pub struct OnClientGone {
    /// Cancel: the request to the upstream ends too. Drain: it is read to its end, to learn the true usage.
    pub mode: ClientGoneMode,
    /// How long it is read on: 1s to 1h. Goes with `mode: Drain`. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Duration>,
}

/// Cancel or Drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientGoneMode {
    /// The request to the upstream ends too.
    Cancel,
    /// The upstream is read to its end.
    Drain,
}

/// How the relay learns the usage of streams. AsSent (default): from what the provider tells. Ask: it asks Chat Completions to tell their
/// usage, and drops the event that tells it where the client did not ask for it. Where a provider tells none, it is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Usage {
    /// From what the provider tells.
    #[default]
    AsSent,
    /// Chat Completions are asked to tell it.
    Ask,
}

/// Bounds of the request body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyLimits {
    /// The largest request body, as a quantity of bytes. A longer one is answered 413. Default: 10Mi, at most 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}
