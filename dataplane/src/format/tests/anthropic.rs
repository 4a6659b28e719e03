use super::*;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";

#[test]
fn messages_end_with_message_stop_and_fail_with_an_error_event() {
    for (events, said) in [
        ("", ""),
        ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "t"),
        ("event:message_stop\r\n\r\n", "t"),
        ("event: ping\ndata: {}\r\revent: message_stop\r\r", "t"),
        ("event: error\ndata: {\"type\":\"error\"}\n\n", "e"),
        ("event:error\ndata: {}\n\n", "e"),
        ("data: {\"type\":\"error\"}\nevent: error\n\n", "e"),
        // SDKs go by the field, not by the JSON.
        ("data: {\"type\":\"message_stop\"}\n\n", ""),
        ("data: {\"type\":\"error\"}\n\n", ""),
        ("data: event: message_stop\n\n", ""),
        ("data: [DONE]\n\n", ""),
        ("event: message_stopped\n\n", "c"),
        ("event: error\nevent: ping\n\n", ""),
        // Lead-in, and what is not.
        (START, ""),
        ("event: ping\ndata: {\"type\":\"ping\"}\n\n", ""),
        ("event: content_block_start\ndata: {\"type\":\"content_block_start\"}\n\n", "c"),
        ("event: content_block_delta\ndata: {\"delta\":{\"text\":\"event: error\"}}\n\n", "c"),
    ] {
        assert_eq!(told(Format::AnthropicMessages, events), said, "{events:?}");
    }
}

#[test]
fn an_end_without_its_blank_line_is_none() {
    for tail in
        ["event: message_stop\ndata: {\"type\":\"message_stop\"}\n", "event: message_stop", "event: error\ndata: {}"]
    {
        assert!(!Format::AnthropicMessages.ends_in(tail.as_bytes()));
        let mut observer = watched(Format::AnthropicMessages, START);
        observer.end(tail.as_bytes());
        assert!(!observer.seen().terminal && !observer.seen().error && !observer.is_whole(true), "{tail:?}");
    }
}

#[test]
fn counts_are_cumulative_and_the_prompt_is_whole() {
    let delta =
        |usage: &str| format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"usage\":{usage}}}\n\n");
    for (deltas, counts) in [
        (vec![], [Some(9), Some(1), None, None, None]),
        (vec![r#"{"output_tokens":12}"#], [Some(9), Some(12), None, None, None]),
        (vec![r#"{"output_tokens":12}"#, r#"{"output_tokens":30}"#], [Some(9), Some(30), None, None, None]),
        (vec![r#"{"output_tokens":null,"input_tokens":null}"#], [Some(9), Some(1), None, None, None]),
        (
            vec![
                r#"{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":7,"output_tokens":2}"#,
            ],
            [Some(117), Some(2), Some(100), Some(7), None],
        ),
        (vec!["null"], [Some(9), Some(1), None, None, None]),
        (vec![r#"{"output_tokens":-1}"#, r#"{"output_tokens":"5"}"#], [Some(9), Some(1), None, None, None]),
        (
            vec![r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":1}"#],
            [Some(u64::MAX), Some(1), Some(1), None, None],
        ),
    ] {
        let events: String = deltas.iter().map(|usage| delta(usage)).collect();
        assert_eq!(seen(Format::AnthropicMessages, &format!("{START}{events}")).usage, usage(counts), "{deltas:?}");
    }
}

#[test]
fn a_whole_message_tells_its_usage_and_an_error_that_it_is_one() {
    let text = r#"{"type":"message","content":[{"input":{"usage":{"input_tokens":1}}}],"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":5}}"#;
    let seen = body(Format::AnthropicMessages, text);
    assert_eq!((seen.usage, seen.error), (usage([Some(7), Some(5), Some(4), None, None]), false));
    assert!(body(Format::AnthropicMessages, r#"{"type":"error","error":{"type":"overloaded_error"}}"#).error);
}

#[test]
fn a_failure_is_one_event_that_sdks_raise() {
    let message = "it \"broke\"\nin two lines";
    for reason in REASONS {
        let text = Format::AnthropicMessages.failure_event(reason, message, "id-1").unwrap();
        let (name, json) = event(&text, "\n\n");
        assert_eq!((name, &json["type"], &json["request_id"]), (Some("error"), &"error".into(), &"id-1".into()));
        let error = &json["error"];
        assert_eq!((&error["type"], &error["message"]), (&"api_error".into(), &message.into()));
        assert_eq!(error["code"], reason.name());
        assert_eq!(told(Format::AnthropicMessages, std::str::from_utf8(&text).unwrap()), "e");
    }
}
