use super::*;

fn named(kind: &str, rest: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":7{rest}}}\n\n")
}

#[test]
fn responses_end_with_one_of_three_events_and_fail_in_every_shape_that_is_sent() {
    for (events, said) in [
        (named("response.created", ",\"response\":{\"error\":null,\"usage\":null}"), ""),
        (named("response.queued", ""), ""),
        (named("response.in_progress", ""), ""),
        (named("response.output_item.added", ""), "c"),
        (named("response.output_text.delta", ",\"delta\":\"response.completed\""), "c"),
        (named("response.output_text.delta", ",\"delta\":\"error\""), "c"),
        (named("response.completed", ""), "t"),
        (named("response.incomplete", ""), "t"),
        (named("response.failed", ",\"response\":{\"error\":{\"code\":\"server_error\"}}"), "te"),
        (named("error", ",\"code\":\"c\",\"message\":\"m\",\"param\":null"), "e"),
        (named("error", ",\"error\":{\"type\":\"server_error\"}"), "e"),
        ("data: {\"error\":{\"message\":\"m\"}}\n\n".to_owned(), "e"),
        // SDKs go by `type`, where a name is missing or another one.
        ("data: {\"type\":\"response.completed\"}\n\n".to_owned(), "t"),
        ("data: {\"response\":{}, \"type\" : \"response.completed\"}\n\n".to_owned(), "t"),
        ("event: response.completed\ndata: {\"type\":\"response.output_text.delta\"}\n\n".to_owned(), "c"),
        // After content, too, when events are only searched for marks.
        (named("response.output_text.delta", "") + &named("response.completed", ""), "tc"),
        (named("response.output_text.delta", "") + "data: {\"x\":1,\"error\":{}}\n\n", "ec"),
        (named("response.output_text.delta", "") + "data: {\"x\":1,\"error\":null}\n\n", "c"),
        // The model's own words, deeper down.
        (named("response.output_item.done", ",\"item\":{\"type\":\"response.completed\",\"error\":{\"a\":1}}"), "c"),
        ("data: [DONE]\n\n".to_owned(), ""),
    ] {
        assert_eq!(told(Format::OpenAIResponses, &events), said, "{events:?}");
        assert_eq!(watched(Format::OpenAIResponses, &events).is_whole(true), said.contains('t'), "{events:?}");
    }
}

#[test]
fn usage_stands_in_the_event_that_ends_it() {
    let details = r#""input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":4}"#;
    let response = format!(r#","response":{{"usage":{{"input_tokens":10,"output_tokens":20,{details}}}}}"#);
    let counts = usage([Some(10), Some(20), Some(3), None, Some(4)]);
    for kind in ["response.completed", "response.incomplete", "response.failed"] {
        assert_eq!(seen(Format::OpenAIResponses, &named(kind, &response)).usage, counts);
    }
    let whole = format!(r#"{{"id":"r","output":[],"usage":{{"input_tokens":10,"output_tokens":20,{details}}}}}"#);
    assert_eq!(body(Format::OpenAIResponses, &whole).usage, counts);
}

#[test]
fn an_end_too_long_to_keep_still_ends_by_its_name() {
    let text = "x".repeat(2 << 20);
    for (kind, said) in
        [("response.completed", (true, false)), ("response.failed", (true, true)), ("error", (false, true))]
    {
        let before = format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"x\":\"{text}\"}}\n\n");
        let after = format!("data: {{\"type\":\"{kind}\",\"x\":\"{text}\"}}\nevent: {kind}\n\n");
        for event in [before, after] {
            let mut observer = Observer::new(Format::OpenAIResponses);
            event.as_bytes().chunks(64 << 10).for_each(|piece| observer.push(piece, false));
            assert_eq!((observer.seen().terminal, observer.seen().error), said, "{kind}");
        }
    }
}

#[test]
fn a_failure_has_both_shapes_and_goes_on_counting() {
    for reason in REASONS {
        for (events, number) in [
            (String::new(), None),
            ("data: {\"type\":\"response.created\"}\n\n".to_owned(), None),
            (named("response.created", ""), Some(8)),
            (named("response.output_text.delta", "") + "data: {\"sequence_number\" : 41 }\n\n", Some(42)),
            (named("response.created", ",\"x\":\"\\\"sequence_number\\\":99\""), Some(8)),
        ] {
            let observer = watched(Format::OpenAIResponses, &events);
            let text = observer.failure_event(reason, "m", "id-1").unwrap();
            let (name, json) = event(&text, "\n\n");
            assert_eq!((name, &json["type"]), (Some("error"), &"error".into()));
            assert_eq!(json["sequence_number"].as_u64(), number);
            assert_eq!((&json["code"], &json["message"]), (&reason.name().into(), &"m".into()));
            assert_eq!((&json["error"]["code"], &json["error"]["message"]), (&reason.name().into(), &"m".into()));
            assert!(json["param"].is_null() && json["error"]["type"].is_string());
            assert_eq!(told(Format::OpenAIResponses, std::str::from_utf8(&text).unwrap()), "e");
        }
        assert!(Format::OpenAIResponses.failure_event(reason, "m", "id-1").is_some());
    }
}
