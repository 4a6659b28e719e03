use super::*;

#[test]
fn chat_ends_with_done_and_fails_with_an_error_object() {
    for (events, said) in [
        ("", ""),
        ("data: {\"choices\":[]}\n\n", ""),
        ("data: [DONE]\n\n", "t"),
        ("data:[DONE]\r\n\r\n", "t"),
        ("data: {}\r\rdata: [DONE]\r\r", "tc"),
        (": c\ndata: [DONE]\n\n", "t"),
        ("\u{FEFF}data: [DONE]\n\n", "t"),
        ("data: {\"error\":{\"message\":\"m\"}}\n\n", "e"),
        ("data:{\"error\":\"text\"}\n\n", "e"),
        ("data: {}\n\ndata: {\"error\":{}}\n\ndata: [DONE]\n\n", "tec"),
        ("\u{FEFF}data: {\"error\":{}}\n\n", "e"),
        // Not the first key, as OpenRouter sends it.
        (
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502}}\n\n",
            "e",
        ),
        ("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}]}\n\n", "e"),
        // Flat, as Mistral and older vLLM send it.
        ("data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequest\",\"code\":400}\n\n", "e"),
        ("data: {\"message\":\"m\",\"object\" : \"error\"}\n\n", "e"),
        // Over several lines of data.
        ("data: {\ndata: \"error\":\ndata: {}}\n\n", "e"),
        ("data: {\"id\":1 , \"error\" : { } }\n\n", "e"),
        // What SDKs do not raise.
        ("data: {\"choices\":[],\"error\":null}\n\n", ""),
        ("data: {\"choices\":[],\"error\":\"\"}\n\n", ""),
        ("event: error\ndata: {}\n\n", "c"),
        ("event: message_stop\n\n", "c"),
        // Words of the end inside texts.
        ("data: {\"content\":\"data: [DONE]\"}\n\n", "c"),
        ("data: {\"content\":\"\\ndata: {\\\"error\\\"\"}\n\n", "c"),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\":{}}\"}}]}\n\n", "c"),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"error\"}}]}\n\n", "c"),
        ("data: {\"choices\":[{\"delta\":{\"error\":{\"deep\":\"down\"}}}]}\n\n", "c"),
        ("data: \u{FEFF}data: [DONE]\n\n", "c"),
        // Half of it.
        ("data: {\"error\":{\"mess\n\n", "c"),
    ] {
        assert_eq!(told(Format::OpenAIChat, events), said, "{events:?}");
    }
}

#[test]
fn chunks_that_only_name_a_role_are_lead_in() {
    let choice = |inner: &str| format!("data: {{\"choices\":[{{\"index\":0,{inner}}}]}}\n\n");
    for (chunk, is_content) in [
        ("data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[{}],\"usage\":null}\n\n".to_owned(), false),
        (choice(r#""delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null"#), false),
        (choice(r#""delta":{"role":"assistant","content":null,"tool_calls":[]},"finish_reason":"""#), false),
        (choice(r#""delta":{}"#), false),
        (": PROCESSING\n\n".to_owned(), false),
        (choice(r#""delta":{"content":"H"},"finish_reason":null"#), true),
        (choice(r#""delta":{"role":"assistant","reasoning_content":"Hm"}"#), true),
        (choice(r#""delta":{"tool_calls":[{"index":0,"id":"c"}]}"#), true),
        (choice(r#""delta":{},"finish_reason":"stop""#), true),
        (choice(r#""text":"H","finish_reason":null"#), true),
    ] {
        assert_eq!(seen(Format::OpenAIChat, &chunk).content, is_content, "{chunk}");
    }
}

/// A chunk of this choice; the reason as JSON.
fn chunk(index: u64, finish: &str) -> String {
    let delta = if finish == "null" { r#"{"content":"x"}"# } else { "{}" };
    format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n")
}

#[test]
fn a_clean_end_without_done_is_an_end_where_every_choice_says_why_it_finished() {
    let stop = r#""stop""#;
    for (chunks, is_whole) in [
        (vec![], false),
        (vec![chunk(0, "null")], false),
        (vec![chunk(0, "null"), chunk(0, stop)], true),
        (vec![chunk(0, "null"), chunk(0, r#""tool_calls""#), "data: {\"choices\":[],\"usage\":{}}\n\n".into()], true),
        (vec![chunk(0, "null"), chunk(0, r#""""#)], false),
        (vec![chunk(0, "null"), chunk(0, r#""error""#)], false),
        // Two choices, in any order.
        (vec![chunk(0, "null"), chunk(1, "null"), chunk(0, stop)], false),
        (vec![chunk(0, "null"), chunk(1, "null"), chunk(1, stop)], false),
        (vec![chunk(0, "null"), chunk(0, stop), chunk(1, "null")], false),
        (vec![chunk(1, "null"), chunk(1, stop), chunk(0, "null"), chunk(0, "null")], false),
        (vec![chunk(0, "null"), chunk(1, "null"), chunk(1, stop), chunk(0, stop)], true),
        // Numbers of tool calls are none of choices.
        (
            vec![
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":3}]}}]}\n\n".into(),
                chunk(0, stop),
            ],
            true,
        ),
        (vec![chunk(900, "null"), chunk(u64::MAX, stop)], false),
    ] {
        let observer = watched(Format::OpenAIChat, &chunks.concat());
        assert_eq!(observer.is_whole(true), is_whole, "{chunks:?}");
        assert!(!observer.is_whole(false), "{chunks:?}");
        let done = watched(Format::OpenAIChat, &format!("{}data: [DONE]\n\n", chunks.concat()));
        assert!(done.is_whole(true) && done.is_whole(false));
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
        ("data: {\"error\":{}}", false),
    ] {
        assert_eq!(Format::OpenAIChat.ends_in(tail.as_bytes()), ends, "{tail:?}");
        let mut observer = Observer::new(Format::OpenAIChat);
        observer.end(tail.as_bytes());
        assert_eq!((observer.seen().terminal, observer.seen().error), (ends, false), "{tail:?}");
    }
}

#[test]
fn a_failure_is_one_event_that_sdks_raise() {
    let message = "it \"broke\"\nin two lines";
    for reason in REASONS {
        let text = Format::OpenAIChat.failure_event(reason, message, "id-1").unwrap();
        let (name, json) = event(&text, "\n\n");
        let error = &json["error"];
        assert_eq!((name, &error["message"], &error["code"]), (None, &message.into(), &reason.name().into()));
        assert!(error["type"].is_string() && error["param"].is_null());
        assert_eq!(told(Format::OpenAIChat, std::str::from_utf8(&text).unwrap()), "e");
    }
}
