//! The shapes of error bodies: one per family of APIs, so that official SDKs raise their own exceptions.
//!
//! Sources: the error pages of OpenAI, Anthropic, Google, ElevenLabs and Ollama; what SDKs raise was tried.

use super::Format;
use crate::reason::Reason;
use bytes::Bytes;
use http::StatusCode;
use relay_snapshot::Provider;
use serde_json::{Value, json};

/// Whose error shape a client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `{"error":{"message","type","param","code"}}`; the reason is the `code`.
    OpenAI,
    /// `{"type":"error","error":{"type","message","code"},"request_id"}`; the reason is the `code`, which is none of Anthropic's own.
    Anthropic,
    /// `{"error":{"code","message","status","details"}}`; the reason stands in `details`.
    Gemini,
    /// `{"detail":{"status","message"}}`; the reason is the `status`.
    ElevenLabs,
    /// `{"error":"text"}`: no place for a reason.
    Ollama,
}

/// Ends of paths that only Ollama has.
const OLLAMA: [&str; 6] = ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/tags", "/api/show"];

impl Family {
    /// Of a request whose backend is known.
    pub fn of(provider: Provider, format: Format, path: &str) -> Self {
        format.own_family().unwrap_or_else(|| match provider {
            Provider::OpenAI | Provider::SiliconFlow | Provider::AzureOpenAI | Provider::AzureSpeech => Self::OpenAI,
            Provider::Anthropic => Self::Anthropic,
            Provider::Gemini => Self::Gemini,
            Provider::ElevenLabs => Self::ElevenLabs,
            Provider::Custom => Self::of_path(path),
        })
    }

    /// Of a request before a route is known.
    pub fn of_path(path: &str) -> Self {
        let last = path.rsplit('/').next().unwrap_or_default();
        // Messages of threads are OpenAI's.
        let is_messages = (last == "messages" || path.contains("/messages/")) && !path.contains("/threads/");
        let is_gemini = path.contains("/v1beta/") && !path.contains("/v1beta/openai/");
        if is_messages {
            Self::Anthropic
        } else if is_gemini || last.rsplit_once(':').is_some_and(|(_, verb)| is_google_verb(verb)) {
            Self::Gemini
        } else if path.contains("/text-to-speech/") {
            Self::ElevenLabs
        } else if OLLAMA.iter().any(|end| path.ends_with(end)) {
            Self::Ollama
        } else {
            Self::OpenAI
        }
    }

    /// The body of an answer that the relay makes.
    pub fn error_body(self, reason: Reason, message: &str, request_id: &str) -> Bytes {
        let body = match self {
            Self::OpenAI => openai_error(reason, message),
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic_kind(reason), "message": message, "code": reason.name()},
                "request_id": request_id,
            }),
            Self::Gemini => gemini_error(reason, reason.status(), message, request_id),
            Self::ElevenLabs => json!({"detail": {"status": reason.name(), "message": message}}),
            Self::Ollama => ollama_error(message),
        };
        Bytes::from(body.to_string())
    }
}

/// What stands behind the colon of a path of Google's (AIP-136): of generating, counting and embedding.
fn is_google_verb(verb: &str) -> bool {
    verb.ends_with("Content") || verb.ends_with("Contents") || verb.ends_with("Tokens")
}

pub(super) fn openai_error(reason: Reason, message: &str) -> Value {
    json!({"error": {"message": message, "type": openai_kind(reason), "param": null, "code": reason.name()}})
}

pub(super) fn openai_kind(reason: Reason) -> &'static str {
    match reason.status().as_u16() {
        408 => "timeout",
        429 => match reason {
            Reason::TokensLimited => "tokens",
            Reason::BudgetSpent => "insufficient_quota",
            _ => "requests",
        },
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

fn anthropic_kind(reason: Reason) -> &'static str {
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

/// With the details that Google's APIs have for a reason and for the name of a request (AIP-193).
pub(super) fn gemini_error(reason: Reason, status: StatusCode, message: &str, request_id: &str) -> Value {
    json!({"error": {
        "code": status.as_u16(),
        "message": message,
        "status": gemini_status(status),
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason.name(), "domain": "stream-relay.dev"},
            {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id},
        ],
    }})
}

/// The names of `google.rpc.Code`, as they map to HTTP.
fn gemini_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

pub(super) fn ollama_error(message: &str) -> Value {
    json!({"error": message})
}
