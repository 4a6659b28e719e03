//! Errors that a provider sends inside a 200: whether another attempt may help.

use serde_json::Value;

/// What an error event complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The provider can't serve it now: overloaded, or an error of its own.
    Provider,
    /// The account has too much under way.
    Limit,
    /// The request itself, or something that is not known: it would fail again.
    Request,
}

/// Types, codes and statuses of a provider in trouble: Anthropic ("Errors"), OpenAI ("Error codes"), Gemini (`google.rpc.Code`), vLLM and SGLang.
const PROVIDER: [&str; 17] = [
    "overloaded_error",
    "overloaded",
    "api_error",
    "timeout_error",
    "timeout",
    "server_error",
    "internal_error",
    "internal_server_error",
    "internalservererror",
    "engine_overloaded",
    "engine_overloaded_error",
    "service_unavailable",
    "service_unavailable_error",
    "unavailable",
    "internal",
    "deadline_exceeded",
    "bad_gateway",
];
/// Those of a limit of the account.
const LIMIT: [&str; 7] = [
    "rate_limit_error",
    "rate_limit_exceeded",
    "rate_limited",
    "resource_exhausted",
    "too_many_requests",
    "requests",
    "tokens",
];

/// What the last event or line among `units` that carries an error complains of; `None` where none does.
pub fn complaint(units: &[u8]) -> Option<Complaint> {
    let lines = units.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.rev().find_map(|line| {
        let json = line.strip_prefix(b"data:").unwrap_or(line).trim_ascii();
        of_object(&serde_json::from_slice(json).ok()?)
    })
}

fn of_object(object: &Value) -> Option<Complaint> {
    let error = match (object.get("error"), object.get("response")) {
        (Some(error), _) if !error.is_null() => error,
        (_, Some(response)) if response.get("error").is_some_and(|error| !error.is_null()) => response.get("error")?,
        // The flat form of OpenAI's Responses.
        _ if object.get("type").is_some_and(|kind| kind == "error") => object,
        _ => return None,
    };
    // Ollama has only a text, and refuses what is wrong with the request by a status.
    if error.is_string() {
        return Some(Complaint::Provider);
    }
    let words = ["type", "code", "status"].iter().filter_map(|field| error.get(field));
    let known = words.filter_map(of_word).collect::<Vec<_>>();
    let says = |complaint| known.contains(&complaint);
    Some(match () {
        () if says(Complaint::Limit) => Complaint::Limit,
        () if says(Complaint::Request) => Complaint::Request,
        () if says(Complaint::Provider) => Complaint::Provider,
        () => Complaint::Request,
    })
}

/// What a type, a code or a status says; `None` for a word that is not known.
fn of_word(word: &Value) -> Option<Complaint> {
    let number = word.as_u64().or_else(|| word.as_str()?.parse().ok());
    if let Some(status) = number {
        return match status {
            429 => Some(Complaint::Limit),
            400..=499 => Some(Complaint::Request),
            500..=599 => Some(Complaint::Provider),
            _ => None,
        };
    }
    let word = word.as_str()?.to_ascii_lowercase();
    if PROVIDER.contains(&word.as_str()) {
        Some(Complaint::Provider)
    } else if LIMIT.contains(&word.as_str()) {
        Some(Complaint::Limit)
    } else {
        None
    }
}
