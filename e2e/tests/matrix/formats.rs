//! The formats: how each is asked for, and what its wire looks like, from the providers' documentation.

use relay_snapshot::{Provider, WireFormat};

/// What an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    /// Server-sent events with this line end.
    Events(&'static str),
    /// A JSON text a line.
    Lines,
    /// Bytes that nothing can be put between.
    Bytes,
}

/// Whose shape the errors of an API have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    OpenAI,
    Responses,
    Anthropic,
    Gemini,
    ElevenLabs,
    Ollama,
}

/// A column of the matrix.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) provider: Provider,
    /// What the route says; none leaves it to provider and path.
    pub(crate) wire: Option<WireFormat>,
    /// Header and scheme of the provider's key.
    pub(crate) credential: (&'static str, Option<&'static str>),
    /// `MODEL` stands for the model.
    pub(crate) path: &'static str,
    /// Beside those that all have.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// `MODEL` stands for the model.
    pub(crate) body: &'static str,
    pub(crate) units: Units,
    /// What the last unit of a whole answer has in it; none where only the framing tells.
    pub(crate) terminal: Option<&'static str>,
    /// Whether it has words for a failure that its clients raise: where SDKs hand out bytes, only a broken framing raises.
    pub(crate) has_words: bool,
    /// Whether a provider can say in the answer that it failed.
    pub(crate) fails_in_band: bool,
    pub(crate) errors: Errors,
    pub(crate) kind: &'static str,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const BEARER: (&str, Option<&str>) = ("authorization", Some("Bearer"));
const CHAT: &str = r#"{"model":"MODEL","stream":true,"messages":[{"role":"user","content":"one two three"}]}"#;
const EVENTS: Units = Units::Events("\n");

const BASE: Format = Format {
    name: "Chat",
    provider: Provider::OpenAI,
    wire: None,
    credential: BEARER,
    path: "/v1/chat/completions",
    headers: JSON,
    body: CHAT,
    units: EVENTS,
    terminal: Some("[DONE]"),
    has_words: true,
    fails_in_band: true,
    errors: Errors::OpenAI,
    kind: "sse",
};

/// Audio of any provider.
const AUDIO: Format =
    Format { units: Units::Bytes, terminal: None, has_words: false, fails_in_band: false, kind: "binary", ..BASE };

/// All columns.
pub(crate) const FORMATS: &[Format] = &[
    BASE,
    Format {
        name: "Responses",
        path: "/v1/responses",
        body: r#"{"model":"MODEL","stream":true,"input":"one two three"}"#,
        terminal: Some("\"type\":\"response.completed\""),
        errors: Errors::Responses,
        ..BASE
    },
    Format {
        name: "Speech",
        path: "/v1/audio/speech",
        body: r#"{"model":"MODEL","input":"Hello.","voice":"alloy"}"#,
        ..AUDIO
    },
    Format {
        name: "SpeechSse",
        path: "/v1/audio/speech",
        body: r#"{"model":"MODEL","input":"Hello.","voice":"alloy","stream_format":"sse"}"#,
        terminal: Some("speech.audio.done"),
        has_words: false,
        ..BASE
    },
    Format {
        name: "Messages",
        provider: Provider::Anthropic,
        credential: ("x-api-key", None),
        path: "/v1/messages",
        headers: &[("content-type", "application/json"), ("anthropic-version", "2023-06-01")],
        body: r#"{"model":"MODEL","max_tokens":2000000,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        terminal: Some("\"type\":\"message_stop\""),
        errors: Errors::Anthropic,
        ..BASE
    },
    Format {
        name: "Gemini",
        provider: Provider::Gemini,
        credential: ("x-goog-api-key", None),
        path: "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"one two three"}]}]}"#,
        units: Units::Events("\r\n"),
        terminal: Some("\"finishReason\":\"STOP\""),
        errors: Errors::Gemini,
        ..BASE
    },
    Format {
        name: "AzureOpenAI",
        provider: Provider::AzureOpenAI,
        credential: ("api-key", None),
        path: "/openai/deployments/MODEL/chat/completions?api-version=2024-10-21",
        ..BASE
    },
    Format {
        name: "AzureSpeech",
        provider: Provider::AzureSpeech,
        credential: ("ocp-apim-subscription-key", None),
        path: "/cognitiveservices/v1",
        headers: &[
            ("content-type", "application/ssml+xml"),
            ("user-agent", "matrix"),
            ("x-microsoft-outputformat", "audio-24khz-48kbitrate-mono-mp3"),
        ],
        body: "<speak version='1.0'><voice name='MODEL'>hello</voice></speak>",
        ..AUDIO
    },
    Format {
        name: "ElevenLabs",
        provider: Provider::ElevenLabs,
        credential: ("xi-api-key", None),
        path: "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream",
        body: r#"{"model_id":"MODEL","text":"Hello."}"#,
        errors: Errors::ElevenLabs,
        ..AUDIO
    },
    Format { name: "SiliconFlow", provider: Provider::SiliconFlow, path: "/siliconflow/v1/chat/completions", ..BASE },
    Format {
        name: "Ndjson",
        provider: Provider::Custom,
        wire: Some(WireFormat::NDJSON),
        path: "/api/chat",
        units: Units::Lines,
        terminal: Some("\"done\":true"),
        errors: Errors::Ollama,
        kind: "binary",
        ..BASE
    },
    // Events of no known format: the relay adds nothing to them and takes nothing in them for an end.
    Format {
        name: "Opaque",
        provider: Provider::Custom,
        wire: Some(WireFormat::Opaque),
        terminal: None,
        has_words: false,
        fails_in_band: false,
        units: Units::Bytes,
        ..BASE
    },
];
