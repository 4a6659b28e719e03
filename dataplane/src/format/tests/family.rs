use super::*;
use crate::format::Family;
use serde_json::json;

fn error_body(family: Family, reason: Reason) -> Value {
    serde_json::from_slice(&family.error_body(reason, "m", "id-1")).unwrap()
}

#[test]
fn bodies_of_errors_have_the_shape_of_their_family_and_name_the_reason() {
    for reason in REASONS {
        let (name, status) = (reason.name(), reason.status().as_u16());
        let (openai, anthropic, gemini) = words(status);
        let openai = match reason {
            Reason::TokensLimited => "tokens",
            // OpenAI's word for it.
            Reason::BudgetSpent => "insufficient_quota",
            _ => openai,
        };
        let error = json!({"message": "m", "type": openai, "param": null, "code": name});
        assert_eq!(error_body(Family::OpenAI, reason), json!({"error": error}));
        let error = json!({"type": anthropic, "message": "m", "code": name});
        let body = json!({"type": "error", "error": error, "request_id": "id-1"});
        assert_eq!(error_body(Family::Anthropic, reason), body);
        let mut body = error_body(Family::Gemini, reason);
        let details = body["error"]["details"].take();
        let error = json!({"code": status, "message": "m", "status": gemini, "details": null});
        assert_eq!(body, json!({"error": error}));
        assert_eq!((&details[0]["reason"], &details[1]["requestId"]), (&name.into(), &"id-1".into()));
        assert_eq!(error_body(Family::ElevenLabs, reason), json!({"detail": {"status": name, "message": "m"}}));
        assert_eq!(error_body(Family::Ollama, reason), json!({"error": "m"}));
    }
}

/// The words for a status: OpenAI's type, Anthropic's type, Google's status.
fn words(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        400 => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        401 => ("invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
        403 => ("invalid_request_error", "permission_error", "PERMISSION_DENIED"),
        404 => ("invalid_request_error", "not_found_error", "NOT_FOUND"),
        408 => ("timeout", "timeout_error", "DEADLINE_EXCEEDED"),
        413 => ("invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
        429 => ("requests", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        502 => ("server_error", "api_error", "UNAVAILABLE"),
        503 => ("server_error", "overloaded_error", "UNAVAILABLE"),
        504 => ("server_error", "timeout_error", "DEADLINE_EXCEEDED"),
        status => panic!("no words for {status}"),
    }
}
