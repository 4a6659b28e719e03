use super::{Family, Format, Observer};
use crate::reason::Reason;
use relay_snapshot::Provider;
use serde_json::Value;

const REASONS: [Reason; 23] = [
    Reason::BadRequest,
    Reason::ConflictingCredentials,
    Reason::KeyMissing,
    Reason::KeyUnknown,
    Reason::KeyExpired,
    Reason::TenantSuspended,
    Reason::NoRoute,
    Reason::BodyTooLarge,
    Reason::RequestTooSlow,
    Reason::Overloaded,
    Reason::RequestsLimited,
    Reason::RouteNotReady,
    Reason::NoBackend,
    Reason::UpstreamConnect,
    Reason::UpstreamReset,
    Reason::UpstreamProtocol,
    Reason::UpstreamError,
    Reason::UpstreamStatus,
    Reason::FirstByteTimeout,
    Reason::IdleTimeout,
    Reason::TotalTimeout,
    Reason::ClientStalled,
    Reason::Draining,
];

#[test]
fn the_format_goes_by_provider_and_path() {
    use Format::{AnthropicMessages, AzureSpeech, Opaque, OpenAIChat, OpenAIResponses, OpenAISpeech};
    for (provider, path, format) in [
        (Provider::OpenAI, "/v1/chat/completions", OpenAIChat),
        (Provider::SiliconFlow, "/v1/chat/completions", OpenAIChat),
        (Provider::Custom, "/openai/v1/chat/completions", OpenAIChat),
        (Provider::Anthropic, "/v1/chat/completions", Opaque),
        (Provider::OpenAI, "/v1/audio/speech", OpenAISpeech),
        (Provider::SiliconFlow, "/v1/audio/speech", OpenAISpeech),
        (Provider::Custom, "/v1/audio/speech", OpenAISpeech),
        (Provider::Anthropic, "/v1/messages", AnthropicMessages),
        (Provider::Custom, "/anthropic/v1/messages", AnthropicMessages),
        (Provider::OpenAI, "/v1/messages", Opaque),
        (Provider::Anthropic, "/v1/messages/count_tokens", Opaque),
        (Provider::Anthropic, "/v1/messages/batches", Opaque),
        (Provider::AzureSpeech, "/cognitiveservices/v1", AzureSpeech),
        (Provider::OpenAI, "/v1/responses", OpenAIResponses),
        (Provider::OpenAI, "/v1/models", Opaque),
        (Provider::OpenAI, "/", Opaque),
    ] {
        assert_eq!(Format::of(provider, path, None), format, "{provider:?} {path}");
        assert_eq!(format.wants_identity(), format != Opaque);
        assert_eq!(format.has_terminal(), !matches!(format, AzureSpeech | Opaque));
    }
}

fn seen(format: Format, events: &str) -> (bool, bool) {
    let mut observer = Observer::new(format);
    observer.push(events.as_bytes(), true);
    (observer.seen().terminal, observer.seen().error)
}

#[test]
fn chat_ends_with_done_and_fails_with_an_error_object() {
    for (events, told) in [
        ("", (false, false)),
        ("data: {\"choices\":[]}\n\n", (false, false)),
        ("data: [DONE]\n\n", (true, false)),
        ("data:[DONE]\r\n\r\n", (true, false)),
        ("data: {}\r\rdata: [DONE]\r\r", (true, false)),
        (": c\ndata: [DONE]\n\n", (true, false)),
        ("\u{FEFF}data: [DONE]\n\n", (true, false)),
        ("data: {\"error\":{\"message\":\"m\"}}\n\n", (false, true)),
        ("data:{\"error\":\"text\"}\n\n", (false, true)),
        ("data: {}\n\ndata: {\"error\":{}}\n\ndata: [DONE]\n\n", (true, true)),
        ("\u{FEFF}data: {\"error\":{}}\n\n", (false, true)),
        ("data: {\"content\":\"data: [DONE]\"}\n\n", (false, false)),
        ("data: {\"content\":\"\\ndata: {\\\"error\\\"\"}\n\n", (false, false)),
        ("data: \u{FEFF}data: [DONE]\n\n", (false, false)),
        ("event: error\ndata: {}\n\n", (false, false)),
        ("event: message_stop\n\n", (false, false)),
    ] {
        assert_eq!(seen(Format::OpenAIChat, events), told, "{events:?}");
    }
}

#[test]
fn messages_end_with_message_stop_and_fail_with_an_error_event() {
    for (events, told) in [
        ("", (false, false)),
        ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", (true, false)),
        ("event:message_stop\r\n\r\n", (true, false)),
        ("event: ping\ndata: {}\r\revent: message_stop\r\r", (true, false)),
        ("event: error\ndata: {\"type\":\"error\"}\n\n", (false, true)),
        ("event:error\ndata: {}\n\n", (false, true)),
        // SDKs go by the field, not by the JSON.
        ("data: {\"type\":\"message_stop\"}\n\n", (false, false)),
        ("data: {\"type\":\"error\"}\n\n", (false, false)),
        ("data: event: message_stop\n\n", (false, false)),
        ("data: [DONE]\n\n", (false, false)),
    ] {
        assert_eq!(seen(Format::AnthropicMessages, events), told, "{events:?}");
    }
}

#[test]
fn formats_that_are_not_looked_into_tell_nothing() {
    for format in [Format::Opaque, Format::ElevenLabsSpeech, Format::AzureSpeech] {
        assert_eq!(seen(format, "data: [DONE]\n\nevent: error\n\ndata: {\"error\":{}}\n\n"), (false, false));
        assert!(format.failure_event(Reason::UpstreamReset, "m", "r").is_none());
        assert!(!format.ends_in(b"data: [DONE]"));
    }
}

#[test]
fn done_alone_counts_without_its_blank_line() {
    for (tail, ends) in [
        ("data: [DONE]", true),
        ("data:[DONE]", true),
        ("data: [DONE]\n", true),
        ("data: [DONE]\r\n", true),
        ("data: [DONE]\r", true),
        (": bye\ndata: [DONE]", true),
        ("", false),
        ("data: [DONE", false),
        ("data: {\"x\":\"data: [DONE]", false),
        ("data: [DONE]\ndata: x", false),
        ("xdata: [DONE]", false),
    ] {
        assert_eq!(Format::OpenAIChat.ends_in(tail.as_bytes()), ends, "{tail:?}");
        assert!(!Format::AnthropicMessages.ends_in(tail.as_bytes()));
    }
    assert!(!Format::AnthropicMessages.ends_in(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n"));
}

/// The one event of a text: its name and its JSON.
fn event(text: &[u8]) -> (Option<&str>, Value) {
    let text = std::str::from_utf8(text).unwrap();
    let event = text.strip_suffix("\n\n").unwrap();
    assert!(!event.contains("\n\n"));
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    (field("event: "), serde_json::from_str(field("data: ").unwrap()).unwrap())
}

#[test]
fn failures_are_one_event_that_sdks_raise_and_the_scan_recognizes() {
    let message = "it \"broke\"\nin two lines";
    for reason in REASONS {
        let chat = Format::OpenAIChat.failure_event(reason, message, "id-1").unwrap();
        let (name, json) = event(&chat);
        assert_eq!(
            (name, &json["error"]["message"], &json["error"]["code"]),
            (None, &message.into(), &reason.name().into())
        );
        assert!(json["error"]["type"].is_string() && json["error"]["param"].is_null());
        assert_eq!(seen(Format::OpenAIChat, std::str::from_utf8(&chat).unwrap()), (false, true));

        let messages = Format::AnthropicMessages.failure_event(reason, message, "id-1").unwrap();
        let (name, json) = event(&messages);
        assert_eq!((name, &json["type"], &json["request_id"]), (Some("error"), &"error".into(), &"id-1".into()));
        assert_eq!((&json["error"]["type"], &json["error"]["message"]), (&"api_error".into(), &message.into()));
        assert_eq!(seen(Format::AnthropicMessages, std::str::from_utf8(&messages).unwrap()), (false, true));
    }
}

#[test]
fn bodies_of_errors_have_the_shape_of_their_family() {
    for reason in REASONS {
        let body: Value = serde_json::from_slice(&Family::OpenAI.error_body(reason, "m", "id-1")).unwrap();
        let error = &body["error"];
        assert_eq!((&error["message"], &error["code"]), (&"m".into(), &reason.name().into()));
        let kind = match reason.status().as_u16() {
            408 => "timeout",
            429 => "requests",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        assert_eq!((&error["type"], &error["param"]), (&kind.into(), &Value::Null));

        let body: Value = serde_json::from_slice(&Family::Anthropic.error_body(reason, "m", "id-1")).unwrap();
        let error = &body["error"];
        assert_eq!((&body["type"], &body["request_id"]), (&"error".into(), &"id-1".into()));
        assert_eq!((&error["message"], &error["code"]), (&"m".into(), &reason.name().into()));
        let kind = match reason.status().as_u16() {
            400 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            502 => "api_error",
            503 => "overloaded_error",
            408 | 504 => "timeout_error",
            status => panic!("no kind for {status}"),
        };
        assert_eq!(error["type"], kind);
    }
}

#[test]
fn the_family_of_a_path_is_known_without_a_route() {
    for (path, family) in [
        ("/v1/messages", Family::Anthropic),
        ("/anthropic/v1/messages", Family::Anthropic),
        ("/v1/messages/count_tokens", Family::Anthropic),
        ("/v1/messages/batches/b1", Family::Anthropic),
        ("/v1/chat/completions", Family::OpenAI),
        ("/v1/audio/speech", Family::OpenAI),
        ("/v1/threads/messages_of", Family::OpenAI),
        ("/", Family::OpenAI),
    ] {
        assert_eq!(Family::of_path(path), family, "{path}");
    }
}
