//! Errors of the relay's own, as each API's clients read them.

use serde_json::Value;

use crate::formats::{Errors, Format, Units};

/// What is wrong with the error that stands at the end of a stream; none if all is as the format has it. `before` counts the whole units in
/// front of it.
pub(crate) fn wrong_event(format: &Format, event: &[u8], before: usize, reason: &str, id: &str) -> Option<String> {
    let text = String::from_utf8_lossy(event);
    let wrong = |what: &str| Some(format!("the error event {what}: {text:?}"));
    let (name, data) = match format.units {
        Units::Lines => (None, text.strip_suffix('\n')),
        Units::Events(end) => {
            let lines: Vec<&str> = text.split(end).collect();
            let (name, rest) = match lines.first().and_then(|line| line.strip_prefix("event: ")) {
                Some(name) => (Some(name), &lines[1..]),
                None => (None, &lines[..]),
            };
            let ["", ""] = rest.get(1..).unwrap_or_default() else { return wrong("is not one event") };
            (name, rest.first().and_then(|line| line.strip_prefix("data: ")))
        }
        Units::Bytes => return wrong("has no place here"),
    };
    let Some(json) = data.and_then(|data| serde_json::from_str::<Value>(data).ok()) else { return wrong("is no JSON") };
    let error = &json["error"];
    let has_message = error["message"].is_string() || format.errors == Errors::Ollama && error.is_string();
    if !has_message {
        return wrong("has no message");
    }
    let right = match format.errors {
        Errors::OpenAI | Errors::ElevenLabs => {
            let kind = if reason == "budget_spent" { "insufficient_quota" } else { "server_error" };
            name.is_none() && error["code"] == reason && error["type"] == kind && error["param"].is_null()
        }
        // Flat and nested, so that every version of the SDKs raises.
        Errors::Responses => {
            name == Some("error")
                && json["type"] == "error"
                && json["sequence_number"] == before
                && json["code"] == reason
                && json["message"] == error["message"]
                && error["code"] == reason
        }
        Errors::Anthropic => {
            name == Some("error")
                && json["type"] == "error"
                && json["request_id"] == id
                && error["type"] == "api_error"
                && error["code"] == reason
        }
        Errors::Gemini => {
            name.is_none() && error["code"].is_u64() && error["status"].is_string() && names_reason(error, reason)
        }
        Errors::Ollama => name.is_none(),
    };
    if right { None } else { wrong("is not the format's") }
}

/// What is wrong with an error body; none if all is as the API has it.
pub(crate) fn wrong_body(format: &Format, body: &[u8], reason: &str, id: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &json["error"];
    let right = match format.errors {
        Errors::OpenAI | Errors::Responses => {
            error["code"] == reason && error["type"] == "server_error" && error["message"].is_string()
        }
        Errors::Anthropic => {
            json["type"] == "error"
                && json["request_id"] == id
                && error["type"] == "timeout_error"
                && error["code"] == reason
                && error["message"].is_string()
        }
        Errors::Gemini => {
            error["code"] == 504
                && error["status"] == "DEADLINE_EXCEEDED"
                && error["message"].is_string()
                && names_reason(error, reason)
        }
        Errors::ElevenLabs => json["detail"]["status"] == reason && json["detail"]["message"].is_string(),
        Errors::Ollama => error.is_string(),
    };
    (!right).then(|| format!("the error body is not the API's: {json}"))
}

fn names_reason(error: &Value, reason: &str) -> bool {
    error["details"].as_array().is_some_and(|details| details.iter().any(|detail| detail["reason"] == reason))
}
