//! How a chat is asked for its usage.

use super::*;
use crate::format::asking::is_usage_event;

/// The body as it goes up.
fn asked(body: &str) -> Option<String> {
    let (range, with) = Format::OpenAIChat.ask_usage(body.as_bytes())?;
    Some(format!("{}{with}{}", &body[..range.start], &body[range.end..]))
}

#[test]
fn a_stream_is_asked_where_its_client_did_not_and_all_else_stays() {
    for (body, expected) in [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (
            " {\n \"model\": \"m\", \"stream\" : true }\n",
            " {\"stream_options\":{\"include_usage\":true},\n \"model\": \"m\", \"stream\" : true }\n",
        ),
        (r#"{"stream":true,"stream_options":{}}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        (
            r#"{"stream_options": { "include_obfuscation" : false },"stream":true}"#,
            r#"{"stream_options": {"include_usage":true, "include_obfuscation" : false },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"a":1,"include_usage": null},"stream":true}"#,
            r#"{"stream_options":{"a":1,"include_usage": true},"stream":true}"#,
        ),
        (r#"{"stream":true,"stream_options":null}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        (
            r#"{"messages":[{"content":"\"stream_options\":{\"include_usage\":true}"}],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"messages":[{"content":"\"stream_options\":{\"include_usage\":true}"}],"stream":true}"#,
        ),
    ] {
        let found = asked(body);
        assert_eq!(found.as_deref(), Some(expected), "{body}");
        let parsed: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(parsed["stream_options"]["include_usage"], true);
    }
}

#[test]
fn who_asks_does_not_stream_or_sends_no_json_is_left_alone() {
    for body in [
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"stream":false}"#,
        r#"{"stream":"true"}"#,
        r#"{"messages":[{"stream":true}]}"#,
        r#"{"stream":true,"stream_options":"text"}"#,
        r#"{"stream":true,"stream_options":[]}"#,
        r#"{"stream":true"#,
        r#"{"stream":true}{}"#,
        r#"[{"stream":true}]"#,
        "",
    ] {
        assert_eq!(asked(body), None, "{body}");
    }
    for format in Format::ALL.iter().filter(|format| **format != Format::OpenAIChat) {
        assert_eq!(format.ask_usage(br#"{"stream":true}"#), None, "{format:?}");
    }
}

#[test]
fn only_the_event_without_choices_and_with_usage_comes_of_asking() {
    for (event, expected) in [
        ("data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", true),
        (": comment\r\ndata:{\"usage\":{},\"choices\": [ ] }\r\n\r\n", true),
        ("data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n", true),
        // Azure's first.
        ("data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n", false),
        ("data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n", false),
        // SiliconFlow's count in every chunk.
        ("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n", false),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"\\\"choices\\\":[],\\\"usage\\\":{}\"}}]}\n\n", false),
        ("data: {\"usage\":{\"prompt_tokens\":1}}\n\n", false),
        ("data: [DONE]\n\n", false),
        ("\n", false),
    ] {
        assert_eq!(is_usage_event(event.as_bytes()), expected, "{event}");
    }
}
